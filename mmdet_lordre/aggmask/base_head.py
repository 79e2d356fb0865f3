"""What both AggMask heads share: branches, selection of cells, fusion, losses, prediction."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads.base_mask_head import BaseMaskHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import normal_init
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..grid import class_loss, coordinate_maps, detect, find_candidates
from ..grid.detect import TEST_CFG
from ..grid.heads import (
    check_grids,
    check_groups,
    check_map_size,
    check_mask_sizes,
    complete_test_cfg,
    counts_of_batch,
)
from ..grid.norm_relu import Remake, run_layer
from ..grid.windows import POSITIONAL
from ..masks import upload
from .context import ContextBranch
from .fusion import FusionNetwork
from .layers import NormalLayers
from .mask_losses import MaskLosses
from .neighbors import neighbor_pattern
from .prediction import cell_scores, to_instances
from .spelling import OldSpelling, number_of_neighbors, renamed
from .tables import CellTables
from .targets import MapGroup, draw_masks, head_targets

Layer = tuple[Tensor, Remake | None]


class BaseAggMaskHead(OldSpelling, MaskLosses, BaseMaskHead):
    """Two grids a level, and a network a cell that fuses neighboring masks.

    Cells of the *class grid* say which object is where. Cells of the *mask grid* have a mask
    representation each. A class cell gathers the representations of its nearest mask cells,
    stacks the context of the image onto them and fuses both by convolutions whose weights it
    predicts. From "Learning to Aggregate Neighboring Mask Representations" (AggMask).

    Masks, and the numbers that fuse them, are computed for selected cells alone: the positive
    ones in training, those above the score threshold in inference. Fusion runs in chunks of
    bounded memory; in training each chunk is computed again in the backward pass.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of each level of the pyramid.
        feat_channels: Width of the towers.
        stacked_convs: Convolutions of a tower.
        strides: By level: a detection's mask must have more pixels of the finest maps.
        mask_stride: Stride of the finest maps, which is that of the pyramid's finest level.
        scale_ranges: (lowest, highest) object size (square root of the box area, in pixels of
            the network input) of each level.
        pos_scale: Share of the box around the mass center that makes a cell positive.
        num_grids: Cells along a side of the class grid, by level.
        mask_grids: Cells along a side of the mask grid, by level; ``num_grids`` if not given.
        num_neighbors: 4 (5 where a level's grids are equal), 5, 9, 1 or 0.
        interpolation_mode: 5 asks for the five neighbors whatever the grids are.
        context_channels: Channels of the context, 0 for none.
        context_layers: Convolutions of the context branch, 1 or 2.
        fusion_layers: Layers of the fusion network.
        fusion_channels: Channels between them.
        fusion_kernel: Side of its convolutions.
        weight_kernel: Side of the convolution that predicts its weights.
        weight_activation: ``'tanh'`` or None, what they pass.
        cls_down_index: Convolution of a tower before which its input is resized to the grid.
        deformable: Also predict, per cell and neighbor, an offset at which the mask grid is read
            bilinearly (from the journal edition, SODAR). The offsets start at zero.
        windows: Also predict, per cell, an ellipse that is added to its mask's logits; see
            :mod:`mmdet_lordre.aggmask.windows`. An addition to the published method.
        foreground: Also predict, from the context, one map of the image that is added to the
            logits of all masks: whatever is an object. An addition to the published method.
        max_masks: Positive cells an image, on average over the batch, that learn their masks in a
            step; of more, which ones is drawn at random. Fusion is most of the time of a step
            where objects are many. All as published by default.
        min_mask_area: Ground truths whose masks have fewer pixels of the network input are not
            learned.
        plain_start: Begin as SOLO or SOLOv2 does: the fusion passes on the map of a cell's own
            mask cell (the mean of the four around it where the grid of masks is coarser). As
            published it begins with weights at random, whose masks are noise. Only the first
            values of ``learned_weights`` differ. An addition to the published method.
        loss_mask: Config of the mask loss on probabilities, averaged over the positive cells.
        loss_cls: Config of the class loss, divided by the number of positive cells + 1.
        sync_normalizers: Whether losses are divided by counts over all processes, so that they
            learn what one process with the whole batch does. With False each process divides
            by its own, as published.
        norm_cfg: Normalization of the towers.
        train_cfg: Not used; mmdet passes it.
        test_cfg: ``score_thr``, ``mask_thr``, ``nms_pre``, ``kernel``, ``sigma``, ``filter_thr``,
            ``max_per_img``, ``mask_format`` (``'bitmap'`` or ``'rle'``) and
            ``neighbor_maps`` (results then have the neighbors' maps and cells, to draw).
        init_cfg: Initialization of the head.
        num_neighbours: ``num_neighbors`` as earlier configs spell it.

    Raises:
        ValueError: If settings contradict each other.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int = 256,
                 feat_channels: int = 256,
                 stacked_convs: int = 4,
                 strides: Sequence[int] = (8, 8, 16, 32, 32),
                 mask_stride: int = 4,
                 scale_ranges: Sequence[tuple[int, int]] = ((1, 96), (48, 192), (96, 384),
                                                            (192, 768), (384, 2048)),
                 pos_scale: float = 0.2,
                 num_grids: Sequence[int] = (40, 36, 24, 16, 12),
                 mask_grids: Sequence[int] | None = None,
                 num_neighbors: int = 4,
                 interpolation_mode: int | None = None,
                 context_channels: int = 16,
                 context_layers: int = 2,
                 fusion_layers: int = 3,
                 fusion_channels: int = 4,
                 fusion_kernel: int = 3,
                 weight_kernel: int = 3,
                 weight_activation: str | None = None,
                 cls_down_index: int = 0,
                 deformable: bool = False,
                 windows: bool = False,
                 foreground: bool = False,
                 max_masks: int | None = None,
                 min_mask_area: int = 10,
                 plain_start: bool = False,
                 loss_mask: dict = dict(type='DiceLoss', use_sigmoid=True, activate=False,
                                        loss_weight=3.0),
                 loss_cls: dict = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
                                       loss_weight=1.0),
                 sync_normalizers: bool = True,
                 norm_cfg: dict = dict(type='GN', num_groups=32, requires_grad=True),
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 init_cfg: dict | list | None = None,
                 num_neighbours: int | None = None):
        if init_cfg is None:
            init_cfg = dict(type='Normal', layer=[], std=0.01, bias_prob=0.01,
                            override=dict(name='solo_cate'))
        super().__init__(init_cfg=init_cfg)
        mask_grids = tuple(num_grids if mask_grids is None else mask_grids)
        check_grids(strides, scale_ranges, num_grids, pos_scale, stacked_convs)
        if weight_kernel not in (1, 3):
            raise ValueError(f'weight_kernel must be 1 or 3, not {weight_kernel!r}')
        if weight_activation not in (None, 'tanh'):
            raise ValueError(f"weight_activation must be None or 'tanh', not "
                             f'{weight_activation!r}')
        if not 0 <= cls_down_index < stacked_convs:
            raise ValueError(f'cls_down_index must be at least 0 and below stacked_convs='
                             f'{stacked_convs}, not {cls_down_index!r}')
        if max_masks is not None and max_masks < 1:
            raise ValueError(f'max_masks must be at least 1 or None, not {max_masks!r}')
        if foreground and not context_channels:
            raise ValueError('foreground is predicted from the context: set context_channels '
                             'above 0')
        check_groups(norm_cfg, feat_channels=feat_channels)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.feat_channels = feat_channels
        self.stacked_convs = stacked_convs
        self.strides = tuple(strides)
        self.mask_stride = mask_stride
        self.scale_ranges = tuple(tuple(span) for span in scale_ranges)
        self.pos_scale = pos_scale
        self.num_grids = tuple(num_grids)
        self.mask_grids = mask_grids
        self.cls_down_index = cls_down_index
        self.norm_cfg = norm_cfg
        self.weight_activation = weight_activation
        self.windows, self.foreground = windows, foreground
        self.max_masks, self.min_mask_area = max_masks, min_mask_area
        self.train_cfg = train_cfg
        self.sync_normalizers = sync_normalizers
        self.test_cfg = ConfigDict(complete_test_cfg(
            type(self).__name__, renamed(test_cfg), dict(TEST_CFG, neighbor_maps=False)))
        # the mask loss is given probabilities
        self.loss_mask = MODELS.build({**loss_mask, 'activate': False}
                                      if str(loss_mask['type']).split('.')[-1] == 'DiceLoss'
                                      else loss_mask)
        self.loss_cls = MODELS.build(loss_cls)

        pattern = neighbor_pattern(number_of_neighbors(num_neighbors, num_neighbours), num_grids,
                                   mask_grids, interpolation_mode)
        self.tables = CellTables(num_grids, mask_grids, pattern, weight_kernel)
        neighbors = self.tables.num_neighbors
        self.fusion = FusionNetwork(neighbors, context_channels, fusion_channels, fusion_layers,
                                    fusion_kernel)
        if deformable and not neighbors:
            raise ValueError('deformable=True moves neighbors, of which num_neighbors=0 leaves '
                             'none: change one of the two')
        self.deformable = deformable
        self._init_branches()
        self.solo_cate = nn.Conv2d(feat_channels, num_classes, 3, padding=1)
        padding = weight_kernel // 2
        self.learned_weights = nn.Conv2d(feat_channels, self.fusion.num_weights, weight_kernel,
                                         padding=padding)
        if plain_start:
            self._start_plain(pattern)
        if self.deformable:
            self.neighbor_offsets = nn.Conv2d(feat_channels, 2 * neighbors, weight_kernel,
                                               padding=padding)
            nn.init.zeros_(self.neighbor_offsets.weight)
            nn.init.zeros_(self.neighbor_offsets.bias)
        if windows:
            self.conv_window = nn.Conv2d(feat_channels, POSITIONAL, weight_kernel,
                                         padding=padding)
            normal_init(self.conv_window, std=0.01)
        if context_channels:
            self.context_fusion_convs = ContextBranch(in_channels, len(strides), context_channels,
                                                      context_layers, norm_cfg)
        self.context_channels = context_channels
        if foreground:
            self.conv_foreground = nn.Conv2d(context_channels, 1, 1)
            normal_init(self.conv_foreground, std=0.01)

    def _start_plain(self, pattern: str) -> None:
        """Let every cell's fusion pass on the map of its own mask cell at first."""
        count = self.tables.num_neighbors
        shares = [float(number == count // 2) for number in range(count)]
        numbers = self.fusion.plain_numbers(
            [1 / count] * count if pattern == 'corners' else shares)
        if self.weight_activation == 'tanh':
            numbers = numbers.clamp(-0.9, 0.9).atanh()
        normal_init(self.learned_weights, std=0.01)
        with torch.no_grad():
            self.learned_weights.bias.copy_(numbers)

    # Branches

    def _init_branches(self) -> None:
        """Make the towers; called before the layers that follow them."""
        raise NotImplementedError

    def _tower(self, in_channels: int) -> NormalLayers:
        return NormalLayers(
            ConvModule(in_channels if i == 0 else self.feat_channels, self.feat_channels, 3,
                       padding=1, norm_cfg=self.norm_cfg) for i in range(self.stacked_convs))

    def _run_tower(self, tower: NormalLayers, x: Tensor, grid: int) -> Layer:
        """The tower's output on a grid, with what makes it again in the backward pass."""
        remake = None
        for i, layer in enumerate(tower):
            if i == self.cls_down_index and x.shape[-2:] != (grid, grid):
                x, remake = self._on_grid(x, grid), None
            x, remake = run_layer(layer, x, remake)
        return x, remake

    @staticmethod
    def _on_grid(x: Tensor, grid: int) -> Tensor:
        return F.interpolate(x, size=(grid, grid), mode='bilinear', align_corners=False)

    def split_feats(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """The levels the head works on: the finest at the second's size, the last at the last
        but one's.
        """
        feats = list(feats)
        resized = {0: feats[1].shape[-2:], len(feats) - 1: feats[-2].shape[-2:]}
        return [F.interpolate(feat, size=resized[i], mode='bilinear', align_corners=False)
                if i in resized and feat.shape[-2:] != resized[i] else feat
                for i, feat in enumerate(feats)]

    @staticmethod
    def with_coordinates(feat: Tensor) -> Tensor:
        """Append x and y in [-1, 1] to features (B, C, h, w)."""
        return torch.cat((feat, coordinate_maps(feat)), dim=1)

    def _context(self, feats: Sequence[Tensor]) -> Tensor | None:
        """Context, made again in the backward pass: it is cheap, its large maps are not."""
        if not self.context_channels:
            return None
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return checkpoint(self.context_fusion_convs, feats, use_reentrant=False,
                              preserve_rng_state=False)
        return self.context_fusion_convs(feats)

    # The network's outputs, in the order of forward()

    def map_groups(self, mask_feats: Sequence[Tensor]) -> list[MapGroup]:
        """The levels that each of ``mask_feats`` serves."""
        raise NotImplementedError

    def kernels_of(self, kernels: Tensor, image: int) -> Tensor:
        """Kernels (mask cells, C) of one image."""
        raise NotImplementedError

    # Training

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: list[DetDataSample],
             **kwargs) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            x: Levels of the pyramid, (B, in_channels, h, w), finest first.
            batch_data_samples: With ``gt_instances`` (bboxes, labels, masks).

        Returns:
            ``loss_mask`` and ``loss_cls``, scalars.
        """
        gts, _, metas = unpack_gt_instances(batch_data_samples)
        return self.loss_by_feat(*self(x), gts, metas)

    def loss_by_feat(self, cls_logits: list[Tensor], mask_feats: list[Tensor], kernels: object,
                     table: Tensor, context: Tensor | None, batch_gt_instances: list,
                     batch_img_metas: list[dict], **kwargs) -> dict[str, Tensor]:
        """Losses from the outputs of :meth:`forward`; see :meth:`loss`.

        Args:
            cls_logits, mask_feats, kernels, table, context: What :meth:`forward` returns.
            batch_gt_instances: For each image bboxes, labels and masks.
            batch_img_metas: With the size of the input, which masks must have.

        Returns:
            ``loss_mask`` and ``loss_cls``, scalars.
        """
        check_mask_sizes(batch_gt_instances, batch_img_metas)
        groups = self.map_groups(mask_feats)
        check_map_size(groups[0].size, self.mask_stride, batch_img_metas,
                       'model.mask_head.mask_stride')
        targets = head_targets(batch_gt_instances, groups, self.num_grids, self.scale_ranges,
                               self.num_classes, self.pos_scale, self.min_mask_area,
                               table.device)
        chosen = targets.selections if self.max_masks is None else draw_masks(
            targets.selections, self.max_masks * len(batch_gt_instances))
        pieces = self.mask_losses(groups, chosen, mask_feats, kernels, table, context)
        counts = torch.tensor([sum(map(len, pieces)), targets.num_positive]).float()
        counts, least = counts_of_batch(upload(counts, table.device), self.sync_normalizers)
        num_masks, num_positive = counts.unbind()
        loss_mask = torch.cat(pieces).sum() / num_masks if pieces else 0
        if not pieces or not self.tables.num_neighbors:
            # every parameter stays in the graph, whatever the batch or the settings leave out
            loss_mask = loss_mask + self._nothing(mask_feats, kernels, table, context)

        flat = torch.cat([logits.permute(0, 2, 3, 1).reshape(-1, self.num_classes)
                          for logits in cls_logits]).float()
        loss_cls = class_loss(self.loss_cls, flat, targets.labels, num_positive + least)
        return dict(loss_mask=loss_mask, loss_cls=loss_cls)

    def _nothing(self, mask_feats, kernels, table, context):
        """Zero, with a (zero) gradient to all that masks are made of."""
        parts = [*mask_feats, kernels, table]
        if context is not None:
            parts.append(context)
        parts += [parameter for name in ('learned_weights', 'neighbor_offsets', 'conv_window',
                                         'conv_foreground')
                  if hasattr(self, name) for parameter in getattr(self, name).parameters()]
        return sum(part.float().sum() * 0 for part in parts)

    # Inference

    def predict_by_feat(self, cls_logits: list[Tensor], mask_feats: list[Tensor], kernels: object,
                        table: Tensor, context: Tensor | None, batch_img_metas: list[dict],
                        rescale: bool = False, **kwargs) -> list:
        """Detections of each image from the outputs of :meth:`forward`.

        Args:
            cls_logits, mask_feats, kernels, table, context: What :meth:`forward` returns.
            batch_img_metas: With ``img_shape`` and, if ``rescale``, ``ori_shape``.
            rescale: Masks at the size of the original image.

        Returns:
            One ``InstanceData`` an image: scores (n,), labels (n,), bboxes (n, 4) tight x1, y1,
            x2, y2 in pixels of the masks, masks (n, H, W) bool or run lengths, at the original
            size (``rescale``) or that of the network input without padding.
        """
        groups = self.map_groups(mask_feats)
        contexts = [self.resized_context(context, group.size) for group in groups]
        scores = cell_scores(cls_logits)
        strides = torch.cat([torch.full((grid**2,), stride, device=table.device)
                             for grid, stride in zip(self.num_grids, self.strides, strict=True)])

        sources = [[(feats[image], self.kernels_of(kernels, image),
                     None if shared is None else shared[image])
                    for feats, shared in zip(mask_feats, contexts, strict=True)]
                   for image in range(len(batch_img_metas))]

        def masks_of(image, cells):
            return self._fused_probs(groups, sources[image], table[image], cells)

        results = []
        found = detect(find_candidates(scores, self.test_cfg.score_thr), masks_of, strides,
                       groups[0].size, self.test_cfg)
        for image, (one, meta) in enumerate(zip(found, batch_img_metas, strict=True)):
            result = to_instances(one, meta, self.mask_stride, self.test_cfg, rescale)
            if self.test_cfg.get('neighbor_maps'):
                result.neighbor_maps = self._maps_to_show(groups, sources[image], table[image],
                                                           one.cells)
                result.neighbor_cells = self.tables.positions[upload(one.cells, table.device)]
            results.append(result)
        return results
