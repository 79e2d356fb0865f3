"""Mask maps of grid cells, and the small network that fuses neighboring ones."""
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from .prediction import to_map_size


def mask_maps(features: Tensor, kernels: Tensor, size: Sequence[int]) -> Tensor:
    """Mask representations of a few cells: kernels times features.

    Args:
        features: (C, h, w) of one image.
        kernels: (n, C), or (n, C + 1) with a bias in the last column.
        size: (H, W) of the maps. The product is taken at the features' own size and the maps are
            resized: both are linear, and the maps needed are fewer than the features' channels
            at the larger size.

    Returns:
        (n, H, W).
    """
    channels, height, width = features.shape
    maps = kernels[:, :channels] @ features.flatten(1)
    if kernels.shape[1] > channels:
        maps = maps + kernels[:, channels:].to(maps.dtype)
    return to_map_size(maps.view(-1, height, width), size)


class FusionNetwork:
    """A network of a few 3x3 convolutions whose weights every cell predicts for itself.

    It takes the maps of the cell's neighbors, then the context; ReLU stands between its layers.
    A cell's numbers are laid out layer by layer, the weights (out, in, row, column) and then the
    bias: 909 for four neighbors, 945 for five.

    From "Learning to Aggregate Neighboring Mask Representations" (AggMask, later SODAR).

    Args:
        neighbors: Maps per cell.
        context_channels: Channels of the context, 0 for none.
        hidden_channels: Channels between layers.
        num_layers: Number of layers.
        kernel_size: Side of the convolutions, 1 or 3.

    Raises:
        ValueError: If there is nothing to fuse or the side is not 1 or 3.
    """

    def __init__(self, neighbors: int, context_channels: int = 16, hidden_channels: int = 4,
                 num_layers: int = 3, kernel_size: int = 3):
        if neighbors + context_channels < 1:
            raise ValueError('without neighbors the fusion needs a context: '
                             'set context_channels above 0')
        if kernel_size not in (1, 3):
            raise ValueError(f'fusion_kernel must be 1 or 3, not {kernel_size!r}')
        if num_layers < 1:
            raise ValueError(f'fusion_layers must be at least 1, not {num_layers!r}')
        self.neighbors, self.kernel_size = neighbors, kernel_size
        widths = [neighbors + context_channels] + [hidden_channels] * (num_layers - 1) + [1]
        self.shapes = [(out, ins, kernel_size, kernel_size)
                       for ins, out in pairwise(widths)]
        self.num_weights = sum(out * (ins * kernel_size**2 + 1) for out, ins, *_ in self.shapes)
        # maps that a cell has for itself, before and after each layer
        self.widths = [neighbors, *widths[1:]]
        # Elements a pixel of a cell needs, with gradients: the maps, before and after they are
        # gathered, and what stands around the hidden layers.
        self.width = 2 * neighbors + 8 * max(widths[1:])

    def plain_numbers(self, shares: Sequence[float]) -> Tensor:
        """Numbers (num_weights,) of a network that passes on a mean of its neighbors' maps.

        Between layers half of the channels carry it and half its negative, for ReLU cuts one of
        them off. All weights that are not zero are of one size.

        Args:
            shares: Of each neighbor in the mean.

        Raises:
            ValueError: If there is no neighbor, or only one channel between layers.
        """
        layers, pairs = len(self.shapes), self.widths[1] // 2
        if not self.neighbors or (layers > 1 and not pairs):
            raise ValueError('plain_start passes on the neighbors\' maps: it needs num_neighbors '
                             'above 0 and fusion_channels above 1')
        carried = torch.tensor([1.0, -1.0]).repeat(pairs)
        signs = [torch.tensor(shares), *[carried] * (layers - 1), torch.ones(1)]
        size, middle, parts = pairs ** ((1 - layers) / layers), self.kernel_size // 2, []
        for number, shape in enumerate(self.shapes):
            same = signs[number + 1][:, None] * signs[number]
            if 0 < number < layers - 1:
                same = same.clamp(min=0)
            weight = torch.zeros(shape)
            weight[:len(same), :same.shape[1], middle, middle] = size * same
            parts += [weight.flatten(), torch.zeros(shape[0])]
        return torch.cat(parts)

    def split(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Weights (n, out, in, k, k) and biases (n, out) of each layer from (n, num_weights)."""
        sizes = []
        for out, ins, *kernel in self.shapes:
            sizes += [out * ins * kernel[0] * kernel[1], out]
        parts = weights.split(sizes, dim=1)
        return [(weight.unflatten(1, shape), bias)
                for weight, bias, shape in zip(parts[::2], parts[1::2], self.shapes, strict=True)]

    def __call__(self, maps: Tensor, context: Tensor | None, weights: Tensor) -> Tensor:
        """Fuse.

        The context is the same for all cells of an image, so its part of the first layer is one
        ordinary convolution of it to all cells' channels; only the neighbors' part and the
        following layers are grouped by cell. The context is never copied per cell.

        Args:
            maps: (n, k, H, W), of cells of one image.
            context: (c, H, W) of that image, or None.
            weights: (n, num_weights).

        Returns:
            Logits (n, H, W).
        """
        (first, bias), *rest = self.split(weights)
        groups, size = len(weights), maps.shape[-2:]
        if not groups:
            return maps.new_zeros(0, *size)
        padding = first.shape[-1] // 2
        x = None
        if context is not None:
            shared = first[:, :, self.neighbors:].flatten(0, 1)
            x = F.conv2d(context[None], shared, bias.flatten(), padding=padding)
        if self.neighbors:
            own = first[:, :, :self.neighbors].flatten(0, 1)
            gathered = F.conv2d(maps.reshape(1, -1, *size), own,
                                bias.flatten() if x is None else None,
                                padding=padding, groups=groups)
            x = gathered if x is None else x + gathered
        for weight, bias in rest:
            x = F.conv2d(torch.relu(x), weight.flatten(0, 1), bias.flatten(),
                         padding=padding, groups=groups)
        return x[0]
