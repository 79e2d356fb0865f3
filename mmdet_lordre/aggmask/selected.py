"""Masks of selected class cells."""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..masks import chunk_size, upload
from .context import resize_corners
from .fusion import mask_maps
from .prediction import to_map_size
from .tables import Lookup
from .windows import add_windows


class FusionNumbers(NamedTuple):
    """What a few class cells predict for the fusion of their masks.

    Attributes:
        weights: Of the fusion network, (n, num_weights).
        offsets: Of the neighbors in a deformable head, (n, k, 2), else None.
        windows: Raw numbers of the windows in a head with windows, (n, 6), else None.
    """
    weights: Tensor
    offsets: Tensor | None
    windows: Tensor | None

    def part(self, which: slice) -> 'FusionNumbers':
        """Those of some of the cells."""
        return FusionNumbers(*(None if one is None else one[which] for one in self))


class SelectedCells:
    """The part of a head that makes masks of the cells it is given, and of no others.

    It needs ``tables``, ``fusion``, ``learned_weights``, ``weight_activation``, ``deformable`` with
    ``neighbor_offsets``, ``windows`` with ``conv_window`` and ``foreground`` with
    ``conv_foreground``.
    """

    def _predicted(self, conv: nn.Conv2d, patches: Tensor) -> Tensor:
        """What a convolution gives at the cells whose patches (n, C * k * k) are given."""
        # half outputs of the network, where nothing casts them; autocast does otherwise
        return F.linear(patches.to(conv.weight.dtype), conv.weight.flatten(1),
                        conv.bias).to(patches.dtype)

    def fusion_numbers(self, table: Tensor, cells: Tensor) -> FusionNumbers:
        """What a few cells predict for the fusion of their masks.

        Args:
            table: (C, positions) of one image, see :meth:`CellTables.flatten`.
            cells: (n,) class cells.
        """
        return self.numbers_from(self.tables.gather_patches(table, cells))

    def numbers_from(self, patches: Tensor) -> FusionNumbers:
        """The same, from what the convolutions see at the cells, (n, C * k * k)."""
        weights = self._predicted(self.learned_weights, patches)
        if self.weight_activation == 'tanh':
            weights = weights.tanh()
        return FusionNumbers(
            weights,
            self._predicted(self.neighbor_offsets, patches).unflatten(1, (-1, 2))
            if self.deformable else None,
            self._predicted(self.conv_window, patches) if self.windows else None)

    def neighbor_maps(self, features: Tensor, kernels: Tensor, lookup: Lookup,
                       offsets: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Mask representations of the neighbors of a few class cells.

        Args:
            features: (C, h, w) of one image.
            kernels: (mask cells, C) of that image.
            lookup: Of the class cells.
            offsets: (n, k, 2) or None.
            size: (H, W) of the maps.

        Returns:
            (n, k, H, W).
        """
        count = self.tables.num_neighbors
        if not count:
            return features.new_zeros(len(lookup.cells), 0, *size)
        if offsets is not None:
            sampled = self.tables.sample_kernels(kernels, lookup.cells, offsets)
            return mask_maps(features, sampled.flatten(0, 1), size).unflatten(0, (-1, count))
        return mask_maps(features, kernels[lookup.needed], size)[lookup.inverse]

    def fuse(self, features: Tensor, kernels: Tensor, context: Tensor | None, lookup: Lookup,
             numbers: FusionNumbers, size: tuple[int, int]) -> Tensor:
        """Mask logits (n, H, W) of class cells of one image; arguments as above."""
        maps = self.neighbor_maps(features, kernels, lookup, numbers.offsets, size)
        logits = self.fusion(maps, context, numbers.weights)
        if self.foreground:
            logits = logits + self.foreground_maps(context[None])[0]
        if numbers.windows is None:
            return logits
        return add_windows(logits, numbers.windows, *self.tables.places_of(lookup.cells))

    def foreground_maps(self, context: Tensor) -> Tensor:
        """Logits (B, H, W) that all masks of an image share, from contexts (B, c, H, W)."""
        conv = self.conv_foreground
        return F.conv2d(context.to(conv.weight.dtype), conv.weight, conv.bias)[:, 0].to(
            context.dtype)

    def chunk(self, size: tuple[int, int], device: torch.device | str) -> int:
        """Cells that are fused at once.

        Args:
            size: (H, W) of the maps.
            device: Where they are.
        """
        return chunk_size(size[0] * size[1] * self.fusion.width, device=device)

    def resized_context(self, context: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """Context (B, c, *size)."""
        return None if context is None else resize_corners(context, size)

    def _by_group(self, groups, sources, cells):
        """(group, its source, its cells) of class cells, on the CPU, in rising order."""
        stops = torch.tensor([self.tables.class_starts[group.stop] for group in groups])
        stretches = torch.searchsorted(cells, stops).diff(prepend=stops.new_zeros(1)).tolist()
        return zip(groups, sources, cells.split(stretches), strict=True)

    def _fused_probs(self, groups, sources, table, cells):
        """Yield probabilities at the finest map's size of class cells in rising order."""
        size = groups[0].size
        for group, source, part in self._by_group(groups, sources, cells):
            for chunk in part.split(self.chunk(size, table.device)):
                if len(chunk):
                    lookup = self.tables.lookup(chunk)
                    logits = self.fuse(*source, lookup, self.fusion_numbers(table, lookup.cells),
                                       group.size)
                    yield to_map_size(logits.float().sigmoid(), size)

    def _maps_to_show(self, groups, sources, table, cells):
        """Neighbors' maps (n, k, H, W) at the finest map's size, of class cells in any order."""
        cells, back = cells.unique(return_inverse=True)
        maps = []
        for group, (features, kernels, _), part in self._by_group(groups, sources, cells):
            lookup = self.tables.lookup(part)
            offsets = self.fusion_numbers(table, lookup.cells).offsets
            some = self.neighbor_maps(features, kernels, lookup, offsets, group.size).float()
            maps.append(to_map_size(some.flatten(0, 1), groups[0].size).unflatten(
                0, some.shape[:2]))
        return torch.cat(maps)[upload(back, table.device)]
