"""Polygons of masks along the edges of their pixels: drawn again they give the same pixels."""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np


class Outline(NamedTuple):
    """One part of a mask.

    Attributes:
        exterior: (n, 2) x, y of the corners, in pixels; pixel (x, y) is the square from there to
            (x + 1, y + 1). Not closed: the first point is not repeated.
        holes: The same for each hole.
    """
    exterior: np.ndarray
    holes: list[np.ndarray]


def outlines_of(bitmap: np.ndarray, y: float = 0, x: float = 0,
                simplify: float = 0) -> list[Outline]:
    """Outlines of the parts of a mask, holes kept.

    Pixels belong together that share a side: no ring touches itself, and polygons are valid.

    Args:
        bitmap: uint8 or bool (h, w).
        y: Row of the image where it begins.
        x: Column where it begins.
        simplify: Distance in pixels that the outline may move to have fewer corners; a ring that
            would vanish stays as it is.

    Returns:
        By falling area of the exterior; empty for an empty mask.
    """
    bitmap = np.ascontiguousarray(bitmap, np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(bitmap, connectivity=4)
    outlines = []
    for number in range(1, count):
        left, top, width, height = boxes[number, :4].tolist()
        part = bitmap
        if count > 2:
            part = labels[top:top + height, left:left + width] == number
        else:
            left = top = 0
        exterior, *holes = (_simpler(ring, simplify) + (x + left, y + top)
                            for ring in _rings(part))
        outlines.append(Outline(exterior, holes))
    outlines.sort(key=lambda part: -abs(_area(part.exterior)))
    return outlines


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


def one_ring(outlines: Sequence[Outline]) -> np.ndarray:
    """All parts and holes as one ring (n, 2), joined by cuts of no width.

    For formats that give an object one list of points: filled by the even-odd rule it covers
    what the parts cover.
    """
    ring = None
    for part in outlines:
        for piece in (part.exterior, *part.holes):
            ring = piece if ring is None else _bridged(ring, piece)
    return np.zeros((0, 2)) if ring is None else ring


def ring_area(ring: np.ndarray) -> float:
    """Signed area of a ring (n, 2), above 0 where it turns from the x axis to the y axis."""
    return float(_area(np.asarray(ring, float)))


def _bridged(ring, piece):
    """A ring that goes from its nearest corner to a piece, around it, and back."""
    # for each corner of the smaller side only: rings have hundreds of corners
    distance = ((ring[:, None].astype(float) - piece[None]) ** 2).sum(axis=2)
    here, there = np.unravel_index(distance.argmin(), distance.shape)
    return np.concatenate([ring[:here + 1], piece[there:], piece[:there + 1], ring[here:]])


def _area(ring):
    following = np.roll(ring, -1, axis=0)
    return (ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum() / 2


def _rings(part):
    """Exterior and holes of pixels that are connected by their sides."""
    # at twice the size, corners of pixels are between pixels: (p + 1) // 2 is the corner
    double = part.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, links = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # the exterior has no parent, and is the only one
    return [_corners((contours[i][:, 0] + 1) // 2) for i in np.argsort(links[0, :, 3] >= 0,
                                                                       kind='stable')]


def _corners(points):
    """Points of a closed chain without repetitions and without those on straight lines."""
    points = points.astype(np.int64)
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _simpler(ring, tolerance):
    if tolerance <= 0:
        return ring
    points = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0]
    return points.astype(ring.dtype) if len(points) > 2 and _area(points) else ring


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
