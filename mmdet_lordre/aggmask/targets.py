"""Training targets: which class cells learn which mask."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from torch import Tensor

from ..grid import cell_targets, mask_moments, shrink_masks


class MapGroup(NamedTuple):
    """Levels whose mask maps are of one size and made of the same features.

    Attributes:
        first: First level.
        stop: One past the last level.
        size: (H, W) of the maps.
        factor: Pixels of the network input along a side of a map's pixel.
    """
    first: int
    stop: int
    size: tuple[int, int]
    factor: int


class Selection(NamedTuple):
    """What one image's cells of one group of levels learn.

    Attributes:
        cells: (n,) class cells, numbered over all levels.
        gts: (n,) the ground truth of each, an index into ``masks``.
        masks: BoolTensor (G, H, W), all of the image's ground truths at the maps' size.
    """
    cells: Tensor
    gts: Tensor
    masks: Tensor


class HeadTargets(NamedTuple):
    """Targets of a batch.

    Attributes:
        labels: (cells,) class of each cell, level by level, image by image, row by row.
        num_positive: Number of positive cells in the batch.
        selections: By group of levels, then by image.
    """
    labels: Tensor
    num_positive: int
    selections: list[list[Selection]]


def _as_tensor(masks: BitmapMasks | PolygonMasks | Tensor | np.ndarray) -> Tensor:
    """Masks (N, h, w) as a tensor where they are: mmdet keeps them on the CPU."""
    if isinstance(masks, PolygonMasks):
        masks = masks.to_ndarray()
    elif isinstance(masks, BitmapMasks):
        masks = masks.masks
    return masks if isinstance(masks, Tensor) else torch.from_numpy(np.ascontiguousarray(masks))


def head_targets(batch_gt_instances: Sequence, groups: Sequence[MapGroup], num_grids: Sequence[int],
                 scale_ranges: Sequence[tuple[float, float]], num_classes: int,
                 pos_scale: float, min_area: int, device) -> HeadTargets:
    """Assign ground truths to class cells; a cell learns the mask of its latest ground truth.

    Masks are read where they are; only their mass centres, areas and shrunk copies go to
    ``device``, one copy a ground truth and map size.

    Args:
        batch_gt_instances: One ``InstanceData`` an image, with bboxes, labels and masks in pixels
            of the network input.
        groups: The levels' maps, in the order of the levels.
        num_grids: Cells along a side of the class grid, by level.
        scale_ranges: (lowest, highest) object size by level.
        num_classes: Also the label of background cells.
        pos_scale: Share of the box around the mass centre that makes a cell positive.
        min_area: Masks of fewer pixels are left out.
        device: Where the targets go.
    """
    counts = [len(gts) for gts in batch_gt_instances]
    num_images = len(counts)
    masks = [_as_tensor(gts.masks) for gts in batch_gt_instances]
    moments = [mask_moments(part, torch.float64) for part in masks]
    height, width = groups[0].size
    boxes = [_plain(gts.bboxes).reshape(-1, 4) for gts in batch_gt_instances]
    targets = cell_targets(
        boxes=torch.cat(boxes).to(device),
        labels=torch.cat([gts.labels for gts in batch_gt_instances]).to(device),
        centres=torch.cat([centres for centres, _ in moments]).to(device),
        areas=torch.cat([areas for _, areas in moments]).to(device),
        images=torch.arange(num_images, device=device).repeat_interleave(
            torch.tensor(counts, device=device)),
        num_images=num_images,
        input_size=(height * groups[0].factor, width * groups[0].factor),
        num_grids=num_grids, scale_ranges=scale_ranges, num_classes=num_classes,
        pos_scale=pos_scale, min_area=min_area, one_per_cell=True)

    # all cells in the order group, image, cell, and the length of each stretch
    starts = torch.tensor([0, *(grid**2 for grid in num_grids)], device=device).cumsum(0)
    group_of = torch.tensor([i for i, group in enumerate(groups)
                             for _ in range(group.first, group.stop)], device=device)
    key = group_of[targets.levels] * num_images + targets.images
    key, order = key.sort(stable=True)
    lengths = torch.bincount(key, minlength=len(groups) * num_images).tolist()
    first_gt = torch.tensor([0, *counts], device=device).cumsum(0)
    cells = (starts[targets.levels] + targets.positions)[order].split(lengths)
    gts = (targets.gts - first_gt[targets.images])[order].split(lengths)

    shrunk, selections = {}, []
    for number, group in enumerate(groups):
        shape = (group.factor, group.size)
        if shape not in shrunk:
            shrunk[shape] = [shrink_masks(part, *shape).to(device) for part in masks]
        stretch = slice(number * num_images, (number + 1) * num_images)
        selections.append([Selection(*parts) for parts in
                           zip(cells[stretch], gts[stretch], shrunk[shape], strict=True)])
    return HeadTargets(targets.labels, len(targets.cells), selections)


def _plain(boxes) -> Tensor:
    """The tensor of mmdet's box structures, or the tensor itself."""
    return getattr(boxes, 'tensor', boxes)
