"""mmcv's deformable convolutions as one operator that the compiler knows by its shape.

For inference: it has no gradient. It computes in float32 where mmcv has no kernel for the type.
"""
import torch
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack
from mmcv.ops.deform_conv import DeformConv2dFunction
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
from torch import Tensor, nn


# torch 2.6 does not read a schema from annotations like these
@torch.library.custom_op('mmdet_lordre::deform_conv2d', mutates_args=(), schema=(
    '(Tensor x, Tensor offset, Tensor? mask, Tensor weight, Tensor? bias, SymInt[] stride, '
    'SymInt[] padding, SymInt[] dilation, SymInt groups, SymInt deform_groups) -> Tensor'))
def deform_conv2d(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor,
                  bias: Tensor | None, stride: list[int], padding: list[int],
                  dilation: list[int], groups: int, deform_groups: int) -> Tensor:
    """Deformable convolution, modulated if there is a mask (B, deform_groups * k * k, h, w).

    Args:
        x: (B, C, H, W).
        offset: (B, 2 * deform_groups * k * k, h, w), y and x of each place in pixels.
        mask: What each place counts, or None.
        weight: (out, C / groups, k, k).
        bias: (out,), or None.
        stride, padding, dilation: In y and x.
        groups: Of the convolution.
        deform_groups: Groups of channels that share offsets.

    Returns:
        (B, out, h, w).
    """
    settings = (tuple(stride), tuple(padding), tuple(dilation), groups, deform_groups)
    dtype = x.dtype
    if dtype == torch.bfloat16 or x.device.type == 'cpu':
        x, offset, weight = x.float(), offset.float(), weight.float()
        mask, bias = (None if part is None else part.float() for part in (mask, bias))
    if mask is None:
        out = DeformConv2dFunction.apply(x.contiguous(), offset.contiguous(), weight, *settings)
        return (out if bias is None else out + bias[:, None, None]).to(dtype)
    return ModulatedDeformConv2dFunction.apply(
        x.contiguous(), offset.contiguous(), mask.contiguous(), weight, bias, *settings).to(dtype)


@deform_conv2d.register_fake
def _(x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups):
    return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])


class KnownDeformConv(nn.Module):
    """What a ``DeformConv2dPack`` or ``ModulatedDeformConv2dPack`` computes, by the operator.

    Args:
        conv: The module, whose parameters are used.
    """

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, out, h', w')."""
        conv = self.conv
        offset, mask = conv.conv_offset(x), None
        if isinstance(conv, ModulatedDeformConv2dPack):
            first, second, mask = offset.chunk(3, dim=1)
            offset, mask = torch.cat((first, second), dim=1), mask.sigmoid()
        x, weight = x.to(offset.dtype), conv.weight.to(offset.dtype)
        return deform_conv2d(x, offset, mask, weight, getattr(conv, 'bias', None),
                             *(list(value) for value in (conv.stride, conv.padding,
                                                         conv.dilation)),
                             conv.groups, conv.deform_groups)


def use_known_operators(model: nn.Module) -> nn.Module:
    """Change the deformable convolutions of a model, in place, so that it compiles whole."""
    for module in list(model.modules()):
        if isinstance(module, KnownDeformConv):
            continue
        for name, child in list(module.named_children()):
            if isinstance(child, DeformConv2dPack | ModulatedDeformConv2dPack):
                setattr(module, name, KnownDeformConv(child))
    return model
