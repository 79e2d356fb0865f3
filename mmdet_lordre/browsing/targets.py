"""Targets of each family over the input: cells and centers, rays and points, masks of queries."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mmdet.structures.mask import BaseInstanceMasks
from torch import Tensor, nn

from ..aggmask.base_head import BaseAggMaskHead
from ..grid import cell_targets, collect_ground_truths
from ..lordre.base_head import LordreBaseHead
from ..lordre.head import LordreHead
from ..masks.targets import InPlaceOfMasks
from ..models import head_of
from ..polarmask.head import PolarMaskHead, polar_centerness
from ..solov2.head import SOLOv2KernelHead
from ..text import agree, plural
from ..visualization.drawing import mask_crops, paint

_SHIFT = 4


@dataclass
class DrawnTargets:
    """The targets of one image.

    Attributes:
        legend: What the picture shows.
        lines: What is to be said of the image.
        draw (Callable): Draws into a picture (H, W, 3) uint8, RGB, given the colors of the objects
            and the factor by which the picture is larger than the input.
    """
    legend: str
    lines: list
    draw: Callable


def drawn_targets(model: nn.Module, inputs: Tensor, samples: Sequence) -> list[DrawnTargets]:
    """Targets of a batch as the head of the model makes them.

    Args:
        model: A detector.
        inputs: (B, 3, H, W) after its preprocessor.
        samples: Their data samples.
    """
    head = head_of(model)
    instances = [sample.gt_instances for sample in samples]
    if isinstance(head, (SOLOv2KernelHead, BaseAggMaskHead)):
        return _cells(head, inputs, instances)
    if isinstance(head, PolarMaskHead):
        return _rays(head, inputs, instances)
    if isinstance(head, LordreBaseHead):
        return _queries(model, head, inputs, samples)
    return [DrawnTargets('Masks after augmentation.', [], _painter(_masks_of(gt)))
            for gt in instances]


def _painter(masks: object, alpha: float = 0.35) -> Callable:
    def draw(picture, colors, factor):
        if masks is not None and len(masks):
            crops, size = mask_crops(masks)
            # of the targets' resolution: each of their pixels is seen
            paint(picture, list(crops), size, colors, alpha)
    return draw


def _masks_of(gt):
    masks = gt.get('masks')
    if isinstance(masks, InPlaceOfMasks) or not isinstance(masks, (BaseInstanceMasks, Tensor)):
        return None
    return masks


def _cells(head, inputs, instances) -> list[DrawnTargets]:
    stride = head.mask_stride
    height, width = (-(-side // stride) for side in inputs.shape[-2:])
    truths = collect_ground_truths(instances, {stride: (height, width)}, 'cpu')
    aggmask = isinstance(head, BaseAggMaskHead)
    targets = cell_targets(
        truths.boxes, truths.labels, truths.centers(torch.float64 if aggmask else torch.float32),
        truths.areas, truths.images, len(instances), (height * stride, width * stride),
        head.num_grids, head.scale_ranges, head.num_classes, head.pos_scale,
        *((head.min_mask_area, True) if aggmask else ()))
    centers = truths.centers().numpy()
    _, gts, levels, images, positions = (part.numpy() for part in targets.on_cpu)
    found = []
    for number in range(len(instances)):
        own = np.flatnonzero(truths.images.numpy() == number)
        first = own[0] if len(own) else 0
        pairs = images == number
        lines = [f'level {level}, {grid}x{grid}: '
                 f'{plural(len(np.unique(gts[pairs & (levels == level)])), "object")}, '
                 f'{plural(len(np.unique(positions[pairs & (levels == level)])), "cell")}'
                 for level, grid in enumerate(head.num_grids) if (pairs & (levels == level)).any()]
        without = len(own) - len(np.unique(gts[pairs]))
        if without:
            lines.append(f'{without} without a cell: not learned')
        found.append(DrawnTargets(
            f'Mask targets at 1/{stride} of the input, mass centers, and the cells that learn an '
            'object, on the level of its size.', lines, _cell_painter(
                truths.masks[stride][own], centers[own],
                [(gts[k] - first, head.num_grids[levels[k]], positions[k])
                 for k in np.flatnonzero(pairs)], (height * stride, width * stride))))
    return found


def _cell_painter(masks, centers, cells, size) -> Callable:
    def draw(picture, colors, factor):
        _painter(masks, 0.3)(picture, colors, factor)
        for gt, grid, position in cells:
            row, column = divmod(int(position), grid)
            corners = [(round(size[1] * (column + k) / grid * factor),
                        round(size[0] * (row + k) / grid * factor)) for k in (0, 1)]
            cv2.rectangle(picture, *corners, colors[gt], 1, cv2.LINE_AA)
        _dots(picture, centers, colors, factor)
    return draw


def _rays(head, inputs, instances) -> list[DrawnTargets]:
    sizes = [tuple(-(-side // stride) for side in inputs.shape[-2:]) for stride in head.strides]
    targets = head.targets(instances, sizes)
    total = sum(height * width for height, width in sizes)
    ends = np.cumsum([height * width for height, width in sizes])
    counts = [len(gt.labels) for gt in instances]
    firsts = np.cumsum([0, *counts])
    angles = np.arange(head.coder.num_rays) * 2 * np.pi / head.coder.num_rays
    # from down toward right
    directions = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    points, rays = targets.points.numpy(), targets.rays.numpy()
    shares = np.zeros_like(rays) if targets.shares is None else targets.shares.numpy()
    central = polar_centerness(targets.rays, head.holes).numpy()
    owner = targets.instances.numpy()
    image = targets.positives.numpy() // total
    level = np.searchsorted(ends, targets.positives.numpy() % total, side='right')
    found = []
    for number in range(len(instances)):
        rows = np.flatnonzero(image == number)
        lines = [f'stride {stride}: '
                 f'{plural(len(np.unique(owner[rows[level[rows] == k]])), "object")}, '
                 f'{plural(int((level[rows] == k).sum()), "point")}'
                 for k, stride in enumerate(head.strides) if (level[rows] == k).any()]
        without = counts[number] - len(np.unique(owner[rows]))
        if without:
            lines.append(f'{without} without a point: not learned')
        found.append(DrawnTargets(
            'Points that learn an object, and of the most central one of each the rays that it '
            'learns.', lines, _ray_painter(
                points[rows], rays[rows], shares[rows], central[rows], owner[rows] - firsts[number],
                directions)))
    return found


def _ray_painter(points, rays, shares, central, owners, directions) -> Callable:
    def draw(picture, colors, factor):
        for gt in np.unique(owners):
            own = np.flatnonzero(owners == gt)
            best = own[central[own].argmax()]
            starts, ends = (
                np.array([_place(points[best] + offset, factor) for offset in
                          lengths[:, None] * directions], np.int32)
                for lengths in (rays[best] * shares[best], rays[best]))
            for start, end in zip(starts.tolist(), ends.tolist()):
                cv2.line(picture, start, end, colors[gt], 1, cv2.LINE_AA, _SHIFT)
            light = tuple(int(c * 0.5 + 127) for c in colors[gt])
            for outline in (ends, starts) if shares[best].any() else (ends,):
                cv2.polylines(picture, [outline], True, light, 1, cv2.LINE_AA, _SHIFT)
        _dots(picture, points, [colors[gt] for gt in owners], factor)
    return draw


def _queries(model, head, inputs, samples) -> list[DrawnTargets]:
    with torch.no_grad():
        logits = head(model.extract_feat(inputs[:1]))[2]
    size, queries = tuple(logits.shape[-2:]), logits.shape[1]
    found = []
    for sample in samples:
        gt = sample.gt_instances
        targets = head._targets(gt, sample.metainfo, size, inputs.device)
        masks = targets.unflatten(1, size).cpu() > 0.5
        lines = []
        if isinstance(head, LordreHead):
            beyond = plural(len(gt) - queries, 'object')
            lines = [f'{len(gt)} of {queries} queries {agree(len(gt), "learns", "learn")} an object'
                     if len(gt) <= queries else
                     f'{beyond} more than the {queries} queries: not learned']
        empty = int((~masks.flatten(1).any(1)).sum())
        if empty:
            lines.append(f'{empty} without a pixel of the targets that is covered by half')
        found.append(DrawnTargets(
            f'Mask targets of {size[1]}x{size[0]} pixels: those that are covered by half. Each is '
            'learned by the prediction that fits it best.', lines, _painter(masks)))
    return found


def _dots(picture, points, colors, factor):
    for point, color in zip(points, colors):
        if np.isfinite(point).all():
            at = _place(point, factor)
            cv2.circle(picture, at, 3 << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(picture, at, 2 << _SHIFT, color, -1, cv2.LINE_AA, _SHIFT)


def _place(point, factor):
    """A pixel's center in a picture that is larger by a factor, in fractions for OpenCV."""
    x, y = ((float(v) + 0.5) * factor - 0.5 for v in point)
    return round(x * 2**_SHIFT), round(y * 2**_SHIFT)
