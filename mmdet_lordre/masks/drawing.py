"""One mask drawn inside its bounds, and how rows and columns of an image are picked from it."""
import copy
import math
from functools import lru_cache

import cv2
import mmcv
import numpy as np
from pycocotools import mask as mask_api

from .runs import bounds_of, crop_of_rle

#: Row or column of a pixel that lies outside of the drawing.
OUTSIDE = -1
#: Pixels up to which pycocotools decodes a mask faster than its bounds are found and drawn.
_DECODED = 2**18


@lru_cache(maxsize=1024)
def nearest(source: int, target: int) -> np.ndarray:
    """The sample that a nearest-neighbor resize from ``source`` to ``target`` samples picks."""
    line = np.arange(source, dtype=np.float32)[None]
    return mmcv.imresize(line, (target, 1), interpolation='nearest')[0].astype(np.intp)


class Drawing:
    """One mask inside its bounds, with a row and a column of zeros at the end.

    Args:
        segment: Polygons, or run lengths of COCO.
        height: Of the whole drawing.
        width: Of the whole drawing.
        corner: Pixels (top, left) of a larger drawing, of which this one is a part.
    """

    def __init__(self, segment: list | dict, height: int, width: int,
                 corner: tuple[int, int] = (0, 0)):
        if isinstance(segment, list) and not segment:
            runs = dict(size=[1, 1], counts=b'1')
        elif isinstance(segment, list):
            # not moved to the origin, which would round other pixels, but cut off behind its end
            last = np.ceil(np.max([np.reshape(part, (-1, 2)).max(0) for part in segment], axis=0))
            columns, rows = np.clip(last + 1, 1, (width, height)).astype(int).tolist()
            runs = mask_api.frPyObjects(segment, rows, columns)
            runs = runs[0] if len(runs) == 1 else mask_api.merge(runs)
        elif isinstance(segment['counts'], list):
            runs = mask_api.frPyObjects(segment, height, width)
        else:
            runs = segment
        left, top, columns, rows = bounds_of([runs])[0].tolist()
        self.rows = (corner[0] + top, corner[0] + top + rows)
        self.columns = (corner[1] + left, corner[1] + left + columns)
        self.pixels = np.zeros((rows + 1, columns + 1), np.uint8)
        if rows and columns:
            # what lies before the bounds is decoded where that takes less than leaving it out
            self.pixels[:-1, :-1] = crop_of_rle(runs).bitmap if math.prod(runs['size']) > _DECODED \
                else mask_api.decode(runs)[top:top + rows, left:left + columns]

    def transpose(self) -> 'Drawing':
        """The same with rows and columns in each other's place."""
        other = copy.copy(self)
        other.rows, other.columns = self.columns, self.rows
        other.pixels = cv2.transpose(self.pixels)
        return other


def draw_segment(segment: list | dict, height: int,
                 width: int) -> tuple[tuple[int, int], np.ndarray]:
    """Draw one annotated mask inside its own bounds.

    Args:
        segment: Polygons, or run lengths of COCO.
        height: Of the image in pixels.
        width: Of the image in pixels.

    Returns:
        (top, left) of the bounds, and uint8 (rows, columns) of the mask's pixels in them.
    """
    drawing = Drawing(segment, height, width)
    return (drawing.rows[0], drawing.columns[0]), np.ascontiguousarray(drawing.pixels[:-1, :-1])


class Axis:
    """The rows (or the columns) of masks: for each that of the drawing, -1 outside of it.

    Args:
        index: (n,) rows of the drawing.
        source: Rows that the drawing has.
    """

    def __init__(self, index: np.ndarray, source: int):
        self.index, self.source = index, source
        self._moments, self._pairs = None, {}

    @property
    def moments(self) -> np.ndarray:
        """(2, source): how often each row of the drawing is picked, and the sum of the places."""
        if self._moments is None:
            places = np.flatnonzero(self.index >= 0)
            picked = self.index[places]
            self._moments = np.stack([np.bincount(picked, minlength=self.source),
                                      np.bincount(picked, places, minlength=self.source)])
        return self._moments

    def pair(self, factor: int, length: int) -> np.ndarray:
        """(2, length): the two central rows of each block of ``factor``."""
        if (factor, length) not in self._pairs:
            pair = np.full((2, length), OUTSIDE)
            for row, start in zip(pair, (factor // 2 - 1, factor // 2)):
                picked = self.index[start::factor][:length]
                row[:len(picked)] = picked
            self._pairs[factor, length] = pair
        return self._pairs[factor, length]


def local(index: np.ndarray, bounds: tuple[int, int]) -> tuple[int, np.ndarray]:
    """The stretch of an index (k, n) that meets a drawing's bounds.

    Returns:
        Where it starts, and the stretch in rows of the drawing's pixels; -1, the row of zeros,
        where it leaves the bounds.
    """
    inside = (index >= bounds[0]) & (index < bounds[1])
    hits = np.flatnonzero(inside.any(axis=0))
    if not len(hits):
        return 0, index[:, :0]
    stretch = slice(hits[0], hits[-1] + 1)
    return int(hits[0]), np.where(inside[:, stretch], index[:, stretch] - bounds[0], OUTSIDE)
