"""Which objects of a picture lie over each other, by boxes and by pixels."""
from collections.abc import Iterator

import numpy as np

from ..masks.runs import Crop

#: Pairs of boxes that are compared at once.
_AT_ONCE = 4_000_000


def box_pairs(boxes: np.ndarray, others: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Pairs of boxes that have pixels in common.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        others: (M, 4); the boxes among each other if not given, each pair once.

    Yields:
        int64 (n, 2): places in ``boxes`` and ``others`` (of the same: the lower one first).
    """
    same = others is None
    others = boxes if same else others
    if not len(boxes) or not len(others):
        return
    order = np.argsort(others[:, 0], kind='stable')
    right = others[order]
    # by the left side: none after the last that begins before a box ends
    ends = np.searchsorted(right[:, 0], boxes[:, 2], side='left')
    step = max(1, _AT_ONCE // len(others))
    for start in range(0, len(boxes), step):
        part, limit = boxes[start:start + step], int(ends[start:start + step].max())
        some = right[:limit]
        hit = ((some[None, :, 0] < part[:, None, 2]) & (some[None, :, 2] > part[:, None, 0])
               & (some[None, :, 1] < part[:, None, 3]) & (some[None, :, 3] > part[:, None, 1]))
        first, second = np.nonzero(hit)
        pairs = np.stack([first + start, order[second]], axis=1)
        yield pairs[pairs[:, 0] < pairs[:, 1]] if same else pairs


def shared_window(one: Crop, other: Crop) -> tuple[np.ndarray, np.ndarray] | None:
    """The pixels of two masks where their bounds lie over each other, as views of their bitmaps.

    Returns:
        None where the bounds have nothing in common.
    """
    top, left = max(one.y, other.y), max(one.x, other.x)
    bottom = min(one.y + one.bitmap.shape[0], other.y + other.bitmap.shape[0])
    right = min(one.x + one.bitmap.shape[1], other.x + other.bitmap.shape[1])
    if top >= bottom or left >= right:
        return None
    return tuple(crop.bitmap[top - crop.y:bottom - crop.y, left - crop.x:right - crop.x]
                 for crop in (one, other))


def intersection(one: Crop, other: Crop) -> int:
    """Pixels that two masks have in common."""
    views = shared_window(one, other)
    return 0 if views is None else int(np.count_nonzero(views[0] & views[1]))
