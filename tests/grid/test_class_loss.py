"""The class loss with mmcv's operators and without."""
import sys

import mmcv.ops
import pytest
import torch
from mmdet.registry import MODELS

from mmdet_lordre.compat import has_operators
from mmdet_lordre.grid import class_loss

FOCAL = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=3.0)


@pytest.mark.parametrize('compiled', [True, False])
def test_focal_loss_is_the_same_without_operators(compiled, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator, requires_grad=True)
    labels = torch.randint(5, (50,), generator=generator)
    seen = []

    class Focal(type(MODELS.build(FOCAL))):
        def forward(self, logits, labels, **kwargs):
            seen.append(labels.shape)
            return super().forward(logits, labels, **kwargs)

    expected = MODELS.build(FOCAL)(logits, labels, avg_factor=7.0)
    monkeypatch.setattr(sys.modules[class_loss.__module__], 'has_operators', lambda _: compiled)
    found = class_loss(Focal(loss_weight=3.0), logits, labels, 7.0)
    # one-hot targets need no operator
    assert seen == [(50,) if compiled else (50, 4)]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0]
                                 for loss in (found, expected)), rtol=0, atol=0)


def test_other_losses_get_classes(monkeypatch):
    monkeypatch.setattr(sys.modules[class_loss.__module__], 'has_operators', lambda _: False)
    loss = MODELS.build(dict(type='CrossEntropyLoss'))
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    assert class_loss(loss, logits, labels, 6.0) == loss(logits, labels, avg_factor=6.0)


def test_what_mmcv_was_compiled_for(monkeypatch):
    for version, on_gpu in (('not available', False), ('12.4', True)):
        monkeypatch.setattr(mmcv.ops, 'get_compiling_cuda_version', lambda v=version: v)
        assert has_operators('cuda:0') is on_gpu
        assert has_operators('cpu') and not has_operators('mps')
