"""bfloat16 on CPUs that have instructions for it, and on those that have not."""
import pytest
import torch
from mmengine.config import Config

from mmdet_lordre.training import precision

from ..on_device import DEVICE

on_cpu = pytest.mark.skipif(DEVICE != 'cpu', reason='on a GPU it is float16')


@pytest.fixture(params=[0.2, 3.])
def speed(request, monkeypatch):
    monkeypatch.setattr(precision, 'bfloat16_speed', lambda: request.param)
    return request.param


def config(kind='OptimWrapper'):
    return Config(dict(launcher='none', optim_wrapper=dict(type=kind, loss_scale='dynamic')))


def test_speed_is_that_of_this_machine():
    random = torch.get_rng_state()
    assert 0.005 < precision.bfloat16_speed() < 200
    assert torch.equal(torch.get_rng_state(), random)


@on_cpu
def test_mixed_precision_only_where_it_pays(speed):
    cfg = config()
    slow = precision.set_mixed_precision(cfg)
    if speed < 1:
        assert cfg.to_dict() == config().to_dict()
        assert 'which takes 5.0 times as long as float32' in slow
    else:
        assert slow is None and cfg.optim_wrapper == dict(type='BFloat16OptimWrapper')


@on_cpu
def test_a_config_planned_elsewhere_is_warned_of(speed):
    assert precision.slow_precision(config()) is None
    line = precision.slow_precision(config('BFloat16OptimWrapper'))
    if speed > 1:
        assert line is None
    else:
        assert 'optim_wrapper.type=OptimWrapper trains in float32' in line
