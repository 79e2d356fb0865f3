"""Weight gradients by Winograd's filtering: equal to those of the direct sum."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import HOOKS
from torch import nn

from mmdet_lordre.training import winograd
from mmdet_lordre.training.winograd import WinogradGradConv2d, WinogradHook, weight_gradient


def direct(x, grad):
    """In float64."""
    return torch.nn.grad.conv2d_weight(x.double(), (grad.shape[1], x.shape[1], 3, 3),
                                       grad.double(), padding=1)


def test_by_hand():
    """A single one at (5, 6) in the inputs, and a gradient of 2 at its right neighbor below."""
    x, grad = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    x[0, 0, 5, 6], grad[0, 0, 6, 7] = 1, 2
    expected = torch.zeros(1, 1, 3, 3)
    expected[0, 0, 0, 0] = 2  # the output is one row and one column further on than the input
    torch.testing.assert_close(weight_gradient(x, grad), expected)


@pytest.mark.parametrize('piece', [1, 40_000, 2**30], ids=['rows', 'some', 'all'])
@pytest.mark.parametrize('batch, channels, outputs, height, width', [
    (2, 32, 40, 17, 31), (3, 33, 8, 5, 90), (1, 4, 4, 4, 4), (2, 3, 5, 1, 1), (2, 8, 8, 2, 130)])
@pytest.mark.parametrize('order', [torch.channels_last, torch.contiguous_format])
def test_equal_to_the_direct_sum(batch, channels, outputs, height, width, piece, order,
                                 monkeypatch):
    monkeypatch.setattr(winograd, '_PIECE', piece)
    torch.manual_seed(0)
    x = torch.randn(batch, channels, height, width).to(memory_format=order)
    grad = torch.randn(batch, outputs, height, width).to(memory_format=order)
    expected = direct(x, grad)
    found = weight_gradient(x, grad).double()
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 2e-5 * expected.abs().max()


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 48, 3, padding=1),
                         nn.ReLU(), nn.Conv2d(48, 32, 3, padding=1, bias=False),
                         nn.Conv2d(32, 32, 3, padding=1, stride=2),
                         nn.Conv2d(32, 32, 3, padding=1, groups=2))


class Runner:
    def __init__(self, model):
        self.model = model


def gradients(model, x):
    model.zero_grad()
    x = x.clone().requires_grad_()
    output = model(x)
    output.square().mean().backward()
    return output.detach(), x.grad, {name: p.grad for name, p in model.named_parameters()}


@pytest.fixture
def counted(monkeypatch):
    seen = []
    true = winograd.weight_gradient

    def counting(x, grad):
        seen.append(tuple(x.shape))
        return true(x, grad)
    monkeypatch.setattr(winograd, 'weight_gradient', counting)
    return seen


def test_a_model_is_trained_with_them(counted):
    ordinary, ours = model(), model()
    before = copy.deepcopy(ours.state_dict())
    hook = HOOKS.build(dict(type='WinogradHook'))
    hook.before_train(Runner(ours))
    assert [type(m) is WinogradGradConv2d for m in ours] == [False, True, False, True, False, False]
    assert ours.state_dict().keys() == before.keys()
    x = torch.randn(2, 3, 20, 24)
    (out, of_x, expected), (ours_out, ours_x, found) = gradients(ordinary, x), gradients(ours, x)
    assert counted == [(2, 48, 20, 24), (2, 32, 20, 24)]
    assert torch.equal(out, ours_out)
    torch.testing.assert_close(ours_x, of_x)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-7)
    copied = copy.deepcopy(ours)
    hook.after_train(Runner(ours))
    assert not any(type(m) is WinogradGradConv2d for m in ours)
    assert sum(type(m) is WinogradGradConv2d for m in copied) == 2


def test_elsewhere_convolutions_are_as_usual(counted):
    ours = model()
    WinogradHook().before_train(Runner(ours))
    x = torch.randn(2, 3, 20, 24)
    ordinary = model()
    with torch.autocast('cpu', torch.bfloat16):
        gradients(ours, x)
    gradients(ours.double(), x.double())
    ours.float()
    with torch.no_grad():
        assert torch.equal(ours(x), ordinary(x))
    gradients(ours, x[:1, :, :8, :8])  # four tiles
    for p in (*ours[1].parameters(), *ours[3].parameters()):
        p.requires_grad = False
    assert gradients(ours, x)[2]['1.weight'] is None
    assert not counted


def test_frozen_inputs_get_no_gradient(counted):
    conv = nn.Conv2d(32, 32, 3, padding=1)
    winograd.use_winograd_gradients(nn.Sequential(conv))
    x = torch.randn(1, 32, 16, 16)
    conv(x).sum().backward()
    assert len(counted) == 1 and x.grad is None
    expected = torch.autograd.grad(F.conv2d(x, conv.weight, conv.bias, padding=1).sum(),
                                   (conv.weight, conv.bias))
    torch.testing.assert_close((conv.weight.grad, conv.bias.grad), expected, rtol=1e-4, atol=1e-4)


def test_empty_batches():
    conv = WinogradGradConv2d(32, 32, 3, padding=1)
    conv(torch.zeros(0, 32, 16, 16)).sum().backward()
    assert not conv.weight.grad.any()
