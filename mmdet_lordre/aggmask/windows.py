"""Windows of AggMask: ellipses around the class cells, added to the fused masks.

An addition to the published method for little data. The published fusion has to learn from
coordinates among its features which of a hundred like objects is a cell's own; a window says so
from the first step on. It is predicted from what the fusion weights are predicted from, in
coordinates relative to the cell, so that all cells of a grid share what is learned.
"""
import torch
from torch import Tensor

from ..grid.windows import cell_kernels, positional_features, without_autocast


def positions(size: tuple[int, int], like: Tensor) -> Tensor:
    """Terms (6, H, W) that the windows of all cells are made of, where ``like`` is."""
    return positional_features(torch.zeros((1, 2, *size), device=like.device))[0]


def add_windows(logits: Tensor, raw: Tensor, centers: Tensor, sides: Tensor) -> Tensor:
    """Masks of class cells with their windows.

    Args:
        logits: (n, H, W), fused.
        raw: (n, 6), as in :func:`~mmdet_lordre.grid.windows.cell_kernels`; the others too.

    Returns:
        (n, H, W) float32: squares of coordinates have more digits than half precision.
    """
    size = logits.shape[-2:]
    with without_autocast(logits):
        kernels = cell_kernels(raw, centers, sides, size)
        terms = positions(size, logits).flatten(1)
        return torch.addmm(logits.flatten(1).float(), kernels, terms).unflatten(1, size)
