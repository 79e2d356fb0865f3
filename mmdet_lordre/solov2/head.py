"""The kernel head: where objects are, and the kernel that cuts each out of the mask features."""
from collections.abc import Sequence

import torch
from mmdet.models.dense_heads.base_mask_head import BaseMaskHead
from mmdet.models.losses import DiceLoss
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..grid import (
    cell_targets,
    chunked_sum,
    class_loss,
    collect_ground_truths,
    kernel_dice,
    points_nms,
)
from ..grid.detect import TEST_CFG
from ..grid.heads import (
    check_grids,
    check_groups,
    check_levels,
    check_map_size,
    check_mask_sizes,
    complete_test_cfg,
    counts_of_batch,
)
from ..grid.norm_relu import run_tower
from ..masks import chunk_size
from .layers import (
    CONV_INIT,
    append_coordinates,
    conv_norm_relu,
    level_features,
    reset_offsets,
    resize,
)
from .predict import dynamic_masks, predict_batch


@MODELS.register_module()
class SOLOv2KernelHead(BaseMaskHead):
    """Mask head of `SOLOv2: Dynamic and Fast Instance Segmentation
    <https://arxiv.org/abs/2003.10152>`_.

    Each level of the pyramid is resized to a grid. Every cell predicts class logits and a dynamic
    kernel; the kernel's response on the mask features is the mask of the object at the cell.
    Arguments and parameter names are those of mmdet's ``SOLOV2Head``, so its configs need another
    ``type`` only, and its checkpoints load unchanged. Targets are computed for the whole batch at
    once; the memory of the mask loss and of inference does not grow with the number of objects.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the pyramid.
        mask_feature_head: Config of the mask features, by default of type
            ``SOLOv2FeatureBranch``; ``in_channels`` is filled in.
        feat_channels: Width of the towers.
        stacked_convs: Convolutions of each tower.
        strides: By level of the pyramid; a predicted mask must have more pixels, at the stride of
            the mask features, than its level's stride.
        scale_ranges: (lowest, highest) object size, the square root of the box's area in pixels
            of the network input, by level.
        pos_scale: Share of the box whose cells, around the mass center, are positive.
        num_grids: Cells along each side of a level's grid.
        cls_down_index: Not used; accepted since mmdet's configs have it.
        dynamic_conv_size: Side of the dynamic kernels, 1 or 3.
        dcn_cfg: Config of deformable convolutions in the towers, None for plain ones.
        dcn_apply_to_all_conv: Whether all convolutions of the towers are deformable, or the last.
        loss_mask: Config of the mask loss.
        loss_cls: Config of the class loss.
        mask_normalizer: ``'pairs'``: the mask loss is the mean over pairs of a ground truth and
            a positive cell, as published. ``'cells'``: their sum over the number of positive
            cells, as in mmdet; the two differ where objects share cells.
        sync_normalizers: Whether losses are divided by counts over all processes, so that they
            learn what one process with the whole batch does. With False each process divides
            by its own, as published.
        norm_cfg: Normalization of the towers.
        train_cfg: Not used; mmdet passes it.
        test_cfg: ``score_thr``, ``mask_thr``, ``nms_pre``, ``kernel``, ``sigma``, ``filter_thr``,
            ``max_per_img`` and ``mask_format``: ``'bitmap'`` (default) or ``'rle'``.
        init_cfg: Initialization; by default N(0, 0.01), class prior 0.01.

    Raises:
        ValueError: If settings contradict each other.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 mask_feature_head: dict,
                 feat_channels: int = 512,
                 stacked_convs: int = 4,
                 strides: Sequence[int] = (8, 8, 16, 32, 32),
                 scale_ranges: Sequence[tuple[float, float]] = ((1, 96), (48, 192), (96, 384),
                                                                (192, 768), (384, 2048)),
                 pos_scale: float = 0.2,
                 num_grids: Sequence[int] = (40, 36, 24, 16, 12),
                 cls_down_index: int = 0,
                 dynamic_conv_size: int = 1,
                 dcn_cfg: dict | None = None,
                 dcn_apply_to_all_conv: bool = True,
                 loss_mask: dict = dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
                 loss_cls: dict = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
                                       loss_weight=1.0),
                 mask_normalizer: str = 'pairs',
                 sync_normalizers: bool = True,
                 norm_cfg: dict | None = dict(type='GN', num_groups=32, requires_grad=True),
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 init_cfg: dict | list | None = None):
        if init_cfg is None:
            init_cfg = [CONV_INIT, dict(type='Normal', std=0.01, bias_prob=0.01,
                                        override=dict(name='conv_cls'))]
        super().__init__(init_cfg=init_cfg)
        check_grids(strides, scale_ranges, num_grids, pos_scale, stacked_convs)
        if mask_normalizer not in ('pairs', 'cells'):
            raise ValueError(f"mask_normalizer must be 'pairs' or 'cells', not "
                             f'{mask_normalizer!r}')
        if dynamic_conv_size % 2 == 0:
            raise ValueError(f'dynamic_conv_size must be odd, not {dynamic_conv_size}')
        check_groups(norm_cfg, feat_channels=feat_channels)
        self.num_classes = num_classes
        self.cls_out_channels = num_classes
        self.in_channels = in_channels
        self.feat_channels = feat_channels
        self.stacked_convs = stacked_convs
        self.strides = tuple(strides)
        self.scale_ranges = tuple(tuple(span) for span in scale_ranges)
        self.num_grids = tuple(num_grids)
        self.num_levels = len(strides)
        self.pos_scale = pos_scale
        self.dynamic_conv_size = dynamic_conv_size
        self.mask_normalizer, self.sync_normalizers = mask_normalizer, sync_normalizers
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_cls = MODELS.build(loss_cls)
        self.train_cfg = train_cfg
        self.test_cfg = ConfigDict(complete_test_cfg(type(self).__name__, test_cfg, TEST_CFG))

        branch = dict(type='SOLOv2FeatureBranch', in_channels=in_channels) | mask_feature_head
        if branch['in_channels'] != in_channels:
            raise ValueError(f'mask_feature_head has in_channels={branch["in_channels"]}, the head '
                             f'{in_channels}: leave it out of mask_feature_head')
        self.kernel_out_channels = branch['out_channels'] * dynamic_conv_size**2
        self.cls_convs = nn.ModuleList()
        self.kernel_convs = nn.ModuleList()
        for i in range(stacked_convs):
            deformed = dcn_apply_to_all_conv or i == stacked_convs - 1
            layer = dict(out_channels=feat_channels, norm_cfg=norm_cfg,
                         conv_cfg=dcn_cfg if deformed else None)
            self.kernel_convs.append(conv_norm_relu(feat_channels if i else in_channels + 2,
                                                    **layer))
            self.cls_convs.append(conv_norm_relu(feat_channels if i else in_channels, **layer))
        self.conv_cls = nn.Conv2d(feat_channels, num_classes, 3, padding=1)
        self.conv_kernel = nn.Conv2d(feat_channels, self.kernel_out_channels, 3, padding=1)
        self.mask_feature_head = MODELS.build(branch)
        if (last := getattr(self.mask_feature_head, 'end_level', 0)) >= len(strides):
            raise ValueError(f'mask_feature_head has end_level={last}, but the last level of the '
                             f'head is {len(strides) - 1}: set mask_feature_head.end_level')
        self.mask_stride = self.mask_feature_head.mask_stride

    def init_weights(self) -> None:
        """Initialize; deformable convolutions start as plain ones."""
        super().init_weights()
        reset_offsets(self)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Run the network part.

        Args:
            x: Pyramid levels (B, in_channels, h, w).

        Returns:
            - Dynamic kernels of each level, (B, kernel_out_channels, S, S).
            - Class logits of each level, (B, num_classes, S, S).
            - Mask features (B, out_channels, h, w) at ``mask_stride``.

        Raises:
            UserError: If the levels are others than the head is built for.
        """
        check_levels(x, self.in_channels, self.num_levels, 'model.mask_head')
        kernels, logits = [], []
        for feature, grid in zip(level_features(x), self.num_grids, strict=True):
            kernel = resize(append_coordinates(feature), (grid, grid))
            cls = kernel[:, :-2].contiguous()
            kernels.append(run_tower(self.kernel_convs, self.conv_kernel, kernel))
            logits.append(run_tower(self.cls_convs, self.conv_cls, cls))
        # last, so that the backward pass frees its large maps first
        return kernels, logits, self.mask_feature_head(x)

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList, **kwargs) -> dict:
        """Losses of a batch.

        Args:
            x: Pyramid levels.
            batch_data_samples: With ``gt_instances`` of bboxes, labels and masks in pixels of the
                network input; masks may be padded to the batch or not.

        Returns:
            ``loss_mask`` and ``loss_cls``.
        """
        batch_gt_instances, _, batch_img_metas = unpack_gt_instances(batch_data_samples)
        return self.loss_by_feat(*self(x), batch_gt_instances, batch_img_metas)

    def targets(self, batch_gt_instances: InstanceList, size: Sequence[int],
                device: torch.device | str) -> tuple:
        """Ground truths and cell targets of a batch.

        Args:
            batch_gt_instances: By image.
            size: (h, w) of the mask features.
            device: Where the targets go.

        Returns:
            :class:`~mmdet_lordre.grid.GroundTruths` and
            :class:`~mmdet_lordre.grid.CellTargets`.
        """
        stride = self.mask_stride
        size = tuple(size)
        truths = collect_ground_truths(batch_gt_instances, {stride: size}, device)
        cells = cell_targets(
            truths.boxes, truths.labels, truths.centers(), truths.areas, truths.images,
            len(batch_gt_instances), (size[0] * stride, size[1] * stride), self.num_grids,
            self.scale_ranges, self.num_classes, self.pos_scale)
        return truths, cells

    def loss_by_feat(self, kernels: list[Tensor], logits: list[Tensor], mask_features: Tensor,
                     batch_gt_instances: InstanceList, batch_img_metas: list[dict] | None = None,
                     **kwargs) -> dict:
        """Losses from the outputs of :meth:`forward`.

        Args:
            kernels: Dynamic kernels by level.
            logits: Class logits by level.
            mask_features: (B, out_channels, h, w).
            batch_gt_instances: For each image bboxes, labels and masks.
            batch_img_metas: With the size of the input, which masks must have.

        Returns:
            ``loss_mask`` and ``loss_cls``.

        Raises:
            UserError: Mask features or masks are not of the input's size.
        """
        return self._losses(kernels, logits, mask_features, *self._checked_targets(
            mask_features, batch_gt_instances, batch_img_metas))

    def _checked_targets(self, mask_features, batch_gt_instances, batch_img_metas):
        check_mask_sizes(batch_gt_instances, batch_img_metas)
        check_map_size(mask_features.shape[-2:], self.mask_stride, batch_img_metas,
                       'model.mask_head.mask_feature_head.mask_stride')
        return self.targets(batch_gt_instances, mask_features.shape[-2:], mask_features.device)

    def _losses(self, kernels, logits, mask_features, truths, targets):
        num_cells = (targets.labels < self.num_classes).sum()
        num_pairs = num_cells.new_full((), len(targets.cells))
        counts, least = counts_of_batch(torch.stack([num_cells, num_pairs]).float(),
                                        self.sync_normalizers)
        num_cells, num_pairs = counts.unbind()
        flat_logits = torch.cat([_by_cell(level) for level in logits]).float()
        loss_cls = class_loss(self.loss_cls, flat_logits, targets.labels, num_cells + least)

        order = targets.images.argsort(stable=True)
        counts = targets.on_cpu[3].bincount(minlength=len(mask_features)).tolist()
        picked = torch.cat([_by_cell(level) for level in kernels])[targets.cells[order]]
        total = self._mask_loss_sum(picked, mask_features, truths.masks[self.mask_stride],
                                    targets.gts[order], counts)
        count = num_cells if self.mask_normalizer == 'cells' else num_pairs
        return dict(loss_mask=total / count.clamp(min=least), loss_cls=loss_cls)

    def _mask_loss_sum(self, kernels, features, masks, gts, counts):
        """Sum of the mask losses over pairs, which are in the order of the images."""
        loss = self.loss_mask
        plain_dice = (type(loss) is DiceLoss and loss.use_sigmoid and loss.activate
                      and not loss.naive_dice)
        if plain_dice and self.dynamic_conv_size == 1:
            weights = torch.full((len(gts),), loss.loss_weight, device=gts.device)
            return kernel_dice(kernels, features, masks, gts, weights, counts, loss.eps)

        total = (kernels.sum() + features.sum()) * 0.
        step = chunk_size(features[0, 0].numel(), device=features.device)
        for feature, part, truths in zip(features, kernels.split(counts), gts.split(counts),
                                         strict=True):
            if not len(part):
                continue

            def loss_of(pairs, feature=feature, part=part, truths=truths):
                predicted = dynamic_masks(part[pairs], feature, self.dynamic_conv_size)
                return loss(predicted, masks[truths[pairs]], reduction_override='none').sum()

            total = total + chunked_sum(loss_of, len(part), step)
        return total

    def predict_by_feat(self, kernels: list[Tensor], logits: list[Tensor], mask_features: Tensor,
                        batch_img_metas: list[dict], rescale: bool = True,
                        cfg: dict | None = None, **kwargs) -> InstanceList:
        """Instances from the outputs of :meth:`forward`.

        Args:
            kernels: Dynamic kernels by level.
            logits: Class logits by level.
            mask_features: Mask features.
            batch_img_metas: With ``img_shape`` and ``ori_shape``.
            rescale: Masks at the size of the original image, else at that of the network input
                without padding.
            cfg: Instead of ``test_cfg``.

        Returns:
            For each image InstanceData with scores, labels, masks and bboxes.
        """
        cfg = self.test_cfg if cfg is None else ConfigDict(
            complete_test_cfg(type(self).__name__, cfg, TEST_CFG))
        scores = [points_nms(level.float().sigmoid()).flatten(2) for level in logits]
        scores = torch.cat(scores, dim=2).transpose(1, 2)
        kernels = torch.cat([level.flatten(2) for level in kernels], dim=2).transpose(1, 2)
        return predict_batch(kernels, scores, mask_features, self._cell_strides(scores.device),
                             self.dynamic_conv_size, batch_img_metas, self.mask_stride, cfg,
                             rescale)

    def _predict_by_feat_single(self, kernel_preds: Tensor, cls_scores: Tensor,
                                mask_feats: Tensor, img_meta: dict,
                                cfg: dict | None = None) -> InstanceData:
        """Instances of one image, called as mmdet's ``SOLOV2Head`` calls its own.

        Args:
            kernel_preds: (cells, channels) dynamic kernels of all levels.
            cls_scores: (cells, classes) probabilities after points NMS.
            mask_feats: (1, channels, h, w) or (channels, h, w) mask features.
            img_meta: With ``img_shape`` and ``ori_shape``.
            cfg: Instead of ``test_cfg``.

        Returns:
            Scores, labels, masks at the size of the original image, and their tight boxes.
        """
        cfg = self.test_cfg if cfg is None else ConfigDict(
            complete_test_cfg(type(self).__name__, cfg, TEST_CFG))
        features = mask_feats if mask_feats.dim() == 4 else mask_feats[None]
        return predict_batch(kernel_preds[None], cls_scores[None], features,
                             self._cell_strides(cls_scores.device), self.dynamic_conv_size,
                             [img_meta], self.mask_stride, cfg)[0]

    def _cell_strides(self, device) -> Tensor:
        """Stride of the level of each cell, (cells,)."""
        return torch.cat([torch.full((grid**2,), stride, device=device)
                          for grid, stride in zip(self.num_grids, self.strides, strict=True)])


def _by_cell(level: Tensor) -> Tensor:
    """(B, C, S, S) -> (B * S * S, C)."""
    return level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])
