"""Which cells of the grids are responsible for which ground truth."""
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..masks import constant, upload


@dataclass
class CellTargets:
    """Cell targets of a batch; all levels and images in flat tensors on one device.

    Cells are numbered level by level, in a level image by image, in an image row by row: the
    order in which class maps (B, C, S, S) flattened to (B * S * S, C) are concatenated.

    Attributes:
        labels: (cells,) class of each cell, the number of classes for background.
        cells: (pairs,) position in ``labels`` of each (ground truth, cell) pair.
        gts: (pairs,) index of the pair's ground truth among those of the whole batch.
        levels: (pairs,) level of the pair.
        images: (pairs,) image of the pair.
        positions: (pairs,) row * S + column of the pair's cell in its own grid.
        on_cpu: LongTensor (5, pairs) on the CPU: cells, gts, levels, images, positions. What
            depends on the number of pairs is decided there, so that a GPU is waited for once.
    """
    labels: Tensor
    cells: Tensor
    gts: Tensor
    levels: Tensor
    images: Tensor
    positions: Tensor
    on_cpu: Tensor


def _cell_of(coordinate: Tensor, extent: Tensor, num_grids: Sequence[int]) -> Tensor:
    """Cell of each coordinate at each level: (xy, N) pixels -> (levels, xy, N)."""
    # in the coordinate's precision: the rounded divisor decides on which side of a boundary a
    # coordinate falls
    cell = constant(tuple(1 / grid for grid in num_grids), coordinate.dtype, coordinate.device)
    cell = cell[:, None, None]
    return torch.div((coordinate / extent)[None], cell, rounding_mode='floor').long()


def cell_targets(boxes: Tensor, labels: Tensor, centers: Tensor, areas: Tensor, images: Tensor,
                 num_images: int, input_size: tuple[int, int], num_grids: Sequence[int],
                 scale_ranges: Sequence[tuple[float, float]], num_classes: int,
                 pos_scale: float = 0.2, min_area: int = 1,
                 one_per_cell: bool = False) -> CellTargets:
    """Assign the ground truths of a batch to the cells of all levels at once.

    A ground truth belongs to each level whose range holds the square root of its box's area. Its
    cells are those that its central region meets: half sides ``0.5 * pos_scale`` times the box's
    sides, around the mass center of its mask, clipped to the grid and to one cell away from the
    center's cell. Where regions overlap the cell's class is that of the later ground truth.
    From `SOLO <https://arxiv.org/abs/1912.04488>`_.

    Args:
        boxes: (N, 4) annotated boxes x1, y1, x2, y2 in pixels of the network input.
        labels: (N,) classes.
        centers: (N, 2) mass centers x, y of the masks, in the same pixels. In float64 the
            center's own cell is found in float64, as in AggMask.
        areas: (N,) areas of the masks in the same pixels.
        images: (N,) image of the batch that each ground truth is in, not decreasing.
        num_images: Images in the batch.
        input_size: (height, width) of the padded batch in pixels.
        num_grids: Cells along each side, by level.
        scale_ranges: (lowest, highest) size, both included, by level.
        num_classes: Also the label of background cells.
        pos_scale: The central region's share of the box.
        min_area: Masks of fewer pixels have no cell.
        one_per_cell: One pair for each positive cell, that of its latest ground truth, in the
            order of the cells. By default each ground truth keeps all of its cells: pairs are in
            the order of level, ground truth, cell.

    Returns:
        :class:`CellTargets`.

    Raises:
        ValueError: If the numbers of levels, or of ground truths, differ.
    """
    if len(num_grids) != len(scale_ranges):
        raise ValueError(f'{len(num_grids)} num_grids, but {len(scale_ranges)} scale_ranges')
    if not len(boxes) == len(labels) == len(centers) == len(areas) == len(images):
        raise ValueError(f'{len(boxes)} boxes, {len(labels)} labels, {len(centers)} centers, '
                         f'{len(areas)} areas and {len(images)} image numbers')
    device = boxes.device
    boxes = boxes.float()
    grids = constant(tuple(num_grids), torch.long, device)

    sides = boxes[:, 2:] - boxes[:, :2]
    scale = (sides[:, 0] * sides[:, 1]).sqrt()
    ranges = constant(tuple(map(tuple, scale_ranges)), torch.float32, device)
    hit = (scale >= ranges[:, :1]) & (scale <= ranges[:, 1:]) & (areas >= max(1, min_area))

    # a tensor, not a number: dividing by a number multiplies by its reciprocal on some devices
    extent = constant(tuple(input_size[::-1]), torch.long, device)[:, None]
    middle = centers.t()
    half = 0.5 * sides.t() * pos_scale
    own = _cell_of(middle, extent, num_grids)
    low = _cell_of(middle.float() - half, extent, num_grids).clamp(min=0)
    high = torch.minimum(_cell_of(middle.float() + half, extent, num_grids),
                         (grids - 1)[:, None, None])
    step = torch.arange(-1, 2, device=device)
    near = own[..., None] + step                                     # (levels, xy, N, 3)
    inside = (near >= low[..., None]) & (near <= high[..., None])
    chosen = inside[:, 1, :, :, None] & inside[:, 0, :, None, :] & hit[:, :, None, None]
    # the cell's number within its level, of all images; -1 where there is none
    within = near[:, 1, :, :, None] * grids[:, None, None, None] + near[:, 0, :, None, :]
    within = within + (images[:, None] * (grids * grids)[:, None, None])[..., None]
    within = torch.where(chosen, within, -1)

    # from here on the size depends on values: they come to the CPU, once
    within = within.cpu()
    levels, gts, rows, columns = (within >= 0).nonzero(as_tuple=True)
    within = within[levels, gts, rows, columns]
    cells_of = torch.tensor(num_grids).square()
    sizes = cells_of * num_images
    offsets = sizes.cumsum(0) - sizes
    cells = offsets[levels] + within
    latest = torch.full((int(sizes.sum()),), -1)
    latest.scatter_reduce_(0, cells, gts, 'amax')
    if one_per_cell:
        cells = (latest >= 0).nonzero().flatten()
        gts = latest[cells]
        levels = torch.bucketize(cells, sizes.cumsum(0), right=True)
        within = cells - offsets[levels]
    area = cells_of[levels]
    on_cpu = torch.stack((cells, gts, levels, within // area, within % area))
    # index -1 reads the background appended at the end
    with_background = torch.cat((labels, labels.new_full((1,), num_classes)))
    return CellTargets(with_background[upload(latest, device)], *upload(on_cpu, device), on_cpu)
