"""Sizes and shapes of masks."""
import math

import cv2
import numpy as np

from ..masks.runs import Crop

#: Columns of a table of measures, and the power of a pixel's side that each has.
MEASURES = dict(area=2, perimeter=1, length=1, width=1, circularity=0, center_x=1, center_y=1,
                box_x=1, box_y=1, box_width=1, box_height=1)


def measures_of(crop: Crop) -> dict[str, float]:
    """What a mask measures, in pixels.

    Returns:
        area: Pixels.
        perimeter: Length of all borders, holes included, by Crofton's formula in four directions:
            right on average over all directions, 5 % off for a square along the axes.
        length, width: Sides of the smallest rectangle around it, turned as need be.
        circularity: 4 pi area / perimeter ** 2, about 1 for a disk.
        center_x, center_y: Center of mass; the middle of the first pixel is 0.5.
        box_x, box_y, box_width, box_height: Upright rectangle around it.
    """
    bitmap = crop.bitmap
    rows, columns = np.nonzero(bitmap)
    if not len(rows):
        return dict.fromkeys(MEASURES, 0.0)
    area, around = len(rows), perimeter(bitmap)
    length, width = sides(bitmap)
    return dict(
        area=float(area), perimeter=around, length=length, width=width,
        circularity=4 * math.pi * area / around ** 2,
        center_x=float(columns.mean() + crop.x + 0.5), center_y=float(rows.mean() + crop.y + 0.5),
        box_x=float(crop.x + columns.min()), box_y=float(crop.y + rows.min()),
        box_width=float(np.ptp(columns) + 1), box_height=float(np.ptp(rows) + 1))


def perimeter(bitmap: np.ndarray) -> float:
    """Length of the borders of a mask in pixels, by Crofton's formula."""
    wide = np.pad(bitmap > 0, 1)

    def crossings(one, other):
        return np.count_nonzero(one != other)
    straight = crossings(wide[1:], wide[:-1]) + crossings(wide[:, 1:], wide[:, :-1])
    slanted = crossings(wide[1:, 1:], wide[:-1, :-1]) + crossings(wide[1:, :-1], wide[:-1, 1:])
    return math.pi / 8 * (straight + slanted / math.sqrt(2))


def sides(bitmap: np.ndarray) -> tuple[float, float]:
    """The longer and the shorter side of the smallest rectangle around a mask, in pixels."""
    rows = np.flatnonzero(bitmap.any(axis=1))
    some = bitmap[rows] > 0
    left, right = some.argmax(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([x, y], axis=1) for x in (left, right)
                              for y in (rows, rows + 1)])
    (_, _), (one, other), _ = cv2.minAreaRect(corners.astype(np.float32))
    return max(one, other), min(one, other)


def touches_border(crop: Crop, size: tuple[int, int]) -> bool:
    """Whether a mask has pixels at the border of the picture: it may be cut off there."""
    height, width = crop.bitmap.shape
    return bool(crop.y == 0 or crop.x == 0 or crop.y + height == size[0]
                or crop.x + width == size[1])
