"""The context that every mask of an image shares."""
from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from ..grid.heads import check_groups
from ..grid.norm_relu import apply_remade, norm_relu


def resize_corners(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize that keeps the corner samples in place (``align_corners=True``)."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=True)


class ContextBranch(nn.Sequential):
    """A few channels that summarize all levels of the pyramid at the finest one's size.

    The parameters are those of the published model (one 1x1 convolution over all levels,
    concatenated at the finest size). A 1x1 convolution and a resize commute, so each level is
    convolved at its own size and the sum of the resized results is taken: the concatenation of
    all levels is never made and four fifths of the multiplications fall away.

    Args:
        in_channels: Channels of a level.
        num_levels: Levels of the pyramid.
        out_channels: Channels of the context.
        layers: 1 (one convolution) or 2 (one of ``in_channels``, normalized, first).
        norm_cfg: That normalization.
    """

    def __init__(self, in_channels: int, num_levels: int, out_channels: int, layers: int = 2,
                 norm_cfg: dict = dict(type='GN', num_groups=32)):
        if layers not in (1, 2):
            raise ValueError(f'context_layers must be 1 or 2, not {layers!r}')
        total = in_channels * num_levels
        if layers == 1:
            modules = [nn.Conv2d(total, out_channels, 1), nn.ReLU()]
        else:
            check_groups(norm_cfg, in_channels=in_channels)
            modules = [nn.Conv2d(total, in_channels, 1),
                       build_norm_layer(norm_cfg, in_channels)[1], nn.ReLU(),
                       nn.Conv2d(in_channels, out_channels, 1), nn.ReLU()]
        super().__init__(*modules)
        self.in_channels = in_channels

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Context (B, out_channels, h, w) of levels (B, in_channels, h_l, w_l), finest first."""
        first = self[0]
        size = feats[0].shape[-2:]
        weights = first.weight.split(self.in_channels, dim=1)
        context = F.conv2d(feats[0], weights[0], first.bias)
        for feat, weight in zip(feats[1:], weights[1:], strict=True):
            context += resize_corners(F.conv2d(feat, weight), size)
        if len(self) == 2:
            return context.relu_()
        return apply_remade(self[3], *norm_relu(self[1], context)).relu_()
