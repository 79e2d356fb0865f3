"""A 3x3 convolution by fewer multiplications is the same convolution."""
import pytest
import torch
from torch import nn

from mmdet_lordre.deployment.winograd import MIN_CHANNELS, WinogradConv2d, suits, use_winograd


def conv(inputs, outputs, **options):
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, **dict(padding=1, **options))


def test_by_hand():
    """One bright pixel in the middle gives the kernel, turned by half a turn."""
    layer = conv(1, 1, bias=False)
    layer.weight.data = torch.arange(1.0, 10).view(1, 1, 3, 3)
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.arange(9.0, 0, -1).view(3, 3)
    torch.testing.assert_close(WinogradConv2d(layer)(x)[0, 0], expected)


@pytest.mark.parametrize('shape', [(1, 1), (4, 8), (9, 10), (13, 3)])
@pytest.mark.parametrize('batch, inputs, outputs, options', [
    (1, 5, 7, {}), (3, 8, 12, dict(groups=4)), (2, 6, 4, dict(groups=2, bias=False))])
def test_equals_the_direct_sum(shape, batch, inputs, outputs, options):
    layer = conv(inputs, outputs, **options).double()
    x = torch.randn(batch, inputs, *shape, dtype=torch.float64)
    for some in (x, x.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(WinogradConv2d(layer)(some), layer(x), rtol=1e-12, atol=1e-12)


def test_rounding_is_as_stated():
    layer = conv(256, 64)
    x = torch.randn(1, 256, 20, 20)
    expected = layer.double()(x.double())
    error = (WinogradConv2d(layer.float())(x) - expected).abs().max()
    assert error < 2e-5 * expected.abs().max()


@pytest.mark.parametrize('layer, expected', [
    (conv(64, 64), True), (conv(256, 256, groups=4), True), (conv(63, 64), False),
    (conv(128, 128, groups=4), False), (conv(64, 64, stride=2), False),
    (conv(64, 64, dilation=2), False), (conv(64, 64, padding_mode='reflect'), False),
    (nn.Conv2d(64, 64, 3), False), (nn.Conv2d(64, 64, 5, padding=1), False),
    (nn.ReLU(), False)])
def test_what_suits(layer, expected):
    assert MIN_CHANNELS == 64 and suits(layer) == expected


def test_a_shared_layer_and_others():
    layer = conv(64, 64)
    model = nn.Sequential(nn.Sequential(layer, nn.ReLU()), nn.Conv2d(64, 8, 1))
    x = torch.randn(1, 64, 6, 6)
    with torch.no_grad():
        expected = model(x)
        found = use_winograd(model)
        assert found is model and isinstance(model[0][0], WinogradConv2d)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
