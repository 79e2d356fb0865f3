"""Convolutions whose training holds one map a layer instead of two.

The backward pass of convolution, GroupNorm and ReLU needs the convolution's output, for the norm,
and the ReLU's, for the next convolution and its own sign. The second follows from the first in a
pass over memory, so only the first is kept.
"""
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..masks import chunk_size

Remake = Callable[[], Tensor]


class _NormReLU(torch.autograd.Function):
    """ReLU of GroupNorm that keeps its input only."""

    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        sizes = (x.shape[0], x.shape[1], x[0, 0].numel())
        out, mean, rstd = torch.native_group_norm(x, weight, bias, *sizes, groups, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.eps = groups, eps
        return out.relu_()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight, bias, mean, rstd = ctx.saved_tensors
        mean, rstd = mean.view(-1, ctx.groups), rstd.view(-1, ctx.groups)
        grad_x, grad_weight, grad_bias = (torch.empty_like(part) for part in (x, weight, bias))
        # groups are independent: a few at a time keep what is made again small
        channels = x.shape[1] // ctx.groups
        step = chunk_size(len(x) * channels * x[0, 0].numel(), device=x.device)
        for start in range(0, ctx.groups, step):
            groups = slice(start, min(start + step, ctx.groups))
            part = slice(groups.start * channels, groups.stop * channels)
            count = groups.stop - groups.start
            values, scale = x[:, part].contiguous(), weight[part]
            out = F.group_norm(values, count, scale, bias[part], ctx.eps)
            masked = torch.mul(grad[:, part], out > 0, out=out)
            sizes = (len(x), count * channels, x[0, 0].numel())
            grad_x[:, part], grad_weight[part], grad_bias[part] = (
                torch.ops.aten.native_group_norm_backward(
                    masked, values, mean[:, groups].contiguous(), rstd[:, groups].contiguous(),
                    scale, *sizes, count, (True, True, True)))
        return grad_x, grad_weight, grad_bias, None, None


def _can_remake(x: Tensor, norm: nn.Module) -> bool:
    return (torch.is_grad_enabled() and x.requires_grad and type(norm) is nn.GroupNorm
            and norm.affine and x.is_contiguous() and x.dtype == norm.weight.dtype
            # the compiler decides by itself what to keep
            and not torch.compiler.is_compiling())


def apply_remade(module: Callable[[Tensor], Tensor], x: Tensor, remake: Remake | None) -> Tensor:
    """``module(x)``; where its backward pass wants ``x``, ``remake`` makes it again.

    Args:
        module: Anything differentiable of one tensor.
        x: Its input.
        remake: Returns a tensor equal to ``x``; None to keep ``x`` as usual.
    """
    if remake is None:
        return module(x)
    # what identifies x without keeping it
    pointer, shape, dtype = x.data_ptr(), x.shape, x.dtype

    def pack(saved):
        same = (saved.data_ptr(), saved.shape, saved.dtype) == (pointer, shape, dtype)
        return remake if same else saved

    with torch.autograd.graph.saved_tensors_hooks(
            pack, lambda saved: saved() if callable(saved) else saved):
        return module(x)


def run_layer(layer: ConvModule, x: Tensor,
              remake: Remake | None = None) -> tuple[Tensor, Remake | None]:
    """Run convolution, GroupNorm and ReLU.

    Args:
        layer: Convolution, norm and ReLU in this order.
        x: Its input.
        remake: What :func:`run_layer` returned with ``x``, if ``x`` came from it.

    Returns:
        The output, and a function that makes it again (None where that is of no use).
    """
    x = apply_remade(layer.conv, x, remake)
    if not layer.with_norm:
        return layer.activate(x), None
    return norm_relu(layer.norm, x)


def norm_relu(norm: nn.Module, x: Tensor) -> tuple[Tensor, Remake | None]:
    """ReLU of a norm, with what makes it again; see :func:`run_layer`."""
    if x.device.type == 'cpu' and isinstance(norm, nn.GroupNorm):
        # a CPU's norm takes five times as long on groups of few channels in channels-last order
        x = x.contiguous()
    if not _can_remake(x, norm):
        return F.relu(norm(x), inplace=True), None
    out = _NormReLU.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    x = x.detach()

    def again():
        with torch.no_grad():
            return F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps).relu_()

    return out, again


def run_tower(layers: Sequence[ConvModule], last: nn.Module, x: Tensor) -> Tensor:
    """Run layers one after the other, then ``last``.

    Args:
        layers: Convolution, norm and ReLU each.
        last: A convolution.
        x: (B, C, h, w).
    """
    remake = None
    for layer in layers:
        x, remake = run_layer(layer, x, remake)
    return apply_remade(last, x, remake)
