"""The cells of all levels as one flat numbering, so that any selection is one gather."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..masks import upload
from .neighbors import neighbor_index


class Lookup(NamedTuple):
    """What a few class cells need of the mask cells.

    Attributes:
        cells: (n,) class cells.
        needed: (m,) mask cells: cells that lie side by side share neighbors.
        inverse: (n, k) which of ``needed`` each neighbor is.
    """
    cells: Tensor
    needed: Tensor
    inverse: Tensor


class CellTables(nn.Module):
    """Where each cell of the class grids finds its neighbors and its features.

    Class cells are numbered level by level, row by row; mask cells likewise. Nothing here is
    learned or stored in a checkpoint.

    Args:
        class_grids: Cells along a side of the class grid, by level.
        mask_grids: The same of the mask grid.
        pattern: From :func:`~mmdet_lordre.aggmask.neighbors.neighbor_pattern`.
        kernel_size: 1 or 3, the side of the convolution that predicts fusion weights.

    Attributes:
        class_starts: First class cell of each level, and their number at the end.
        mask_starts: The same of the mask cells.
    """

    def __init__(self, class_grids: Sequence[int], mask_grids: Sequence[int], pattern: str,
                 kernel_size: int):
        super().__init__()
        self.padding = kernel_size // 2
        self.class_starts = _starts(grid**2 for grid in class_grids)
        self.mask_starts = _starts(grid**2 for grid in mask_grids)
        self.class_grids, self.mask_grids = tuple(class_grids), tuple(mask_grids)
        index = [neighbor_index(c, m, pattern)
                 for c, m in zip(class_grids, mask_grids, strict=True)]
        self._buffer('positions', torch.cat(index))
        self._buffer('sides', self._of_level(mask_grids))
        self._buffer('bases', self._of_level(self.mask_starts[:-1]))
        self._buffer('neighbors', self._flat(self.positions, self.sides, self.bases))
        # beside the buffer: a choice by values on a GPU would wait for it
        self._neighbors_on_cpu = self.neighbors.clone()
        # whole numbers: a head in half precision must not round where its cells are
        self._buffer('places', torch.cat([
            torch.stack(torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing='xy'),
                        dim=-1).flatten(0, 1) for grid in class_grids]))
        self._buffer('class_sides', self._of_level(class_grids))
        self._buffer('patches', torch.cat([*self._patch_index(kernel_size)]))

    def _buffer(self, name, value):
        self.register_buffer(name, value, persistent=False)

    def _of_level(self, values):
        return torch.cat([torch.full((grid**2,), int(value))
                          for grid, value in zip(self.class_grids, values, strict=True)])

    def _patch_index(self, kernel_size):
        """Positions of each class cell's patch in the features flattened by `flatten`."""
        start = 0
        for grid in self.class_grids:
            side = grid + 2 * self.padding
            plane = torch.arange(side * side).view(1, side, side).float() + start
            patch = F.unfold(plane, kernel_size)                     # (k * k, grid ** 2)
            yield patch.t().long()
            start += side * side

    @property
    def num_neighbors(self) -> int:
        """Neighbors of a cell."""
        return self.neighbors.shape[1]

    def places_of(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Where class cells (...) are: centers (..., 2), x and y, and sides (...), all float32
        shares of the image's sides."""
        sides = self.class_sides[cells].float()
        return (self.places[cells] + 0.5) / sides[..., None], 1 / sides

    def flatten(self, feats: Sequence[Tensor]) -> Tensor:
        """Features (B, C, S, S) of all levels as one (B, C, positions), zero-padded."""
        pad = (self.padding,) * 4
        return torch.cat([F.pad(feat, pad).flatten(2) for feat in feats], dim=2)

    def lookup(self, cells: Tensor) -> Lookup:
        """What class cells (n,), on the CPU, need, on the device of the tables."""
        needed, inverse = self._neighbors_on_cpu[cells].unique(return_inverse=True)
        return Lookup(*(upload(part, self.neighbors.device)
                        for part in (cells, needed, inverse)))

    def gather_patches(self, table: Tensor, cells: Tensor) -> Tensor:
        """What a convolution sees at a few cells.

        Args:
            table: (C, positions) of one image, from :meth:`flatten`.
            cells: (n,) class cells.

        Returns:
            (n, C * kernel_size ** 2), in the order of a convolution's weights.
        """
        return table[:, self.patches[cells]].transpose(0, 1).flatten(1)

    def sample_kernels(self, kernels: Tensor, cells: Tensor, offsets: Tensor,
                       first: Tensor | int = 0) -> Tensor:
        """Kernels at learned offsets from the neighbors.

        A mask representation is linear in its kernel, so reading the mask grid bilinearly is
        reading the kernels bilinearly: one map a neighbor is computed, not four.

        Args:
            kernels: (mask cells, C).
            cells: (n,) class cells.
            offsets: (n, k, 2), rows and columns to add to the neighbors' positions, in mask
                cells; positions are held inside the grid.
            first: (n,) row of the kernels where the image of each class cell begins.

        Returns:
            (n, k, C).
        """
        base, side = (self.bases[cells] + first)[:, None], self.sides[cells, None]
        last = (side - 1)[..., None]
        position = torch.minimum((self.positions[cells] + offsets.float()).clamp(min=0),
                                 last.float())
        # The last cell is the far end of the interval before it: an offset has a gradient there.
        low = torch.minimum(position.detach().floor().long(), (last - 1).clamp(min=0))
        high = torch.minimum(low + 1, last)
        part = (position - low).to(kernels.dtype)
        down, right = part[..., :1], part[..., 1:]

        def read(row, column):
            return kernels[base + row * side + column]

        top, bottom = (read(row, low[..., 1]) * (1 - right) + read(row, high[..., 1]) * right
                       for row in (low[..., 0], high[..., 0]))
        return top * (1 - down) + bottom * down

    @staticmethod
    def _flat(positions, sides, bases):
        return bases[:, None] + positions[..., 0] * sides[:, None] + positions[..., 1]


def _starts(sizes):
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return starts
