"""Parts that the branches share."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, constant_init
from torch import Tensor

from ..grid import coordinate_maps

# All convolutions start from N(0, 0.01), deformable ones included.
CONV_INIT = dict(type='Normal', layer=['Conv2d', 'DeformConv2d', 'ModulatedDeformConv2d'],
                 std=0.01)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize (B, C, h, w) -> (B, C, *size), ``align_corners=False``."""
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)


def append_coordinates(x: Tensor) -> Tensor:
    """Append x and y in [-1, 1], end points included: (B, C, h, w) -> (B, C + 2, h, w)."""
    return torch.cat((x, coordinate_maps(x, x.dtype)), dim=1)


def level_features(x: Sequence[Tensor]) -> list[Tensor]:
    """What the kernel head sees of the pyramid: the first level halved, the last level resized
    to the one before it, the others as they are."""
    features = list(x)
    if len(x) > 1:
        features[-1] = resize(x[-1], x[-2].shape[-2:])
    height, width = x[0].shape[-2:]
    features[0] = resize(x[0], (max(1, height // 2), max(1, width // 2)))
    return features


def reset_offsets(module: BaseModule) -> None:
    """Let deformable convolutions start as plain ones: offsets zero, masks even."""
    for name, child in module.named_modules():
        if name.endswith('conv_offset'):
            constant_init(child, 0)


def conv_norm_relu(in_channels: int, out_channels: int, norm_cfg: dict | None,
                   conv_cfg: dict | None = None, kernel: int = 3) -> ConvModule:
    """Convolution (no bias), normalization, ReLU, keeping the size."""
    return ConvModule(in_channels, out_channels, kernel, padding=kernel // 2, conv_cfg=conv_cfg,
                      norm_cfg=norm_cfg)
