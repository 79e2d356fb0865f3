"""AggMask: aggregation of neighboring masks on SOLO."""
from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..grid.heads import check_levels
from ..grid.norm_relu import apply_remade, run_layer
from .base_head import BaseAggMaskHead
from .layers import NormalLayers
from .targets import MapGroup


@MODELS.register_module()
class AggMaskHead(BaseAggMaskHead):
    """AggMask on `SOLO <https://arxiv.org/abs/1912.04488>`_: a map for each mask cell.

    A mask cell's map is one output channel of a 1x1 convolution of the instance tower, at twice
    the level's size; the channel's weights are the cell's kernel. Fusion weights come from the
    class tower.

    From "Learning to Aggregate Neighboring Mask Representations" (AggMask); arguments as in
    :class:`~mmdet_lordre.aggmask.base_head.BaseAggMaskHead`.
    """

    def __init__(self, num_classes: int, in_channels: int = 256, *, stacked_convs: int = 7,
                 weight_kernel: int = 3, weight_activation: str | None = 'tanh', **kwargs):
        super().__init__(num_classes, in_channels, stacked_convs=stacked_convs,
                         weight_kernel=weight_kernel, weight_activation=weight_activation,
                         **kwargs)

    def _init_branches(self) -> None:
        self.ins_convs = self._tower(self.in_channels + 2)
        self.cate_convs = self._tower(self.in_channels)
        self.solo_ins_list = NormalLayers(
            (nn.Conv2d(self.feat_channels, grid**2, 1) for grid in self.mask_grids), prior=0.01)

    def forward(self, x: Sequence[Tensor]) -> tuple:
        """The network.

        Args:
            x: Levels of the pyramid, (B, in_channels, h, w), finest first.

        Returns:
            - cls_logits: by level, (B, num_classes, S, S).
            - mask_feats: by level, (B, feat_channels, h, w).
            - kernels: (mask cells, feat_channels + 1), the last column a bias.
            - table: what fusion weights are predicted from, (B, feat_channels, positions).
            - context: (B, context_channels, h, w) at the finest level's size, or None.

        Raises:
            UserError: If the levels are others than the head is built for.
        """
        check_levels(x, self.in_channels, len(self.strides), 'model.mask_head')
        cls_logits, mask_feats, weight_feats = [], [], []
        for feat, grid in zip(self.split_feats(x), self.num_grids, strict=True):
            instance, remake = self.with_coordinates(feat), None
            for layer in self.ins_convs:
                instance, remake = run_layer(layer, instance, remake)
            mask_feats.append(instance)
            tower, remake = self._run_tower(self.cate_convs, feat, grid)
            weight_feats.append(tower)
            cls_logits.append(apply_remade(self.solo_cate, tower, remake))
        kernels = torch.cat([torch.cat((conv.weight.flatten(1), conv.bias[:, None]), dim=1)
                             for conv in self.solo_ins_list])
        return (cls_logits, mask_feats, kernels, self.tables.flatten(weight_feats),
                self._context(x))

    def map_groups(self, mask_feats: Sequence[Tensor]) -> list[MapGroup]:
        sizes = [(feat.shape[-2] * 2, feat.shape[-1] * 2) for feat in mask_feats]
        return [MapGroup(level, level + 1, size, self.mask_stride * round(sizes[0][0] / size[0]))
                for level, size in enumerate(sizes)]

    def kernels_of(self, kernels: Tensor, image: int) -> Tensor:
        return kernels

