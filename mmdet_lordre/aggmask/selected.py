"""Masks of selected class cells."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..masks import chunk_size
from .context import resize_corners
from .fusion import mask_maps
from .tables import Lookup


class SelectedCells:
    """The part of a head that makes masks of the cells it is given, and of no others.

    It needs ``tables``, ``fusion``, ``learned_weights``, ``weight_activation``, ``deformable`` and,
    of a deformable head, ``neighbor_offsets``.
    """

    def _predicted(self, conv: nn.Conv2d, patches: Tensor) -> Tensor:
        """What a convolution gives at the cells whose patches (n, C * k * k) are given."""
        # half outputs of the network, where nothing casts them; autocast does otherwise
        return F.linear(patches.to(conv.weight.dtype), conv.weight.flatten(1),
                        conv.bias).to(patches.dtype)

    def fusion_weights(self, table: Tensor, cells: Tensor) -> tuple[Tensor, Tensor | None]:
        """Numbers of the fusion network of a few cells.

        Args:
            table: (C, positions) of one image, see :meth:`CellTables.flatten`.
            cells: (n,) class cells.

        Returns:
            weights (n, num_weights) and, of a deformable head, offsets (n, k, 2), else None.
        """
        patches = self.tables.gather_patches(table, cells)
        weights = self._predicted(self.learned_weights, patches)
        if self.weight_activation == 'tanh':
            weights = weights.tanh()
        if not self.deformable:
            return weights, None
        return weights, self._predicted(self.neighbor_offsets, patches).unflatten(1, (-1, 2))

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
             weights: Tensor, offsets: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Mask logits (n, H, W) of class cells of one image; arguments as above."""
        maps = self.neighbor_maps(features, kernels, lookup, offsets, size)
        return self.fusion(maps, context, weights)

    def chunk(self, size: tuple[int, int], device: torch.device | str) -> int:
        """Cells that are fused at once."""
        return chunk_size(size[0] * size[1] * self.fusion.width, device=device)

    def resized_context(self, context: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """Context (B, c, *size)."""
        return None if context is None else resize_corners(context, size)
