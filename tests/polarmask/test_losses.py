import math

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_lordre.polarmask import polar_centerness
from mmdet_lordre.polarmask.losses import box_losses


@pytest.fixture
def loss():
    return MODELS.build(dict(type='PolarIoULoss'))


def test_by_hand(loss):
    pred, target = torch.tensor([[1., 2.], [3., 3.]]), torch.tensor([[2., 2.], [3., 1.]])
    first, second = math.log(4 / 3), math.log(6 / 4)
    assert loss(pred, target) == pytest.approx((first + second) / 2)
    assert loss(pred, target, weight=torch.tensor([2., 0.])) == pytest.approx(first)
    assert loss(pred, target, weight=torch.tensor([2., 1.]), avg_factor=3) == pytest.approx(
        (2 * first + second) / 3)
    each = loss(pred, target, reduction_override='none')
    assert each.tolist() == pytest.approx([first, second])
    assert MODELS.build(dict(type='PolarIoULoss', loss_weight=2.0, reduction='sum'))(
        pred, target) == pytest.approx(2 * (first + second))


def test_perfect_rays_and_rays_of_no_length(loss):
    rays = torch.rand(4, 36) * 90
    assert loss(rays, rays) == 0
    pred = torch.zeros(2, 36, requires_grad=True)
    value = loss(pred, torch.zeros(2, 36))
    value.backward()
    assert value.isfinite() and pred.grad.isfinite().all()
    assert loss(torch.zeros(2, 36), torch.full((2, 36), 1e-6)).isfinite()


def test_scaling_both_changes_nothing(loss):
    a, b = torch.rand(5, 36) + 0.1, torch.rand(5, 36) + 0.1
    assert loss(7 * a, 7 * b) == pytest.approx(float(loss(a, b)), rel=1e-5)
    assert loss(a, b) == pytest.approx(float(loss(b, a)), rel=1e-6)


def test_half_precision_sums_do_not_overflow(loss):
    pred, target = torch.full((1, 360), 1000.), torch.full((1, 360), 500.)
    for dtype in (torch.float16, torch.bfloat16):
        assert loss(pred.to(dtype), target.to(dtype)) == pytest.approx(math.log(2), rel=1e-2)


def test_centerness():
    rays = torch.tensor([[1., 4.], [9., 9.], [0., 3.], [0., 0.]])
    assert polar_centerness(rays).tolist() == [0.5, 1, 0, 0]


@pytest.mark.parametrize('mode', ['linear', 'square', 'log'])
def test_box_losses_are_those_of_mmdet(mode):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 40, 4, generator=generator) * 50
    boxes, targets = torch.cat((corners[..., :2], corners[..., :2] + corners[..., 2:]), 2)
    boxes[0], boxes[1] = targets[0], torch.zeros(4)
    boxes[2] = boxes[2] + 1000  # nothing in common
    boxes.requires_grad_()
    loss = MODELS.build(dict(type='IoULoss', mode=mode, loss_weight=2.0))
    found, expected = box_losses(loss, boxes, targets), loss(
        boxes, targets, reduction_override='none')
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), boxes)[0]
                                 for value in (found, expected)))


def test_other_box_losses_are_called():
    boxes = torch.tensor([[0., 0, 4, 4]])
    loss = MODELS.build(dict(type='GIoULoss'))
    assert box_losses(loss, boxes, boxes + 2) == loss(boxes, boxes + 2)
