"""Pixels of outlines: the way back."""
from collections.abc import Sequence

import numpy as np

from mmdet_lordre.masks.outlines import Outline


def bitmap_of_outlines(outlines: Sequence[Outline], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose center lies inside, bool (height, width): the way back.

    Args:
        outlines: In pixels; corners need not be whole numbers.
        size: (height, width).
    """
    height, width = size
    inside = np.zeros((height, width), bool)
    for part in outlines:
        for ring in (part.exterior, *part.holes):
            inside ^= _inside_of_ring(np.asarray(ring, float), height, width)
    return inside

def _inside_of_ring(ring, height, width):
    """Centers of pixels that a ring goes around an odd number of times, bool (height, width)."""
    following = np.roll(ring, -1, axis=0)
    crossings = np.zeros((height, width + 1), bool)
    for (x1, y1), (x2, y2) in zip(ring, following):
        if y1 == y2:
            continue
        rows = np.arange(max(0, int(np.ceil(min(y1, y2) - 0.5))),
                         min(height, int(np.ceil(max(y1, y2) - 0.5))))
        at = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(int)
        crossings[rows, columns] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]
