"""Deformable convolution that was not compiled for the device is named before anything runs."""
from pathlib import Path
from types import SimpleNamespace

import mmcv.ops
import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from torch import nn

from mmdet_lordre.backbones import DeformableOpsHook, check_deformable_ops

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(scope='module')
def resnet():
    with torch.device('meta'):
        return MODELS.build(dict(
            type='mmdet.ResNet', depth=50, stage_with_dcn=(False, False, False, True),
            dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False)))


def test_a_gpu_without_the_operation_is_refused(monkeypatch, resnet):
    monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version', lambda: 'not available')
    with pytest.raises(RuntimeError, match=r'layer4\.0\.conv2 is a deformable.*FORCE_CUDA=1'):
        check_deformable_ops(resnet, 'cuda:0')
    check_deformable_ops(resnet, 'cpu')
    check_deformable_ops(nn.Conv2d(1, 1, 1), 'cuda')


def test_a_gpu_with_the_operation_is_taken(monkeypatch, resnet):
    monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version', lambda: '12.8')
    assert check_deformable_ops(resnet, 'cuda') is None
    # what is asked is the build of mmcv, not the model
    monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version', lambda: 'not available')
    with pytest.raises(RuntimeError):
        check_deformable_ops(resnet, 'cuda')


def test_the_hook_looks_at_the_device_of_the_model(monkeypatch, resnet):
    seen = []
    monkeypatch.setattr('mmdet_lordre.backbones.deformable.check_deformable_ops',
                        lambda model, device: seen.append((model, str(device))))
    DeformableOpsHook().before_run(SimpleNamespace(model=resnet))
    assert seen == [(resnet, 'meta')]


def test_the_deformable_configs_have_the_hook():
    paths = sorted(CONFIGS.glob('*/*-dcn*.py'))
    assert len(paths) == 14
    for path in paths:
        hooks = [HOOKS.build(hook) for hook in Config.fromfile(path).get('custom_hooks', [])]
        assert any(isinstance(hook, DeformableOpsHook) for hook in hooks), path
