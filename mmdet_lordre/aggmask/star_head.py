"""AggMask*: aggregation of neighboring masks on SOLOv2."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..grid.heads import check_levels
from ..grid.norm_relu import apply_remade, run_layer
from .base_head import BaseAggMaskHead
from .layers import NormalLayers, conv_relu
from .targets import MapGroup

# Levels that the feature branch adds up, at most; the coarsest of them is given coordinates.
_FEATURE_LEVELS = 4


@MODELS.register_module()
class AggMaskStarHead(BaseAggMaskHead):
    """AggMask* on `SOLOv2 <https://arxiv.org/abs/2003.10152>`_: a kernel for each mask cell.

    A mask cell's map is its kernel times the features of one branch, at a quarter of the network
    input's size for all levels. Fusion weights come from a tower of their own.

    From "Learning to Aggregate Neighboring Mask Representations" (AggMask); arguments as in
    :class:`~mmdet_lordre.aggmask.base_head.BaseAggMaskHead`, and

    Args:
        shared_tower: Predict fusion weights from the class tower, as AggMask does: a tower less to
            compute, and classes are learned from masks, too. An addition to the published method.
    """

    def __init__(self, num_classes: int, in_channels: int = 256, *, weight_kernel: int = 1,
                 shared_tower: bool = False, **kwargs):
        self.shared_tower = shared_tower
        super().__init__(num_classes, in_channels, weight_kernel=weight_kernel, **kwargs)

    def _init_branches(self) -> None:
        self.feature_levels = min(_FEATURE_LEVELS, len(self.strides))
        self.feature_convs = NormalLayers(self._feature_level(level)
                                          for level in range(self.feature_levels))
        self.kernel_convs = self._tower(self.in_channels + 2)
        if not self.shared_tower:
            self.kernel_convs_convcomb = self._tower(self.in_channels + 2)
        self.cate_convs = self._tower(self.in_channels)
        self.solo_kernel = nn.Conv2d(self.feat_channels, self.feat_channels, 1)
        self.solo_mask = ConvModule(self.feat_channels, self.feat_channels, 1,
                                    norm_cfg=self.norm_cfg)

    def _feature_level(self, level: int) -> nn.Sequential:
        """The convolutions of a level, one for each doubling of its size (one for the finest)."""
        layers = nn.Sequential()
        channels = self.in_channels + (2 if level == self.feature_levels - 1 else 0)
        for step in range(max(level, 1)):
            layers.add_module(f'conv{step}', ConvModule(
                channels, self.feat_channels, 3, padding=1, bias=False))
            channels = self.feat_channels
        return layers

    def mask_features(self, x: Sequence[Tensor]) -> Tensor:
        """Features (B, feat_channels, h, w) that all kernels meet, at the finest level's size."""
        total = conv_relu(self.feature_convs[0][0], x[0])
        for level in range(1, self.feature_levels):
            feat = x[level]
            if level == self.feature_levels - 1:
                feat = self.with_coordinates(feat)
            for step, layer in enumerate(self.feature_convs[level]):
                feat = F.interpolate(conv_relu(layer, feat), size=x[level - 1 - step].shape[-2:],
                                     mode='bilinear', align_corners=False)
            total += feat
        return run_layer(self.solo_mask, total)[0]

    def forward(self, x: Sequence[Tensor]) -> tuple:
        """The network.

        Args:
            x: Levels of the pyramid, (B, in_channels, h, w), finest first.

        Returns:
            - cls_logits: by level, (B, num_classes, S, S).
            - mask_feats: one tensor (B, feat_channels, h, w) in a list.
            - kernels: (B, mask cells, feat_channels).
            - table: what fusion weights are predicted from, (B, feat_channels, positions).
            - context: (B, context_channels, h, w) at the finest level's size, or None.

        Raises:
            UserError: If the levels are others than the head is built for.
        """
        check_levels(x, self.in_channels, len(self.strides), 'model.mask_head')
        cls_logits, kernels, weight_feats = [], [], []
        for feat, grid, mask_grid in zip(self.split_feats(x), self.num_grids, self.mask_grids,
                                         strict=True):
            placed = self.with_coordinates(feat)
            if self.cls_down_index == 0 and grid == mask_grid:
                # one resize for all towers
                feat = self._on_grid(feat, grid)
                placed = torch.cat((feat, self._on_grid(placed[:, -2:].detach(), grid)), dim=1)
            tower = self._run_tower(self.kernel_convs, placed, mask_grid)
            kernels.append(apply_remade(self.solo_kernel, *tower).flatten(2))
            tower = self._run_tower(self.cate_convs, feat, grid)
            cls_logits.append(apply_remade(self.solo_cate, *tower))
            weight_feats.append(tower[0] if self.shared_tower else
                                self._run_tower(self.kernel_convs_convcomb, placed, grid)[0])
        return (cls_logits, [self.mask_features(x)], torch.cat(kernels, dim=2).transpose(1, 2),
                self.tables.flatten(weight_feats), self._context(x))

    def map_groups(self, mask_feats: Sequence[Tensor]) -> list[MapGroup]:
        size = tuple(mask_feats[0].shape[-2:])
        return [MapGroup(0, len(self.strides), size, self.mask_stride)]

    def kernels_of(self, kernels: Tensor, image: int) -> Tensor:
        return kernels[image]
