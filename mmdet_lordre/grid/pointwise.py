"""A 1x1 convolution, GroupNorm and ReLU of a large map, a few groups at a time.

The mask features are the widest map of SOLOv2. Groups of channels do not see each other, in the
norm or in a 1x1 convolution, so neither the map before the norm nor its gradient has to exist as
a whole.
"""
import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..masks import chunk_size


class _PointwiseNormReLU(torch.autograd.Function):
    """Keeps its input and each group's mean and deviation."""

    @staticmethod
    def forward(ctx, x, kernel, weight, bias, groups, eps):
        flat = x.flatten(2)
        out = x.new_empty(len(x), len(kernel), *x.shape[2:])
        means, rstds = x.new_empty(2, len(x), groups)
        for part, span in _spans(x, kernel, groups):
            count = span.stop - span.start
            values = torch.matmul(kernel[part], flat)
            made, means[:, span], rstds[:, span] = torch.native_group_norm(
                values, weight[part], bias[part], *values.shape, count, eps)
            out[:, part] = made.relu_().view(len(x), -1, *x.shape[2:])
        ctx.save_for_backward(x, kernel, weight, bias, means, rstds)
        ctx.groups = groups
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, kernel, weight, bias, means, rstds = ctx.saved_tensors
        flat, grad = x.flatten(2), grad.flatten(2)
        grad_x = torch.zeros_like(flat)
        grad_kernel, grad_weight, grad_bias = (torch.empty_like(p) for p in (kernel, weight, bias))
        for part, span in _spans(x, kernel, ctx.groups):
            count = span.stop - span.start
            values = torch.matmul(kernel[part], flat)
            mean, rstd = means[:, span].contiguous(), rstds[:, span].contiguous()
            # the sign of the normalized map, without the map
            per = (part.stop - part.start) // count
            scale = rstd.repeat_interleave(per, 1) * weight[part]
            shift = bias[part] - mean.repeat_interleave(per, 1) * scale
            shown = torch.addcmul(shift[..., None], values, scale[..., None]) > 0
            masked = grad[:, part] * shown
            inner, grad_weight[part], grad_bias[part] = torch.ops.aten.native_group_norm_backward(
                masked, values, mean, rstd, weight[part], *values.shape, count,
                (True, True, True))
            grad_kernel[part] = torch.einsum('bcp,bdp->cd', inner, flat)
            for image, change in zip(grad_x, inner):
                image.addmm_(kernel[part].t(), change)
        return grad_x.view_as(x), grad_kernel, grad_weight, grad_bias, None, None


def _spans(x, kernel, groups):
    """(slice of channels, slice of groups) for every few groups."""
    channels = len(kernel) // groups
    step = chunk_size(len(x) * channels * x[0, 0].numel(), device=x.device)
    for start in range(0, groups, step):
        stop = min(start + step, groups)
        yield slice(start * channels, stop * channels), slice(start, stop)


def run_pointwise(layer: ConvModule, x: Tensor) -> Tensor | None:
    """Run a layer that is a 1x1 convolution, GroupNorm and ReLU in training.

    Args:
        layer: Convolution, norm and ReLU in this order.
        x: (B, C, h, w).

    Returns:
        Its output; None if it is another layer, or nothing is to be kept for a backward pass.
    """
    conv, norm = layer.conv, layer.norm if layer.with_norm else None
    fits = (type(conv) is nn.Conv2d and conv.kernel_size == (1, 1) and conv.stride == (1, 1)
            and conv.groups == 1 and conv.bias is None and type(norm) is nn.GroupNorm
            and norm.affine and type(getattr(layer, 'activate', None)) is nn.ReLU)
    if not (fits and torch.is_grad_enabled() and x.requires_grad and x.is_contiguous()
            and x.dtype == conv.weight.dtype == norm.weight.dtype
            and not torch.is_autocast_enabled(x.device.type)
            # the compiler decides by itself what to keep
            and not torch.compiler.is_compiling()):
        return None
    return _PointwiseNormReLU.apply(x, conv.weight.flatten(1), norm.weight, norm.bias,
                                    norm.num_groups, norm.eps)
