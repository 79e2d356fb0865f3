"""From backbone levels to one feature map of stride 8."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule, caffe2_xavier_init, kaiming_init
from torch import Tensor, nn

from ..masks import upload
from ..registry import MODELS as OF_OUR_SCOPE
from ..text import plural


class MeanGrid(nn.AdaptiveAvgPool2d):
    """Means over a grid of ``output_size`` x ``output_size`` cells of a map.

    The gradient of torch's own pooling has no deterministic form on a GPU; that of a product with
    the matrices of means has.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, size, size)."""
        if x.device.type == 'cpu' or not torch.are_deterministic_algorithms_enabled():
            return super().forward(x)
        rows, columns = (upload(mean_matrix(side, self.output_size), x.device).to(x.dtype)
                         for side in x.shape[-2:])
        return rows @ x @ columns.t()


def mean_matrix(length: int, cells: int) -> Tensor:
    """Matrix (cells, length) of the means that adaptive pooling takes of ``length`` samples."""
    matrix = torch.zeros(cells, length)
    for cell, row in enumerate(matrix):
        start, stop = cell * length // cells, -(-(cell + 1) * length // cells)
        row[start:stop] = 1 / (stop - start)
    return matrix


class PyramidPooling(nn.Module):
    """Context of a map at several grids (PSPNet, CVPR 2017).

    The map is averaged to each grid of ``pool_sizes``, projected to a quarter of the channels,
    resized back and concatenated in front of the map itself.

    Args:
        channels: Channels of the input and of the result.
        pool_sizes: Side of each grid.
    """

    def __init__(self, channels: int, pool_sizes: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        inner = channels // 4
        self.stages = nn.ModuleList(
            nn.Sequential(MeanGrid(size), nn.Conv2d(channels, inner, 1))
            for size in pool_sizes)
        self.bottleneck = nn.Conv2d(channels + inner * len(pool_sizes), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h, w)."""
        pooled = [F.interpolate(stage(x).relu(), size=x.shape[-2:], mode='bilinear',
                                align_corners=False) for stage in self.stages]
        return self.bottleneck(torch.cat([*pooled, x], dim=1)).relu()


@MODELS.register_module()
class LordreEncoder(BaseModule):
    """The neck of Lordre (SparseInst, CVPR 2022): a feature pyramid fused to one map.

    Lateral 1x1 convolutions, pyramid pooling on the coarsest level, a top-down path with nearest
    upsampling, a 3x3 convolution a level, and a 1x1 fusion of all levels at the finest size.

    Args:
        in_channels: Channels of the levels, fine to coarse.
        out_channels: Channels everywhere inside and of the result.
        pool_sizes: Grids of the pyramid pooling.

    Raises:
        ValueError: If ``in_channels`` is not a list, or the number of levels given to
            :meth:`forward` is another one.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 1024, 2048), out_channels: int = 256,
                 pool_sizes: Sequence[int] = (1, 2, 3, 6), init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        if isinstance(in_channels, int):
            raise ValueError(f'in_channels of LordreEncoder must be a list with a number for each '
                             f'level, not {in_channels}')
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        # index 0 is the coarsest level, as in the published files
        self.fpn_laterals = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in reversed(self.in_channels))
        self.fpn_outputs = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in self.in_channels)
        self.ppm = PyramidPooling(out_channels, tuple(pool_sizes))
        self.fusion = nn.Conv2d(out_channels * len(self.in_channels), out_channels, 1)

    def init_weights(self) -> None:
        super().init_weights()
        if self.init_cfg:
            return
        for conv in [*self.fpn_laterals, *self.fpn_outputs]:
            caffe2_xavier_init(conv)
        kaiming_init(self.fusion)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Fuse the levels.

        Args:
            inputs: One map (B, C_k, h_k, w_k) a level, fine to coarse, each half the size of the
                one before.

        Returns:
            A tuple of one map (B, out_channels, h_0, w_0).

        Raises:
            ValueError: Another number of levels than ``in_channels`` has.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(
                f'LordreEncoder was built for {plural(len(self.in_channels), "level")} '
                f'(in_channels={self.in_channels}) but got {len(inputs)}: give the backbone as '
                'many out_indices')
        weights = self.fusion.weight.split(self.out_channels, dim=1)
        path = fused = None
        for k, x in enumerate(reversed(inputs)):
            lateral = self.fpn_laterals[k](x)
            if path is None:
                path = self.ppm(lateral)
            else:
                path = lateral + F.interpolate(path, size=lateral.shape[-2:], mode='nearest')
            # A 1x1 convolution and a bilinear resize commute, so each level is projected at its
            # own size and only the sum is made at the finest one.
            finest = k + 1 == len(inputs)
            level = F.conv2d(self.fpn_outputs[k](path), weights[len(inputs) - 1 - k],
                             self.fusion.bias if finest else None)
            if not finest:
                level = F.interpolate(level, size=inputs[0].shape[-2:], mode='bilinear',
                                      align_corners=False)
            fused = level if fused is None else fused + level
        return (fused, )


# The paper's name, under which mmdet's projects/SparseInst registers a class of its own
OF_OUR_SCOPE.register_module(name='InstanceContextEncoder', module=LordreEncoder)
