"""Weight gradients of 3x3 convolutions with a quarter of the multiplications, on a CPU in float32.

F(3x3, 4x4) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
with the usual points 0, 1, -1, 2, -2 and infinity: what a tile of 4x4 outputs adds to the gradient
of a kernel takes 36 products of channels instead of 144. Where the channels of a pixel lie side by
side, a CPU with AVX2 takes longer for weight gradients than for both other passes together.
"""
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

#: The transforms of six inputs in a row, of four outputs' gradients, and of six products to three
#: weights; each is used from both sides.
_INPUTS = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
           (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
_OUTPUTS = ((1, 0, 0, 0), (1, 1, 1, 1), (1, -1, 1, -1), (1, 2, 4, 8), (1, -2, 4, -8), (0, 0, 0, 1))
_WEIGHTS = ((1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 0),
            (0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0),
            (0, -1 / 6, -1 / 6, 1 / 6, 1 / 6, 1))
#: Convolutions with fewer channels win nothing.
_MIN_CHANNELS = 32
#: Nor do maps of fewer tiles.
_MIN_TILES = 16
#: Bytes of transformed inputs at a time, which stay in the cache.
_PIECE = 2**19


@HOOKS.register_module()
class WinogradHook(Hook):
    """Train 3x3 convolutions with weight gradients by Winograd's minimal filtering.

    Only on a CPU, in float32: elsewhere they are computed as usual. Outputs and the gradients of
    inputs do not change, those of weights up to rounding (3e-6 to 5e-6 of the largest). The model
    is stored and validated as usual. Made for channels last.
    """

    def before_train(self, runner: Runner) -> None:
        use_winograd_gradients(runner.model)

    def after_train(self, runner: Runner) -> None:
        for module in runner.model.modules():
            if type(module) is WinogradGradConv2d:
                module.__class__ = nn.Conv2d


def module_suits(module: nn.Module, channels: int) -> bool:
    """Whether a module is a 3x3 convolution of stride 1 and padding 1.

    Args:
        module: Any.
        channels: That it has at least, in and out, of each group.
    """
    return (type(module) is nn.Conv2d and module.kernel_size == (3, 3)
            and module.stride == module.padding == module.dilation == (1, 1)
            and module.padding_mode == 'zeros'
            and min(module.in_channels, module.out_channels) >= channels * module.groups)


def use_winograd_gradients(model: nn.Module) -> None:
    """Train the 3x3 convolutions of a model in this way; what a copy of it holds is the same."""
    for module in model.modules():
        if module_suits(module, _MIN_CHANNELS) and module.groups == 1:
            module.__class__ = WinogradGradConv2d


class WinogradGradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1 and padding 1 while it is trained."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if (input.dtype == weight.dtype == torch.float32 and input.device.type == 'cpu'
                and input.dim() == 4 and weight.requires_grad and torch.is_grad_enabled()
                and not torch.is_autocast_enabled('cpu') and not torch.compiler.is_compiling()
                and _tiles(input).numel() >= _MIN_TILES):
            return _Convolution.apply(input, weight, bias)
        return super()._conv_forward(input, weight, bias)


class _Convolution(torch.autograd.Function):
    """``conv2d(x, weight, bias, padding=1)`` of x (B, C, h, w) and weight (out, C, 3, 3)."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.nn.grad.conv2d_input(x.shape, weight, grad, padding=1)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, grad)
        if ctx.needs_input_grad[2]:
            of_bias = grad.sum((0, 2, 3))
        return of_x, of_weight, of_bias


def weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the kernel of a 3x3 convolution of stride 1 and padding 1.

    Args:
        x: Inputs (B, C, h, w), float32.
        grad: Gradient of the outputs, (B, out, h, w).

    Returns:
        Tensor: (out, C, 3, 3).
    """
    inputs, outputs, weights = (_both_sides(m, x) for m in (_INPUTS, _OUTPUTS, _WEIGHTS))
    padded, of_outputs = _whole_tiles(x, 1), _whole_tiles(grad, 0)
    total = x.new_zeros(36, x.shape[1], grad.shape[1])
    for images, rows in _pieces(x):
        points = inputs @ _windows(padded, images, rows, 6).reshape(36, -1)
        products = outputs @ _windows(of_outputs, images, rows, 4).reshape(16, -1)
        total.baddbmm_(points.view(36, -1, x.shape[1]).transpose(1, 2),
                       products.view(36, -1, grad.shape[1]))
    return (weights @ total.view(36, -1)).view(3, 3, *total.shape[1:]).permute(3, 2, 0, 1)


def _tiles(x: Tensor) -> torch.Size:
    """Images, rows and columns of tiles of 4x4 pixels of (B, C, h, w)."""
    return torch.Size((x.shape[0], -(-x.shape[2] // 4), -(-x.shape[3] // 4)))


def _both_sides(matrix, like):
    """A transform from both sides, of all values of a tile."""
    matrix = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(matrix, matrix).to(like)


def _whole_tiles(x, before):
    """(B, C, h, w) to (B, rows, columns, C): whole tiles, and ``before`` pixels on every side."""
    batch, rows, columns = _tiles(x)
    result = x.new_zeros(batch, 4 * rows + 2 * before, 4 * columns + 2 * before, x.shape[1])
    result[:, before:before + x.shape[2], before:before + x.shape[3]] = x.permute(0, 2, 3, 1)
    return result


def _pieces(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Images and rows of tiles, as many at a time as fit into the cache."""
    batch, rows, columns = _tiles(x)
    at_a_time = max(1, _PIECE // (36 * columns * x.shape[1] * x.element_size()))
    images = max(1, at_a_time // rows)
    for image in range(0, batch, images):
        for row in range(0, rows, at_a_time):
            yield (slice(image, min(image + images, batch)),
                   slice(row, min(row + at_a_time, rows)))


def _windows(padded, images, rows, side):
    """Windows (side, side, images, rows, columns, C) of every fourth pixel, without a copy."""
    part = padded[images, 4 * rows.start:]
    a, b, c, d = part.stride()
    return part.as_strided(
        (side, side, len(part), rows.stop - rows.start, padded.shape[2] // 4, part.shape[3]),
        (b, c, a, 4 * b, 4 * c, d))
