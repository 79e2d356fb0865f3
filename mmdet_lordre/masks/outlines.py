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


def outlines_of(bitmap: np.ndarray, y: float = 0, x: float = 0, simplify: float = 0,
                connectivity: int = 4) -> list[Outline]:
    """Outlines of the parts of a mask, holes kept.

    Args:
        bitmap: uint8 or bool (h, w).
        y: Row of the image where it begins.
        x: Column where it begins.
        simplify: Distance in pixels that the outline may move to have fewer corners; a ring that
            would vanish stays as it is.
        connectivity: 4 where pixels belong together that share a side: no ring touches itself, and
            polygons are valid. 8 where those do, too, that touch at a corner: fewer parts, sooner.

    Returns:
        By falling area of the exterior; empty for an empty mask.
    """
    bitmap = np.ascontiguousarray(bitmap, np.uint8)
    outlines = []
    for part, top, left in _parts(bitmap) if connectivity == 4 else [(bitmap, 0, 0)]:
        for rings in _rings(part):
            exterior, *holes = (_simpler(ring, simplify) + (x + left, y + top) for ring in rings)
            outlines.append(Outline(exterior, holes))
    outlines.sort(key=lambda part: -abs(_area(part.exterior)))
    return outlines


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


def _parts(bitmap):
    """(bitmap, top, left) of the parts whose pixels are connected by their sides."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(bitmap, connectivity=4)
    if count == 2:
        return [(bitmap, 0, 0)]
    return [(labels[top:top + height, left:left + width] == number, top, left)
            for number, (left, top, width, height) in enumerate(boxes[1:, :4].tolist(), 1)]


def _rings(part):
    """[exterior, *holes] of each part whose pixels are connected by their sides or corners."""
    # at twice the size, corners of pixels are between pixels: (p + 1) // 2 is the corner
    double = part.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, links = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings: dict[int, list] = {}
    # first the exteriors, which have no parent, then their holes
    parents = links[0, :, 3].tolist() if contours else []
    for index in sorted(range(len(contours)), key=lambda i: parents[i] >= 0):
        corners = _corners((contours[index][:, 0] + 1) // 2)
        rings.setdefault(index if parents[index] < 0 else parents[index], []).append(corners)
    return rings.values()


def _corners(points):
    """Points of a closed chain without repetitions and without those on straight lines."""
    points = points.astype(np.int64)
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    # back along the same side, where pixels touch at a corner
    turns |= (before * after).sum(axis=1) < 0
    return points[turns]


def _simpler(ring, tolerance):
    if tolerance <= 0:
        return ring
    points = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0]
    return points.astype(ring.dtype) if len(points) > 2 and _area(points) else ring
