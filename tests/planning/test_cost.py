"""What a step costs, of times that are given."""
import pytest
from mmengine.config import Config

from mmdet_lordre.planning import cost


@pytest.mark.parametrize('workers,computing,expected', [
    (0, 0.1, (0.5, 0.4)), (4, 0.2, (0.2, 0.1)), (2, 0.1, (0.2, 0.2))])
def test_loading_is_added_or_goes_on_beside(monkeypatch, workers, computing, expected):
    monkeypatch.setattr(cost, '_typical', lambda cfg: ({}, 0.4))
    monkeypatch.setattr(cost, 'build', lambda cfg, device: cost.nn.Identity())
    monkeypatch.setattr(cost, 'build_optim_wrapper', lambda model, cfg: None)
    monkeypatch.setattr(cost, 'seconds_of', lambda step, device, steps, enough: computing)
    found = cost.measure_steps(Config(dict(
        optim_wrapper=dict(), train_dataloader=dict(num_workers=workers))), 'cpu')
    assert (found.step, found.load) == pytest.approx(expected)
