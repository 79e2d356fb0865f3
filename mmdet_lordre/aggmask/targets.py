"""Training targets: which class cells learn which mask."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.utils import InstanceList
from torch import Tensor

from ..grid import cell_targets, collect_ground_truths
from ..masks import upload


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
        cells: (n,) class cells, numbered over all levels, on the CPU.
        gts: (n,) the ground truth of each, an index into ``masks``.
        masks: BoolTensor (N, H, W), all ground truths of the batch at the maps' size.
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


def head_targets(batch_gt_instances: InstanceList, groups: Sequence[MapGroup],
                 num_grids: Sequence[int], scale_ranges: Sequence[tuple[float, float]],
                 num_classes: int, pos_scale: float, min_area: int,
                 device: torch.device | str) -> HeadTargets:
    """Assign ground truths to class cells; a cell learns the mask of its latest ground truth.

    Masks are read where they are; only their mass centers, areas and shrunk copies go to
    ``device``, one copy a ground truth and map size.

    Args:
        batch_gt_instances: One ``InstanceData`` an image, with bboxes, labels and masks in pixels
            of the network input.
        groups: The levels' maps, in the order of the levels.
        num_grids: Cells along a side of the class grid, by level.
        scale_ranges: (lowest, highest) object size by level.
        num_classes: Also the label of background cells.
        pos_scale: Share of the box around the mass center that makes a cell positive.
        min_area: Masks of fewer pixels are left out.
        device: Where the targets go.
    """
    sizes = {}
    for group in groups:
        if sizes.setdefault(group.factor, group.size) != group.size:
            raise ValueError(f'maps of stride {group.factor} have sizes {sizes[group.factor]} and '
                             f'{group.size}: the input must be padded to a multiple of 32 pixels '
                             '(pad_size_divisor)')
    truths = collect_ground_truths(batch_gt_instances, sizes, device)
    num_images = len(batch_gt_instances)
    height, width = groups[0].size
    targets = cell_targets(
        truths.boxes, truths.labels, truths.centers(torch.float64), truths.areas, truths.images,
        num_images, (height * groups[0].factor, width * groups[0].factor), num_grids,
        scale_ranges, num_classes, pos_scale, min_area, one_per_cell=True)

    # all cells in the order group, image, cell, and the length of each stretch
    starts = torch.tensor([0, *(grid**2 for grid in num_grids)]).cumsum(0)
    group_of = torch.tensor([i for i, group in enumerate(groups)
                             for _ in range(group.first, group.stop)])
    _, gts, levels, images, positions = targets.on_cpu
    key, order = (group_of[levels] * num_images + images).sort(stable=True)
    lengths = key.bincount(minlength=len(groups) * num_images).tolist()
    cells = (starts[levels] + positions)[order].split(lengths)
    gts = upload(gts[order], device).split(lengths)

    selections = []
    for number, group in enumerate(groups):
        stretch = slice(number * num_images, (number + 1) * num_images)
        selections.append([Selection(*parts, truths.masks[group.factor])
                           for parts in zip(cells[stretch], gts[stretch], strict=True)])
    return HeadTargets(targets.labels, len(targets.cells), selections)


def draw_masks(selections: list[list[Selection]], most: int) -> list[list[Selection]]:
    """A random part of what all cells learn, with the same expected mean loss.

    Args:
        selections: By group of levels, then by image.
        most: Cells to keep of the whole batch.
    """
    lengths = [len(one.cells) for images in selections for one in images]
    total = sum(lengths)
    if total <= most:
        return selections
    # drawn on the CPU, where the cells are
    kept = torch.randperm(total)[:most].sort().values
    ends = torch.tensor(lengths).cumsum(0)
    counts = torch.searchsorted(kept, ends).diff(prepend=ends.new_zeros(1)).tolist()
    parts = iter(zip(kept.split(counts), (ends - torch.tensor(lengths)).tolist(), strict=True))
    drawn = []
    for images in selections:
        drawn.append([])
        for one in images:
            rows, start = next(parts)
            rows = rows - start
            drawn[-1].append(Selection(one.cells[rows], one.gts[upload(rows, one.gts.device)],
                                       one.masks))
    return drawn
