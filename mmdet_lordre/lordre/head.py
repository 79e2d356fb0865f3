"""The Lordre head: instances, masks and losses."""
import torch
import torch.nn.functional as F
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from mmengine.dist import get_world_size
from torch import Tensor

from ..grid import class_loss, coordinate_maps
from ..grid.heads import check_mask_sizes, counts_of_batch
from ..masks import upload
from .base_head import LordreBaseHead, mask_iou
from .branches import InstanceBranch, MaskBranch


@MODELS.register_module()
class LordreHead(LordreBaseHead):
    """Mask head of Lordre (SparseInst, CVPR 2022): N instances, each with class, kernel, mask.

    An ordinary mmdet mask head for one feature map: ``loss(x, batch_data_samples)`` and
    ``predict(x, batch_data_samples, rescale)``, with any backbone and neck.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the feature map.
        channels: Channels of the convolutions of both branches.
        depth: Number of 3x3 convolutions of each branch.
        num_queries: Number N of instances predicted for every image.
        kernel_dim: Length of a mask kernel.
        groups: Activation maps an instance; 1 is IAM, 4 is G-IAM.
        normalization: ``'sigmoid'`` or ``'softmax'`` (:class:`InstanceBranch`).
        in_index: Which of the maps of the neck to use.
        norm_cfg: Norm after the 3x3 convolutions. The published head has none; training from
            scratch learns classes much sooner with one.
        mask_upsample: Factor from the feature map to the mask logits; the logits of the published
            model have stride 4.
        matcher: Config of the matcher.
        region_classifier: Config of a training-only task beside the published losses
            (:class:`RegionClassifier`; channels and classes are filled in). Training from scratch
            learns classes many times sooner with it.
        loss_cls, loss_mask, loss_dice, loss_objectness: Configs of mmdet losses.
        loss_matched_cls: Config of one more loss, not in the published method: between the class
            logits of matched predictions and their classes alone, such as mmdet's softmax
            ``CrossEntropyLoss``. The focal loss hardly moves while all classes look alike.
        sync_normalizers: Whether losses are divided by counts over all processes, so that they
            learn what one process with the whole batch does. With False the mask and objectness
            losses are divided by a process's own counts, as published.
        train_cfg: Not used; mmdet passes it.
        test_cfg: ``score_thr`` (0.005), ``mask_thr`` (0.45), ``mask_format`` (``'bitmap'`` or
            ``'rle'``), ``max_per_img`` (none; all with -1 and 0, too), ``activation_maps`` (False):
            whether predictions carry ``activation_maps`` (n, h, w) in [0, 1] of the padded input
            at the stride of the feature map.
    """

    def __init__(self, num_classes: int, in_channels: int = 256, channels: int = 256,
                 depth: int = 4, num_queries: int = 100, kernel_dim: int = 128, groups: int = 4,
                 normalization: str = 'sigmoid', in_index: int = 0, norm_cfg: dict | None = None,
                 mask_upsample: int = 2,
                 matcher: dict = dict(type='LordreMatcher', alpha=0.8, beta=0.2),
                 region_classifier: dict | None = None,
                 loss_cls: dict = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
                                       loss_weight=2.0),
                 loss_mask: dict = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
                 # mmdet adds eps to both sums of the denominator: 1e-4 together
                 loss_dice: dict = dict(type='DiceLoss', eps=5e-5, loss_weight=2.0),
                 loss_objectness: dict = dict(type='CrossEntropyLoss', use_sigmoid=True,
                                              loss_weight=1.0),
                 loss_matched_cls: dict | None = None, sync_normalizers: bool = True,
                 train_cfg: dict | None = None, test_cfg: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.num_classes, self.num_queries = num_classes, num_queries
        self.in_channels = in_channels
        self.groups, self.normalization = groups, normalization
        self.in_index, self.mask_upsample = in_index, mask_upsample
        self.inst_branch = InstanceBranch(in_channels + 2, channels, depth, num_queries,
                                          num_classes, kernel_dim, groups, normalization, norm_cfg)
        self.mask_branch = MaskBranch(in_channels + 2, channels, depth, kernel_dim, norm_cfg)
        self.matcher = TASK_UTILS.build(matcher)
        self.region_classifier = None if region_classifier is None else MODELS.build(
            dict(type='RegionClassifier', in_channels=channels, num_classes=num_classes)
            | region_classifier)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_dice = MODELS.build(loss_dice)
        self.loss_objectness = MODELS.build(loss_objectness)
        self.loss_matched_cls = loss_matched_cls and MODELS.build(loss_matched_cls)
        self.sync_normalizers = sync_normalizers
        self.train_cfg = train_cfg
        self._set_test_cfg(test_cfg)

    def decode(self, x: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The network, up to mask logits at the size of the feature map.

        Returns:
            Class logits (B, N, num_classes), objectness logits (B, N), mask logits (B, N, h, w)
            and activation maps before normalization (B, groups * N, h, w).
        """
        return self._decode(x)[0]

    def _decode(self, x):
        """What :meth:`decode` returns, and the features that instances are read from."""
        x = self.level(x)
        x = torch.cat([coordinate_maps(x), x], dim=1)
        inst_features = self.inst_branch.inst_convs(x)
        class_logits, kernels, objectness, maps = self.inst_branch.read(inst_features)
        features = self.mask_branch(x)
        mask_logits = torch.bmm(kernels, features.flatten(2)).unflatten(2, features.shape[2:])
        return (class_logits, objectness, mask_logits, maps), inst_features

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: SampleList,
             positive_infos: InstanceList | None = None, **kwargs) -> dict:
        """Losses of a batch; ground-truth masks need no padding.

        Args:
            x: Maps of the neck; one of them is read.
            batch_data_samples: With ``gt_instances`` of labels and masks.
            positive_infos: Not used; mmdet passes it.

        Returns:
            The losses by name.
        """
        instances, _, metas = unpack_gt_instances(batch_data_samples)
        (class_logits, objectness, mask_logits, maps), features = self._decode(x)
        mask_logits = self.upsample(mask_logits)
        size = mask_logits.shape[-2:]
        check_mask_sizes(instances, metas)
        targets = [self._targets(gt, meta, size, mask_logits.device)
                   for gt, meta in zip(instances, metas)]
        losses = self.loss_by_feat(class_logits, objectness, mask_logits, maps, instances, metas,
                                   targets=targets)
        if self.region_classifier is not None:
            coverage = [F.adaptive_avg_pool2d(target.unflatten(1, size), features.shape[-2:])
                        for target in targets]
            losses |= self.region_classifier(features, coverage, [gt.labels for gt in instances])
        return losses

    def loss_by_feat(self, class_logits: Tensor, objectness: Tensor, mask_logits: Tensor,
                     maps: Tensor, batch_gt_instances: InstanceList, batch_img_metas: list[dict],
                     targets: list[Tensor] | None = None, **kwargs) -> dict:
        """Match and compare, in float32.

        Args:
            class_logits: (B, N, num_classes).
            objectness: Logits (B, N).
            mask_logits: (B, N, h, w).
            maps: Not used; a result of :meth:`forward`.
            batch_gt_instances: B instances with ``labels`` and ``masks``.
            batch_img_metas: B metas with ``batch_input_shape``, the padded size.
            targets: Of each image the masks (T, h * w) in [0, 1]; made of ``batch_gt_instances``
                if not given.

        Returns:
            ``loss_cls``, ``loss_mask``, ``loss_dice``, ``loss_objectness``.
        """
        # Half precision is for the network: sums over a mask's pixels would lose most digits.
        with torch.autocast(class_logits.device.type, enabled=False):
            return self._losses(class_logits.float(), objectness.float(), mask_logits.float(),
                                batch_gt_instances, batch_img_metas, targets)

    def _losses(self, class_logits, objectness, mask_logits, instances, metas, targets):
        device, size = mask_logits.device, mask_logits.shape[-2:]
        labels = [gt.labels for gt in instances]
        if targets is None:
            targets = [self._targets(gt, meta, size, device)
                       for gt, meta in zip(instances, metas)]
        try:
            pairs = self.matcher(class_logits, mask_logits.detach().flatten(2).sigmoid(), labels,
                                 targets, [meta.get('img_path') for meta in metas])
        except FloatingPointError:
            if get_world_size() == 1:
                raise
            # other processes wait for this one: NaN losses, below, reach all of them
            pairs = [(labels[0].new_zeros(0),) * 2] * len(labels)

        image = torch.cat([torch.full_like(p, k) for k, (p, _) in enumerate(pairs)])
        query = torch.cat([p for p, _ in pairs])
        classes = class_logits.new_full(class_logits.shape[:2], self.num_classes,
                                        dtype=torch.long)
        classes[image, query] = torch.cat([y[t] for y, (_, t) in zip(labels, pairs)])
        counts = upload(torch.tensor([sum(map(len, labels)), len(query)]).float(), device)
        over_all, least = counts_of_batch(counts, True)
        num_gt, num_matched = over_all.clamp(min=least).unbind()
        if not self.sync_normalizers:
            num_matched = counts[1].clamp(min=1)

        losses = dict(loss_cls=class_loss(self.loss_cls, class_logits.flatten(0, 1),
                                          classes.flatten(), num_gt))
        if self.loss_matched_cls is not None:
            losses['loss_matched_cls'] = self.loss_matched_cls(
                class_logits[image, query], classes[image, query], avg_factor=num_matched)
        if not len(query):
            # zero, but in the graph: distributed training waits for every gradient
            nothing = (mask_logits.sum() + objectness.sum()) * 0
            return losses | dict(loss_mask=nothing, loss_dice=nothing, loss_objectness=nothing)
        matched = mask_logits[image, query].flatten(1)
        target = torch.cat([t[g] for t, (_, g) in zip(targets, pairs)])
        losses['loss_mask'] = self.loss_mask(matched, target,
                                             avg_factor=num_matched * matched.shape[1])
        losses['loss_dice'] = self.loss_dice(matched, target, avg_factor=num_gt)
        losses['loss_objectness'] = self.loss_objectness(
            objectness[image, query], mask_iou(matched.detach(), target),
            avg_factor=num_matched)
        return losses
