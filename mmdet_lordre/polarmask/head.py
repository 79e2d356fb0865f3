"""PolarMask's head: network and losses."""
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, Scale
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import distance2bbox
from mmdet.utils import ConfigType, InstanceList, OptConfigType, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..grid import class_loss
from ..grid.heads import (
    check_groups,
    check_levels,
    check_mask_sizes,
    check_ranges,
    check_strides,
    counts_of_batch,
)
from .crossings import NO_HIT
from .losses import box_losses
from .predict import check_test_cfg, predict_batch
from .targets import PolarTargets, level_points, polar_targets

INF = 1e8


@MODELS.register_module()
class PolarMaskHead(BaseDenseHead):
    """Instances as a center and rays, of `PolarMask <https://arxiv.org/abs/1909.13226>`_.

    An ordinary dense head for mmdet's ``SingleStageDetector``, behind an FPN with P3 to P7. Three
    towers, shared by all levels, predict class logits and centerness logits, a box (distances to
    its left, top, right and bottom side) and the lengths of the rays of a contour, both in pixels
    of the network's input.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the pyramid.
        feat_channels: Channels of the towers.
        stacked_convs: Convolutions of each tower.
        strides: Stride of each level, whole numbers of pixels.
        regress_ranges: (lowest, highest) of each level: an instance is learned where its largest
            distance to a side of the box is within, both ends included, in pixels.
        num_rays: A divisor of 360.
        wrap_angles: Search contour pixels of a ray also across 0/360 degrees. The published
            targets do not.
        ray_search: How many degrees to both sides a ray may look for a contour pixel; see
            :class:`PolarRayCoder`.
        exact_rays: Whether rays end where they cross the contour's outline for the last time, not
            at a pixel near their angle. Targets of small and of concave instances are far better
            then, and nothing is searched: ``wrap_angles`` and ``ray_search`` must be left out.
        holes: Whether each ray also has a share of its length that lies before it enters the
            mask. Masks get the hole around their center, and gaps through which the center is
            outside. Published masks have none. It includes ``exact_rays``.
        center_radius: How far from the centroid points are positive, in strides.
        sync_normalizers: Whether losses are divided by counts over all processes, so that they
            learn what one process with the whole batch does. With False each process divides
            by its own, as published.
        conv_cfg: Convolution of the towers; ``dict(type='DCNv2')`` for the DCN variants.
        norm_cfg: Norm of the towers.
        loss_cls, loss_bbox, loss_mask, loss_centerness: The losses.
        loss_hole: That of the shares, with ``holes``; binary cross-entropy, if not given.
        train_cfg: Not used; mmdet passes it.
        test_cfg: ``nms_pre`` points a level, ``score_thr`` on the class probability alone,
            ``nms``, ``max_per_img``; of both counts -1 or 0 takes all;
            ``nms_boxes='box'`` (predicted) or ``'contour'`` (bounds of the contour) gives the
            boxes of NMS and result; ``mask_format='bitmap'`` or ``'rle'``;
            ``fill='opencv'`` (published), ``'rounded'`` or ``'coco'``, see :func:`contours_to_rle`;
            ``hole_thr``: a smaller part of the lengths before the mask is no hole.
        init_cfg: How to initialize the weights.

    Raises:
        ValueError: If settings contradict each other; see the text of the error.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 feat_channels: int = 256,
                 stacked_convs: int = 4,
                 strides: tuple[int, ...] = (8, 16, 32, 64, 128),
                 regress_ranges: tuple[tuple[float, float], ...] = (
                     (-1, 64), (64, 128), (128, 256), (256, 512), (512, INF)),
                 num_rays: int = 36,
                 wrap_angles: bool = False,
                 ray_search: int = 3,
                 exact_rays: bool = False,
                 holes: bool = False,
                 center_radius: float = 1.5,
                 sync_normalizers: bool = True,
                 conv_cfg: OptConfigType = None,
                 norm_cfg: OptConfigType = dict(type='GN', num_groups=32, requires_grad=True),
                 loss_cls: ConfigType = dict(
                     type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
                 loss_bbox: ConfigType = dict(type='IoULoss', mode='log', loss_weight=1.0),
                 loss_mask: ConfigType = dict(type='PolarIoULoss', loss_weight=1.0),
                 loss_centerness: ConfigType = dict(
                     type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
                 loss_hole: OptConfigType = None,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 init_cfg: OptConfigType = dict(
                     type='Normal', layer='Conv2d', std=0.01, override=dict(
                         type='Normal', name='polar_cls', std=0.01, bias_prob=0.01))) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(strides) != len(regress_ranges):
            raise ValueError(f'strides has {len(strides)} levels and regress_ranges has '
                             f'{len(regress_ranges)}: give one range for each level')
        check_ranges('regress_ranges', regress_ranges)
        if stacked_convs < 1:
            raise ValueError(f'stacked_convs must be at least 1, not {stacked_convs}')
        if any(int(stride) != stride or stride < 1 for stride in strides):
            raise ValueError(f'strides must be whole numbers of pixels, not {tuple(strides)}')
        if not center_radius > 0:
            raise ValueError(f'center_radius must be positive, not {center_radius}')
        if (exact_rays or holes) and (wrap_angles or ray_search != 3):
            raise ValueError('exact rays (exact_rays, holes) search for no pixels: leave out '
                             'ray_search and wrap_angles')
        if not holes and (loss_hole or 'hole_thr' in (test_cfg or {})):
            raise ValueError('loss_hole and test_cfg.hole_thr have no effect without holes=True')
        check_groups(norm_cfg, feat_channels=feat_channels)
        self.num_classes = self.cls_out_channels = num_classes
        self.in_channels = in_channels
        self.strides = tuple(int(stride) for stride in strides)
        self.regress_ranges = tuple(tuple(pair) for pair in regress_ranges)
        self.center_radius, self.sync_normalizers = center_radius, sync_normalizers
        self.coder = TASK_UTILS.build(
            dict(type='PolarRayCoder', num_rays=num_rays, wrap=wrap_angles,
                 search=ray_search, exact=exact_rays or holes))
        self.loss_cls, self.loss_bbox = MODELS.build(loss_cls), MODELS.build(loss_bbox)
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_centerness = MODELS.build(loss_centerness)
        self.holes = holes
        self.loss_hole = MODELS.build(loss_hole or dict(
            type='CrossEntropyLoss', use_sigmoid=True)) if holes else None
        for name in ('loss_centerness', 'loss_hole'):
            if not getattr(getattr(self, name), 'use_sigmoid', True):
                raise ValueError(f'{name} is of one value, of which a softmax learns nothing: set '
                                 'use_sigmoid=True')
        self.train_cfg, self.test_cfg = train_cfg, check_test_cfg(test_cfg)

        def tower():
            return nn.ModuleList(
                ConvModule(in_channels if i == 0 else feat_channels, feat_channels, 3, padding=1,
                           conv_cfg=conv_cfg, norm_cfg=norm_cfg,
                           # the published deformable towers keep their bias
                           bias=True if conv_cfg else 'auto')
                for i in range(stacked_convs))

        self.cls_convs, self.reg_convs, self.mask_convs = tower(), tower(), tower()
        self.polar_cls = nn.Conv2d(feat_channels, num_classes, 3, padding=1)
        self.polar_reg = nn.Conv2d(feat_channels, 4, 3, padding=1)
        self.polar_mask = nn.Conv2d(feat_channels, num_rays, 3, padding=1)
        self.polar_centerness = nn.Conv2d(feat_channels, 1, 3, padding=1)
        if holes:
            self.polar_hole = nn.Conv2d(feat_channels, num_rays, 3, padding=1)
        self.scales_bbox = nn.ModuleList(Scale(1.0) for _ in strides)
        self.scales_mask = nn.ModuleList(Scale(1.0) for _ in strides)

    def init_weights(self) -> None:
        """Initialize the weights; deformable convolutions in their own way."""
        super().init_weights()
        for tower in (self.cls_convs, self.reg_convs, self.mask_convs):
            for layer in tower:
                # init_cfg also reaches the offset convolution inside, which starts at zero
                if hasattr(layer.conv, 'conv_offset'):
                    layer.conv.init_weights()

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], ...]:
        """Predictions of every level.

        Args:
            x: Pyramid levels (B, in_channels, h, w).

        Returns:
            Four lists with an item for each level: class logits (B, num_classes, h, w);
            distances to the box's sides (B, 4, h, w) and ray lengths (B, num_rays, h, w), both
            float32 in pixels of the input; centerness logits (B, 1, h, w). With ``holes`` the
            lengths are followed by as many channels, the logits of their shares.

        Raises:
            UserError: If the levels are others than the head is built for.
        """
        check_levels(x, self.in_channels, len(self.strides), 'model.bbox_head')
        levels = [self._forward_level(*level)
                  for level in zip(x, self.scales_bbox, self.scales_mask)]
        return tuple(list(outputs) for outputs in zip(*levels))

    def _forward_level(self, x, scale_bbox, scale_mask):
        features = []
        for tower in (self.cls_convs, self.reg_convs, self.mask_convs):
            feature = x
            for layer in tower:
                feature = layer(feature)
            features.append(feature)
        cls_feature, reg_feature, mask_feature = features
        # A length of 150 pixels is exp(5), and the steps of bfloat16 there are three percent apart;
        # float16 cannot hold a large length at all.
        # the meta device, where multiplications are counted, has no autocast
        with torch.autocast('cpu' if x.is_meta else x.device.type, enabled=False):
            distances = scale_bbox(_exact(self.polar_reg, reg_feature)).float().exp()
            rays = scale_mask(_exact(self.polar_mask, mask_feature)).float().exp()
            if self.holes:
                shares = _exact(self.polar_hole, mask_feature).float()
                rays = torch.cat((rays, shares), dim=1)
        return (self.polar_cls(cls_feature), distances, rays,
                self.polar_centerness(cls_feature))

    def loss_by_feat(self, cls_logits: list[Tensor], distances: list[Tensor],
                     rays: list[Tensor], centerness: list[Tensor],
                     batch_gt_instances: InstanceList, batch_img_metas: list[dict],
                     batch_gt_instances_ignore: OptInstanceList = None) -> dict[str, Tensor]:
        """Losses of what :meth:`forward` returns, in float32.

        Args:
            cls_logits, distances, rays, centerness: See :meth:`forward`.
            batch_gt_instances: For each image ``bboxes``, ``labels`` and ``masks``: any mmdet
                masks, or what :class:`ExtractContours` made of them in the loading workers.
            batch_img_metas: With the size of the input, which masks must have.
            batch_gt_instances_ignore: Not used: ignored regions are background.

        Returns:
            ``loss_cls``, ``loss_bbox``, ``loss_mask``, ``loss_centerness``, and ``loss_hole``
            with ``holes``.
        """
        check_mask_sizes(batch_gt_instances, batch_img_metas)
        sizes = [tuple(logits.shape[-2:]) for logits in cls_logits]
        check_strides(sizes, self.strides, batch_img_metas, 'model.bbox_head')
        targets = self.targets(batch_gt_instances, sizes)
        cls_logits, distances, rays, centerness = (
            _flatten(outputs) for outputs in (cls_logits, distances, rays, centerness))
        positives = targets.positives
        num_pos = self._mean(float(len(positives)), distances)
        num_images = self._mean(float(len(batch_gt_instances)), distances)
        loss_cls = class_loss(self.loss_cls, cls_logits, targets.labels, num_pos + num_images)
        distances = distances[positives]
        rays, shares = rays[positives].tensor_split((self.coder.num_rays,), dim=1)
        centerness = centerness[positives, 0]
        centerness_targets = polar_centerness(targets.rays, self.holes)
        weight_sum = self._mean(centerness_targets.sum(), distances).clamp(min=1e-6)
        if not len(positives):
            # every parameter keeps a gradient, so that training in parallel goes on
            return dict(loss_cls=loss_cls, loss_bbox=distances.sum(), loss_mask=rays.sum(),
                        loss_centerness=centerness.sum(),
                        **(dict(loss_hole=shares.sum()) if self.holes else {}))
        losses = dict(
            loss_cls=loss_cls,
            # with weights mmdet's loss would wait for the device, to see whether any is positive
            loss_bbox=(box_losses(self.loss_bbox, distance2bbox(targets.points, distances),
                                  targets.boxes) * centerness_targets).sum() / weight_sum,
            loss_mask=self.loss_mask(rays, targets.rays, weight=centerness_targets,
                                     avg_factor=weight_sum),
            loss_centerness=self.loss_centerness(centerness, centerness_targets,
                                                 avg_factor=num_pos.clamp(min=1e-6)))
        if self.holes:
            losses['loss_hole'] = self.loss_hole(
                shares, targets.shares, weight=centerness_targets[:, None].expand_as(rays),
                avg_factor=weight_sum * rays.shape[1])
        return losses

    def targets(self, batch_gt_instances: InstanceList,
                sizes: list[tuple[int, int]]) -> PolarTargets:
        """What this head learns: :func:`polar_targets` with its settings, for levels (h, w)."""
        return polar_targets(batch_gt_instances, sizes, self.strides, self.regress_ranges,
                             self.num_classes, self.coder, self.center_radius, self.holes)

    def _mean(self, value, like: Tensor) -> Tensor:
        if not isinstance(value, Tensor):
            value = torch.full((), value, dtype=torch.float32, device=like.device)
        return counts_of_batch(value, self.sync_normalizers)[0]

    def predict_by_feat(self, cls_logits: list[Tensor], distances: list[Tensor],
                        rays: list[Tensor], centerness: list[Tensor],
                        batch_img_metas: list[dict], cfg: OptConfigType = None,
                        rescale: bool = False, with_nms: bool = True) -> InstanceList:
        """Instances of each image from what :meth:`forward` returns.

        Args:
            cls_logits, distances, rays, centerness: See :meth:`forward`.
            batch_img_metas: With ``img_shape`` and, if ``rescale``, ``scale_factor`` and
                ``ori_shape``.
            cfg: Takes the place of ``test_cfg``.
            rescale: Whether to return the result in pixels of the original image; otherwise in
                those of the network's input, without padding.
            with_nms: Whether to suppress duplicates.

        Returns:
            For each image ``InstanceData`` with ``scores`` (class probability times centerness
            plus a half: it can exceed 1), ``labels``, ``bboxes`` (n, 4), ``masks``, ``contours``
            (n, num_rays, 2) and ``centers`` (n, 2), both x, y. With ``holes`` also ``holes``, the
            inner contours, like ``contours``: all of one's points are its center where it has none.
        """
        cfg = self.test_cfg if cfg is None else check_test_cfg(cfg)
        levels = []
        for level in zip(cls_logits, distances, rays, centerness, self.strides):
            levels.append(_top_points(*level, cfg['nms_pre']))
        merged = [torch.cat(parts, dim=1) for parts in zip(*levels)]
        return predict_batch(*merged, batch_img_metas, self.coder, cfg, rescale, with_nms)

    def _predict_by_feat_single(self, cls_score_list: list[Tensor], bbox_pred_list: list[Tensor],
                                ray_pred_list: list[Tensor], score_factor_list: list[Tensor],
                                img_meta: dict, cfg: OptConfigType = None, rescale: bool = False,
                                with_nms: bool = True) -> InstanceData:
        """Instances of one image, named as in mmdet's dense heads; see :meth:`predict_by_feat`.

        Args:
            cls_score_list, bbox_pred_list, ray_pred_list, score_factor_list: By level, without
                the axis of the images. Points follow from the sizes.
            img_meta, cfg, rescale, with_nms: As there.
        """
        outs = ([level[None] for level in levels] for levels in (
            cls_score_list, bbox_pred_list, ray_pred_list, score_factor_list))
        return self.predict_by_feat(*outs, [img_meta], cfg, rescale, with_nms)[0]


def _exact(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The 3x3 convolution in float32 at least, whatever the types of features and weights."""
    if x.dtype == conv.bias.dtype and x.itemsize >= 4:
        return conv(x)
    return F.conv2d(x.float(), conv.weight.float(), conv.bias.float(), padding=1)


def polar_centerness(rays: Tensor, gaps: bool = False) -> Tensor:
    """sqrt(shortest ray / longest ray) of rays (N, n), to (N,).

    A ray that meets no contour makes it 0. With ``gaps``, up to a quarter of them do not: it is the
    root over the others, times their share.
    """
    longest = rays.amax(dim=-1).clamp(min=1e-12)
    if not gaps:
        return (rays.amin(dim=-1) / longest).sqrt()
    met = rays > NO_HIT
    share = met.float().mean(dim=-1)
    shortest = rays.masked_fill(~met, torch.inf).amin(dim=-1).minimum(longest)
    return (shortest / longest).sqrt() * share * (share >= 0.75)


def _flatten(levels: list[Tensor]) -> Tensor:
    """Levels (B, C, h, w) to float32 (B * P, C), image by image, level by level."""
    return torch.cat([level.flatten(2) for level in levels], dim=2).transpose(
        1, 2).flatten(0, 1).float()


def _top_points(cls_logits, distances, rays, centerness, stride, count):
    """The points of a level with the best probability of a class times centerness, per image.

    Returns:
        Class probabilities (B, k, C), distances (B, k, 4), rays (B, k, n), centerness
        probabilities (B, k) and points (B, k, 2), float32.
    """
    points = level_points(tuple(cls_logits.shape[-2:]), stride, cls_logits.device)
    logits = cls_logits.flatten(2).float()
    centerness = centerness.flatten(1).float().sigmoid()
    if 0 < count < len(points):
        ranks = logits.amax(dim=1).sigmoid() * centerness
        top = ranks.topk(count, dim=1).indices
        points, centerness = points[top], centerness.gather(1, top)
        logits, distances, rays = (
            maps.flatten(2).gather(2, top[:, None].expand(-1, maps.shape[1], -1))
            for maps in (logits, distances, rays))
    else:
        points = points.expand(len(logits), -1, -1)
    return (logits.sigmoid().transpose(1, 2), distances.flatten(2).transpose(1, 2).float(),
            rays.flatten(2).transpose(1, 2).float(), centerness, points.float())
