"""Parts of maps, outside of which everything is zero."""
from collections.abc import Iterable

import numpy as np

#: Top, left and uint8 array (h, w) of what is not zero in a map.
Piece = tuple[int, int, np.ndarray]


def whole_maps(pieces: Iterable[Piece], count: int, size: tuple[int, int]) -> np.ndarray:
    """The maps that pieces are parts of.

    Args:
        pieces: One of each map; what reaches beyond a map is left out.
        count: Number of maps.
        size: (height, width) of each.

    Returns:
        uint8 array (count, *size).
    """
    maps = np.zeros((count, *size), np.uint8)
    for result, (top, left, piece) in zip(maps, pieces):
        room = result[top:top + piece.shape[0], left:left + piece.shape[1]]
        room[:] = piece[:room.shape[0], :room.shape[1]]
    return maps
