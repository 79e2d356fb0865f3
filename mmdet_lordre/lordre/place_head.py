"""Lordre with queries that come from places of the image."""
import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from ..grid.heads import check_mask_sizes, counts_of_batch
from ..masks import upload
from ..masks.chunks import chunk_size
from .base_head import LordreBaseHead, in_full, mask_iou
from .branches import MaskBranch
from .lattice import coarse, lattice_around
from .place_targets import beside, place_heat, places_of
from .places import PlaceBranch, at_places, find_places, pool

#: Elements of the masks that are drawn together at most; a GPU, which waits for each piece, has
#: room for more.
_TOGETHER = 2**25
_MORE_ON_A_GPU = 4


@MODELS.register_module()
class LordrePlaceHead(LordreBaseHead):
    """Lordre whose queries are places: made for little data, small objects and many alike.

    A query of the published head is a learned filter, which has to find its object among a hundred
    like ones. Here every cell of the feature map says whether it is the place of an object, and
    the best local maxima are the queries. What is read at a place draws the mask: a kernel on the
    mask features, as published, and a window, an ellipse in coordinates relative to the place. The
    mask is the query's activation map: class and objectness are read from the features under it.

    Training needs no matching: a ground truth has its place, one to one, and a result no clean-up.
    It is an addition to the published method, with the published head's interface, results and
    options of ``test_cfg``.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the feature map.
        channels: Channels of the convolutions of both branches.
        depth: Number of 3x3 convolutions of each branch.
        num_queries: Most instances of an image.
        kernel_dim: Length of a mask kernel.
        in_index: Which of the maps of the neck to use.
        norm_cfg: Norm after the 3x3 convolutions.
        mask_upsample: Factor from the feature map to the mask logits.
        radius: Size of a window before anything is learned, in cells.
        spread: How far around its place a ground truth is one, as a part of its side.
        peak: Side, in cells, of the square in which a place must be the highest: 5 where all
            objects are several cells wide finds fewer of them twice. Only inference has it.
        crop_size: Mask losses look at this many points along a side of a square around each
            object, twice its size, and at every eighth pixel of the rest. None: at every pixel of
            the image, which takes several times as long where there are many objects.
        region_classifier: Config of a training-only task (:class:`RegionClassifier`).
        loss_place: Loss of the places, against a map that is 1 at each and falls around it.
        loss_cls: Loss of classes, a softmax, of the features under the predicted and under the
            true mask.
        loss_mask: Loss of a mask's pixels, whose sum is divided by the object's size.
        loss_dice: As in :class:`LordreHead`; it gets probabilities, times the root of the pixels
            that a point stands for.
        loss_objectness: As in :class:`LordreHead`.
        sync_normalizers: Whether losses are divided by the number of ground truths over all
            processes, or by a process's own.
        train_cfg: Not used; mmdet passes it.
        test_cfg: As in :class:`LordreHead`; activation maps are the masks.
    """

    def __init__(self, num_classes: int, in_channels: int = 256, channels: int = 256,
                 depth: int = 4, num_queries: int = 100, kernel_dim: int = 32, in_index: int = 0,
                 norm_cfg: dict | None = None, mask_upsample: int = 1, radius: float = 2.0,
                 spread: float = 0.1, peak: int = 3, crop_size: int | None = None,
                 region_classifier: dict | None = None,
                 loss_place: dict = dict(type='GaussianFocalLoss', alpha=2.0, gamma=4.0,
                                         loss_weight=1.0),
                 loss_cls: dict = dict(type='CrossEntropyLoss', loss_weight=1.0),
                 loss_mask: dict = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
                 loss_dice: dict = dict(type='DiceLoss', eps=5e-5, loss_weight=2.0),
                 loss_objectness: dict = dict(type='CrossEntropyLoss', use_sigmoid=True,
                                              loss_weight=1.0),
                 sync_normalizers: bool = True, train_cfg: dict | None = None,
                 test_cfg: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.num_classes, self.num_queries = num_classes, num_queries
        self.in_channels = in_channels
        self.in_index, self.mask_upsample = in_index, mask_upsample
        if peak % 2 == 0:
            raise ValueError(f'peak must be odd, not {peak}')
        self.radius, self.spread, self.peak, self.crop_size = radius, spread, peak, crop_size
        self.place_branch = PlaceBranch(in_channels, channels, depth, num_classes, kernel_dim,
                                        norm_cfg)
        # the last two channels are votes: how far each pixel is from the middle of its object
        self.mask_branch = MaskBranch(in_channels, channels, depth, kernel_dim + 2, norm_cfg)
        self.region_classifier = None if region_classifier is None else MODELS.build(
            dict(type='RegionClassifier', in_channels=channels, num_classes=num_classes)
            | region_classifier)
        self.loss_place = MODELS.build(loss_place)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_dice = MODELS.build(dict(loss_dice, activate=False))
        self.loss_objectness = MODELS.build(loss_objectness)
        self.sync_normalizers = sync_normalizers
        self.train_cfg = train_cfg
        self._set_test_cfg(test_cfg)

    def scores(self, class_logits: Tensor, objectness: Tensor) -> Tensor:
        """Scores (B, N, num_classes): of the class, the place and the mask."""
        return (class_logits.softmax(dim=-1) * objectness.sigmoid().prod(-1, keepdim=True)).sqrt()

    def decode(self, x: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The network, up to mask logits at the size of the feature map.

        Returns:
            Class logits (B, N, num_classes), logits of place and mask quality (B, N, 2), mask
            logits (B, N, h, w), and the same again: they are the activation maps. N is
            ``num_queries``, or the number of cells if that is smaller.
        """
        branch = self.place_branch
        x = self.level(x)
        features, mask_features = branch.inst_convs(x), self.mask_branch(x)
        places, cells = find_places(branch.place_logits(features), self.num_queries, self.peak)
        masks = branch.draw(branch.kernels(features, cells, self.radius),
                            branch.bases(mask_features))
        class_logits, quality = branch.tell(at_places(features, cells),
                                            pool(features, masks.sigmoid()))
        return class_logits, torch.stack([places, quality.float()], dim=-1), masks, masks

    def loss(self, x: tuple[Tensor, ...], batch_data_samples: SampleList,
             positive_infos: InstanceList | None = None, **kwargs) -> dict:
        """Losses of a batch; ground-truth masks need no padding.

        Args:
            x: Maps of the neck; one of them is read.
            batch_data_samples: With ``gt_instances`` of labels, bboxes and masks.
            positive_infos: Not used; mmdet passes it.

        Returns:
            The losses by name.
        """
        instances, _, metas = unpack_gt_instances(batch_data_samples)
        x = self.level(x)
        return self.loss_by_feat(self.place_branch.inst_convs(x), self.mask_branch(x), instances,
                                 metas)

    def loss_by_feat(self, features: Tensor, mask_features: Tensor, batch_gt_instances: list,
                     batch_img_metas: list, **kwargs) -> dict:
        """Draw at the places of the ground truths and compare, in float32.

        Args:
            features: What the places are read from, (B, channels, h, w).
            mask_features: (B, kernel_dim + 2, h, w).
            batch_gt_instances: B instances with ``labels``, ``bboxes`` and ``masks``.
            batch_img_metas: B metas with ``batch_input_shape``, the padded size.

        Returns:
            ``loss_place``, ``loss_cls``, ``loss_mask``, ``loss_dice``, ``loss_objectness``.
        """
        branch, instances, metas = self.place_branch, batch_gt_instances, batch_img_metas
        size, device = features.shape[-2:], features.device
        check_mask_sizes(instances, metas)
        upsampled = [side * self.mask_upsample for side in size]
        also = [upsampled] if self.mask_upsample > 1 else []
        # floats of all ground truths would take 3 MB each at 1536 px
        coverage = [self._quarters(gt, meta, size, device, also).unflatten(1, size)
                    for gt, meta in zip(instances, metas)]
        labels = [gt.labels for gt in instances]
        count = sum(map(len, labels))
        number, least = counts_of_batch(upload(torch.tensor(float(count)), device),
                                        self.sync_normalizers)
        number = number.clamp(min=least)

        boxes = [upload(getattr(gt.bboxes, 'tensor', gt.bboxes), device) for gt in instances]
        places = [places_of(in_full(part), box, meta['batch_input_shape'][0] / size[0])
                  for part, box, meta in zip(coverage, boxes, metas)]
        heat = torch.stack([place_heat(spots, areas_of(part), size, self.spread)
                            for spots, part in zip(places, coverage)])
        logits = branch.place_logits(features)
        losses = dict(loss_place=self.loss_place(logits.sigmoid().clamp(1e-4, 1 - 1e-4), heat,
                                                 avg_factor=number))
        if self.region_classifier is not None:
            losses |= self.region_classifier(features, coverage, labels)
        if not count:
            # zero, but in the graph: distributed training waits for every gradient
            nothing = 0 * (mask_features.sum() + sum(p.sum() for p in branch.parameters()))
            return losses | dict(loss_mask=nothing, loss_dice=nothing, loss_cls=nothing,
                                 loss_objectness=nothing)

        targets = coverage if self.mask_upsample == 1 else [
            self._quarters(gt, meta, upsampled, device).unflatten(1, upsampled)
            for gt, meta in zip(instances, metas)]
        bases = branch.bases(mask_features)
        upsampled_bases = self.upsample(bases)
        boxes = [box * self.mask_upsample * size[0] / meta['batch_input_shape'][0]
                 for box, meta in zip(boxes, metas)]
        # of what losses look at closely, masks are drawn at the stride of the features alone
        drawn = coverage if self.crop_size else targets
        pieces = _pieces(list(map(len, labels)), drawn[0].shape[1:].numel(),
                         _TOGETHER * (1 if device.type == 'cpu' else _MORE_ON_A_GPU))
        for images, part in pieces:
            some = [[values[part] for values in listed[images]]
                    for listed in (places, coverage, targets, labels, boxes)]
            maps = features, bases, upsampled_bases
            if len(pieces) > 1:  # gradients of parts are made whole in an order of their own
                maps = [values[images] for values in maps]
            arguments = *maps, *some, number
            # of several pieces none is kept for the gradients: each is drawn once more
            found = self._instance_losses(*arguments) if len(pieces) == 1 else checkpoint(
                self._instance_losses, *arguments, use_reentrant=False, preserve_rng_state=False)
            for name, value in found.items():
                losses[name] = losses[name] + value if name in losses else value
        return losses

    def _instance_losses(self, features, bases, upsampled_bases, places, coverage, targets, labels,
                         boxes, number):
        """Losses of what is drawn for ground truths, each twice: at its place, and beside it,
        where a prediction may fall."""
        branch, size = self.place_branch, features.shape[-2:]
        both = [torch.stack([spots, beside(spots, size)], dim=1).flatten(0, 1) for spots in places]
        cells = pad_sequence([spots[:, 0] + size[1] * spots[:, 1] for spots in both],
                             batch_first=True)
        held = held_rows(both, cells.shape[1], cells.device)
        at_place = at_places(features, cells).flatten(0, 1)[held]
        kernels = branch.kernels(features, cells, self.radius)

        with torch.no_grad():
            masks = branch.draw(kernels, bases).sigmoid()
        drawn = pool(features, masks).flatten(0, 1)[held]
        under = in_full(pad_sequence(coverage, batch_first=True))
        true = pool(features, under).flatten(0, 1)[
            held_rows(coverage, under.shape[1], cells.device).repeat_interleave(2)]
        del masks, under  # as large as the logits of all masks
        drawn, quality = branch.tell(at_place, drawn)
        told, _ = branch.tell(at_place, true)

        with torch.autocast(features.device.type, enabled=False):
            classes = torch.cat(labels).repeat_interleave(2)
            loss_cls = self.loss_cls(torch.cat([drawn, told]).float(), classes.repeat(2),
                                     avg_factor=4 * number)
            logits, target, weights = self._looked_at(kernels, held, upsampled_bases, targets,
                                                      torch.cat(boxes))
            target = target.repeat_interleave(2, dim=0)
            area = torch.cat(list(map(areas_of, targets))).repeat_interleave(2)
            loss_objectness = self.loss_objectness(
                quality.float(), mask_iou(logits.detach(), target, weights),
                avg_factor=2 * number)
            scale, probs = 1 / (area + self.mask_upsample**2)[:, None], logits.sigmoid()
            whole = target
            if weights is not None:
                root = weights.sqrt()
                scale, probs, whole = scale * weights, probs * root, target * root
            return dict(
                loss_cls=loss_cls,
                loss_mask=self.loss_mask(logits, target, scale.expand_as(target),
                                         avg_factor=2 * number),
                loss_dice=self.loss_dice(probs, whole, avg_factor=2 * number),
                loss_objectness=loss_objectness)

    def _looked_at(self, kernels, held, bases, targets, boxes):
        """Logits (2 T, points), targets (T, points) and weights (2 T, points) of the points that
        mask losses look at; of each ground truth both masks in turn. No weights: all pixels."""
        counts = [len(part) for part in targets]
        if self.crop_size is None:
            logits = torch.bmm(kernels, bases.flatten(2)).flatten(0, 1)[held]
            target = in_full(torch.cat([part.flatten(1) for part in targets]))
            return logits, target, None
        size = bases.shape[-2:]
        lattice = lattice_around(boxes, size, self.crop_size)
        image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        rows = lattice.near + upload(image, boxes.device)[:, None] * size.numel()
        cells = torch.arange(len(bases) * size.numel(), device=boxes.device).view(-1, *size)
        far_rows = coarse(cells).flatten(1)
        # pixels of both kinds are read at once: their gradients are maps of full size
        read = bases.flatten(2).transpose(1, 2).flatten(0, 1).index_select(
            0, torch.cat([rows.flatten(), far_rows.flatten()]))
        own, rest = read.split([rows.numel(), far_rows.numel()])
        pairs = kernels.flatten(0, 1)[held].unflatten(0, (-1, 2))
        near = torch.bmm(own.unflatten(0, rows.shape), pairs.transpose(1, 2)).transpose(1, 2)
        far = torch.bmm(kernels, rest.unflatten(0, far_rows.shape).transpose(1, 2))
        far = far.flatten(0, 1)[held]
        return (torch.cat([near.flatten(0, 1), far], dim=1),
                in_full(lattice.values(torch.cat(targets))),
                lattice.weights.repeat_interleave(2, dim=0))


def _pieces(counts, pixels, most):
    """What is drawn together, as slices of the batch and of an image's ground truths: all of it,
    or a quarter of what may be at most: images one after another, or a part of one with many."""
    if 2 * len(counts) * max(counts) * pixels <= most:
        return [(slice(None), slice(None))]
    step = max(1, most // (8 * pixels))
    found, first = [], 0
    while first < len(counts):
        last = first + 1
        while last < len(counts) and (last + 1 - first) * max(counts[first:last + 1]) <= step:
            last += 1
        found += [(slice(first, last), slice(start, start + step))
                  for start in range(0, max(counts[first:last]), step)]
        first = last
    return found


def areas_of(masks: Tensor) -> Tensor:
    """Pixels of masks (T, h, w), see :func:`in_full`."""
    # some at a time as floats: a CPU takes ten times as long to sum bytes
    step = chunk_size(masks.shape[1:].numel(), device=masks.device)
    return torch.cat([in_full(part).sum(dim=(1, 2)) for part in masks.split(step)])


def held_rows(listed: list, length: int, device: torch.device) -> Tensor:
    """Rows that hold something, of what was padded to one length an image and flattened."""
    return upload(torch.cat([torch.arange(len(part)) + k * length
                             for k, part in enumerate(listed)]), device)
