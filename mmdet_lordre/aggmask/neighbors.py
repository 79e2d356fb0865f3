"""Which cells of the mask grid a cell of the class grid looks at."""
from collections.abc import Sequence

import torch
from torch import Tensor

# (row, column) steps, row-major: the plus of five and the full square of nine.
_PLUS = ((-1, 0), (0, -1), (0, 0), (0, 1), (1, 0))
_SQUARE = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))


def neighbor_pattern(neighbors: int, class_grids: Sequence[int], mask_grids: Sequence[int],
                      interpolation_mode: int | None = None) -> str:
    """Name the pattern of neighbors, once for all levels.

    Args:
        neighbors: 4 (becomes five where a level has equal grids), 5, 9, 1 or 0 (context only).
        class_grids: Cells along a side of the class grid, one number a level.
        mask_grids: The same of the mask grid.
        interpolation_mode: 5 asks for five neighbors whatever the grids are (of one, for the
            center of the five); 4 or None leave it to the grids.

    Returns:
        ``'corners'`` (4 neighbors), ``'plus'`` (5), ``'square'`` (9), ``'nearest'`` (the center
        of the plus), ``'third corner'`` (what ``neighbors=1`` takes where no level has equal
        grids) or ``'none'``.

    Raises:
        ValueError: If a setting is not one of the above, contradicts the other, or the grids differ
            in number.
    """
    if len(class_grids) != len(mask_grids):
        raise ValueError(f'class_grids has {len(class_grids)} levels, mask_grids '
                         f'{len(mask_grids)}: give one number a level in both')
    if interpolation_mode not in (None, 4, 5):
        raise ValueError(f'interpolation_mode must be None, 4 or 5, not {interpolation_mode!r}')
    plus = interpolation_mode == 5 or any(
        c == m for c, m in zip(class_grids, mask_grids, strict=True))
    patterns = {4: 'plus' if plus else 'corners', 5: 'plus', 9: 'square',
                1: 'nearest' if plus else 'third corner', 0: 'none'}
    if neighbors not in patterns:
        raise ValueError(f'neighbors must be 4, 5, 9, 1 or 0, not {neighbors!r}')
    if interpolation_mode == 5 and neighbors in (9, 0):
        raise ValueError(f'interpolation_mode=5 asks for five neighbors, num_neighbors={neighbors} '
                         f'for {neighbors}: leave out one of the two')
    return patterns[neighbors]


def neighbor_index(class_grid: int, mask_grid: int, pattern: str) -> Tensor:
    """Cells of the mask grid that each cell of the class grid gathers.

    Class cell (r, c) lies at (r, c) * (mask_grid - 1) / (class_grid - 1) of the mask grid. The
    product is taken in float32 and rounded half to even, as in the published code, so that the
    indices are its own in every case.

    Args:
        class_grid: Cells along a side of the class grid.
        mask_grid: Cells along a side of the mask grid.
        pattern: From :func:`neighbor_pattern`.

    Returns:
        LongTensor (class_grid ** 2, k, 2): row and column of the k neighbors of each class cell,
        cells row-major, neighbors in the order in which the fusion network takes them.

    Raises:
        ValueError: A grid without cells, or an unknown pattern.
    """
    if min(class_grid, mask_grid) < 1:
        raise ValueError(f'a grid has at least one cell, not {min(class_grid, mask_grid)}')
    ratio = (mask_grid - 1) / (class_grid - 1) if class_grid > 1 else 0.0
    along = torch.arange(class_grid, dtype=torch.float32) * ratio
    position = torch.stack(torch.meshgrid(along, along, indexing='ij'), dim=-1).view(-1, 2)
    if pattern in ('corners', 'third corner'):
        low, high = position.floor(), position.ceil()
        index = torch.stack((
            torch.stack((low[:, 0], high[:, 1]), dim=1),
            high,
            torch.stack((high[:, 0], low[:, 1]), dim=1),
            low), dim=1)
        if pattern == 'third corner':
            index = index[:, 2:3]
    elif pattern in ('plus', 'square', 'nearest'):
        steps = {'plus': _PLUS, 'square': _SQUARE, 'nearest': ((0, 0),)}[pattern]
        index = position.round()[:, None] + torch.tensor(steps, dtype=torch.float32)
    elif pattern == 'none':
        index = position.new_zeros(len(position), 0, 2)
    else:
        raise ValueError(f'unknown pattern of neighbors: {pattern!r}')
    return index.clamp_(0, mask_grid - 1).long()
