"""Numbers next to zero while training."""
import pytest
import torch
from mmengine.runner import Runner

from mmdet_lordre.training import runner as runner_module
from mmdet_lordre.training.denormals import denormals_are_zero

DENORMAL = 2.0**-130


def half():
    return (torch.full((64,), DENORMAL) * 0.5).max().item()


@pytest.fixture(autouse=True)
def restore():
    yield
    torch.set_flush_denormal(False)


def test_they_are_zero_inside_and_numbers_again_outside():
    if not torch.set_flush_denormal(False):
        pytest.skip('this processor cannot')
    with denormals_are_zero():
        assert half() == 0
        assert (torch.full((1,), 1e-37) * 0.5).item() > 0
    assert half() == DENORMAL / 2
    with pytest.raises(KeyError), denormals_are_zero():
        raise KeyError
    assert half() == DENORMAL / 2


def test_who_had_them_zero_before_has_so_after():
    if not torch.set_flush_denormal(True):
        pytest.skip('this processor cannot')
    with denormals_are_zero():
        pass
    assert half() == 0


def test_training_takes_them_for_zero(monkeypatch):
    if not torch.set_flush_denormal(False):
        pytest.skip('this processor cannot')
    monkeypatch.setattr(Runner, 'train', lambda self: half())
    monkeypatch.setattr(runner_module, 'progress_hook', lambda: None)
    runner = runner_module.ToolRunner.__new__(runner_module.ToolRunner)
    runner._resume, runner._hooks = False, []
    runner.register_hook = runner._hooks.append
    assert runner.train() == 0 and half() > 0
