"""Perfect predictions: the ground truth through a head's own targets and its own decoder.

For each head a function that makes, of one image, what the network would give if it had learned
its targets without an error, and lets the head turn that into detections. What is lost on the way
no training brings back.
"""
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType

import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api
from torch import Tensor, nn

from ..aggmask import AggMaskHead, AggMaskStarHead
from ..aggmask.prediction import to_map_size
from ..aggmask.targets import head_targets
from ..datasets.annotation_rules import encode_segmentation
from ..evaluation.coco_mask_metric import to_rles
from ..grid import cell_targets, collect_ground_truths
from ..lordre import LordreHead, LordrePlaceHead
from ..lordre.place_targets import places_of
from ..masks import central_sums
from ..polarmask import PolarMaskHead
from ..polarmask.polygons import contours_to_rle
from ..solov2 import SOLOv2KernelHead, SOLOv2WindowHead
from .learned_masks import learned_logits, nearest_logits

#: Logit of what is certain.
_SURE = 12.


@dataclass
class Scene:
    """An image as the network sees it.

    Attributes:
        truth: Bboxes, labels and masks in pixels of the network input.
        segments: Polygons or run lengths of each object in pixels of the original image.
        size: (height, width) of the original image.
        shape: Of the network input.
        padded: Of the network input with its padding.
    """
    truth: InstanceData
    segments: list
    size: tuple[int, int]
    shape: tuple[int, int]
    padded: tuple[int, int]

    @property
    def meta(self) -> dict:
        """What heads read of an image."""
        scale = (self.shape[1] / self.size[1], self.shape[0] / self.size[0])
        return dict(img_shape=self.shape, ori_shape=self.size, batch_input_shape=self.padded,
                    pad_shape=self.padded, scale_factor=scale)

    def map_size(self, stride: int) -> tuple[int, int]:
        """(height, width) of a map of this stride over the padded input."""
        return tuple(-(-side // stride) for side in self.padded)

    def targets(self, stride: int) -> Tensor:
        """The masks that heads learn at a stride: quarters 0 to 1, (N, h, w)."""
        return central_sums(self.truth.masks, stride, self.map_size(stride)).float() / 4


@dataclass
class Perfect:
    """Detections of an image, and what became of its objects.

    Attributes:
        found: Scores, labels and masks at the original size.
        placed: bool (N,), objects that something in the network would learn.
        assigned: bool (N,), objects that something would have learned, had no other taken its
            place.
        tiny: bool (N,), objects whose masks have too few pixels for the head to learn or keep
            them.
    """
    found: InstanceData
    placed: np.ndarray
    assigned: np.ndarray
    tiny: np.ndarray


def _logits(probabilities: Tensor) -> Tensor:
    return probabilities.logit(eps=1e-5).clamp(-_SURE, _SURE)


def _by_level(labels: Tensor, classes: int, grids) -> list[Tensor]:
    """Class logits (1, classes, S, S) of each level from labels of cells in a row."""
    found = []
    for part, grid in zip(labels.split([grid**2 for grid in grids]), grids):
        logits = torch.full((classes + 1, grid**2), -_SURE)
        logits[part, torch.arange(len(part))] = _SURE
        found.append(logits[:classes].view(1, classes, grid, grid))
    return found


def _marks(count, *indices) -> list[np.ndarray]:
    marks = []
    for index in indices:
        mark = np.zeros(count, bool)
        mark[np.asarray(index, int)] = True
        marks.append(mark)
    return marks


def _binary(scene: Scene, stride: int) -> Tensor:
    """The masks (N, h, w) that grid heads learn: samples of which half or more is covered."""
    return (scene.targets(stride) >= 0.5).float()


def _tiny(head, masks: Tensor, gts: Tensor, levels: Tensor) -> np.ndarray:
    """Objects whose masks the levels that learn them all throw away for their small area."""
    areas = (masks > head.test_cfg.mask_thr).sum((1, 2))
    large = areas[gts] > torch.tensor(head.strides)[levels]
    tiny = np.zeros(len(masks), bool)
    tiny[gts.unique().numpy()] = True
    tiny[gts[large].unique().numpy()] = False
    return tiny


def _solov2(head: SOLOv2KernelHead, scene: Scene) -> Perfect:
    stride, count = head.mask_stride, len(scene.truth)
    size = scene.map_size(stride)
    _, targets = head.targets([scene.truth], size, 'cpu')
    owner = torch.full((len(targets.labels),), -1)
    # a cell has one kernel: that of the ground truth whose class it is given
    owner.scatter_reduce_(0, targets.cells, targets.gts, 'amax')
    kernels = torch.zeros(len(owner), count)
    used = (owner >= 0).nonzero().flatten()
    kernels[used, owner[used]] = 1
    kernels = [part.t().reshape(1, count, grid, grid) for part, grid in zip(
        kernels.split([grid**2 for grid in head.num_grids]), head.num_grids)]
    masks = _binary(scene, stride)
    found, = head.predict_by_feat(
        kernels, _by_level(targets.labels, head.num_classes, head.num_grids),
        _logits(masks)[None], [scene.meta])
    return Perfect(found, *_marks(count, owner[used].unique(), targets.gts.unique()),
                   _tiny(head, masks, targets.gts, targets.levels))


def _aggmask(head: AggMaskHead | AggMaskStarHead, scene: Scene) -> Perfect:
    count = len(scene.truth)
    finest = scene.map_size(head.mask_stride)
    sizes = [tuple(-(-side // 2**level) for side in finest) for level in range(len(head.strides))]
    feats = [torch.zeros(1, 1, *size) for size in sizes]
    if isinstance(head, AggMaskStarHead):
        feats = feats[:1]
    else:
        feats = head.split_feats(feats)
    groups = head.map_groups(feats)
    targets = head_targets([scene.truth], groups, head.num_grids, head.scale_ranges,
                           head.num_classes, head.pos_scale, head.min_mask_area, 'cpu')
    owner = torch.full((len(targets.labels),), -1)
    for (selection,) in targets.selections:
        owner[selection.cells] = selection.gts
    maps = {group.factor: _binary(scene, group.factor) for group in groups}

    def fused(self, groups, sources, table, cells):
        for group, _, part in self._by_group(groups, sources, cells):
            if len(part):
                yield to_map_size(maps[group.factor][owner[part]], groups[0].size)

    head._fused_probs = MethodType(fused, head)
    kernels = torch.zeros(1, 1, 1)
    found, = head.predict_by_feat(
        _by_level(targets.labels, head.num_classes, head.num_grids), feats, kernels,
        torch.zeros(1, 1, 1), None, [scene.meta], rescale=True)
    # a ground truth has cells of its own unless later ones have taken all of them
    truths = collect_ground_truths([scene.truth], {groups[0].factor: finest}, 'cpu')
    all_pairs = cell_targets(
        truths.boxes, truths.labels, truths.centers(torch.float64), truths.areas, truths.images, 1,
        scene.padded, head.num_grids, head.scale_ranges, head.num_classes, head.pos_scale)
    learned = truths.areas[all_pairs.gts] >= head.min_mask_area
    placed, assigned, unlearned = _marks(count, owner[owner >= 0].unique(),
                                         all_pairs.gts[learned].unique(),
                                         all_pairs.gts[~learned].unique())
    tiny = _tiny(head, maps[groups[0].factor], all_pairs.gts, all_pairs.levels)
    return Perfect(found, placed, assigned, tiny | unlearned)


def _polarmask(head: PolarMaskHead, scene: Scene) -> Perfect:
    count = len(scene.truth)
    sizes = [scene.map_size(stride) for stride in head.strides]
    targets = head.targets([scene.truth], sizes)
    points = sum(height * width for height, width in sizes)
    logits = torch.full((points, head.num_classes + 1), -_SURE)
    logits[torch.arange(points), targets.labels] = _SURE
    distances = torch.ones(points, 4)
    centerness = torch.full((points, 1), -_SURE)
    at, box = targets.points, targets.boxes
    distances[targets.positives] = torch.cat((at - box[:, :2], box[:, 2:] - at), 1)
    perfect = [targets.rays] + ([_logits(targets.shares)] if head.holes else [])
    rays = torch.ones(points, sum(part.shape[1] for part in perfect))
    rays[targets.positives] = torch.cat(perfect, 1)
    centerness[targets.positives, 0] = _logits(_drawn_best(head, scene, targets))

    def levels(flat):
        parts = flat.split([height * width for height, width in sizes])
        return [part.t().reshape(1, -1, *size) for part, size in zip(parts, sizes)]

    found, = head.predict_by_feat(levels(logits[:, :-1]), levels(distances), levels(rays),
                                  levels(centerness), [scene.meta], rescale=True)
    placed = targets.instances.unique()
    # what no point learns for want of a level, and what smaller neighbors have taken, alone
    alone = [index for index in range(count) if index not in set(placed.tolist()) and len(
        head.targets([scene.truth[index:index + 1]], sizes).positives)]
    return Perfect(found, *_marks(count, placed, [*placed.tolist(), *alone], []))


def _lordre(head: LordreHead | LordrePlaceHead, scene: Scene, stride: int,
            by_heart: bool) -> Perfect:
    count, coverage = len(scene.truth), scene.targets(stride)
    areas = torch.from_numpy(scene.truth.masks.areas)
    # of more objects than queries the largest are kept, whose masks are the best
    chosen = areas.argsort(descending=True, stable=True)
    lonely = chosen = chosen[areas[chosen] > 0]
    if isinstance(head, LordrePlaceHead):  # a place is that of one object
        cells = places_of(coverage, scene.truth.bboxes, stride).tolist()
        first: dict = {}
        lonely = torch.tensor([first.setdefault(tuple(cells[i]), i) for i in chosen.tolist()
                               if tuple(cells[i]) not in first], dtype=torch.long)
    kept = lonely[:head.num_queries]
    queries = len(kept)
    classes = torch.full((1, queries, head.num_classes), -_SURE)
    classes[0, torch.arange(queries), scene.truth.labels[kept]] = _SURE
    if head.mask_upsample == 1:
        masks = _logits(coverage[kept])
    else:
        finer = scene.targets(stride // head.mask_upsample)[kept]
        masks = learned_logits(coverage[kept], finer, head.upsample, -_SURE) if by_heart else \
            nearest_logits(coverage[kept], finer, head.upsample,
                           torch.tensor(head.test_cfg['mask_thr']).logit())
    sure = torch.full((1, queries, 2) if isinstance(head, LordrePlaceHead) else (1, queries), _SURE)
    found, = head.predict_by_feat(classes, sure, masks[None], torch.zeros(1, 1, 1, 1),
                                  [scene.meta], rescale=True)
    vanished = (coverage.flatten(1).amax(1) < head.test_cfg['mask_thr']).nonzero().flatten()
    # what has no place for want of queries is no neighbor's doing
    assigned = set(chosen.tolist()) - set(lonely[head.num_queries:].tolist())
    return Perfect(found, *_marks(count, kept, sorted(assigned), vanished))


def _drawn_best(head: PolarMaskHead, scene: Scene, targets) -> Tensor:
    """IoU (M,) of what the rays of each positive draw: of an object's points, of which suppression
    leaves one, that may be the one that draws it best."""
    scale = torch.tensor(scene.meta['scale_factor'])
    lengths = [targets.rays] + ([targets.rays * targets.shares] if head.holes else [])
    contours, *holes = (head.coder.decode(targets.points, part, scene.shape) / scale
                        for part in lengths)
    drawn = contours_to_rle(contours, scene.size, head.test_cfg['fill'], (0.5 / scale).tolist(),
                            *holes)
    image = dict(height=scene.size[0], width=scene.size[1])
    ious = torch.zeros(len(drawn))
    for number in targets.instances.unique().tolist():
        rows = (targets.instances == number).nonzero().flatten()
        truth = encode_segmentation(scene.segments[number], image)
        ious[rows] = torch.as_tensor(mask_api.iou(
            [drawn[i] for i in rows.tolist()], to_rles([truth]), [0]), dtype=ious.dtype)[:, 0]
    return ious


_WAYS: dict[type, Callable] = {
    SOLOv2KernelHead: _solov2, SOLOv2WindowHead: _solov2, AggMaskHead: _aggmask,
    AggMaskStarHead: _aggmask, PolarMaskHead: _polarmask, LordreHead: _lordre,
    LordrePlaceHead: _lordre}


def known_head(head: nn.Module) -> bool:
    """Whether :func:`predict_perfectly` knows a head."""
    return type(head) in _WAYS


@torch.no_grad()
def predict_perfectly(head: nn.Module, scene: Scene, stride: int = 8,
                      by_heart: bool = True) -> Perfect:
    """Detections of a network without any error.

    Args:
        head: One of this package.
        scene: An image with at least one object.
        stride: Of the features that Lordre's masks are made of; the other heads know theirs.
        by_heart: Whether outlines may be as fine as Lordre draws those of pictures that it knows
            by heart; else as of pictures like them.
    """
    if isinstance(head, LordreHead | LordrePlaceHead):
        return _lordre(head, scene, stride, by_heart)
    return _WAYS[type(head)](head, scene)
