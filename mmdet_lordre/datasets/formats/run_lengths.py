"""Masks as run lengths, made from whatever shapes annotation tools know.

Everything is done with runs, so that memory grows with the shape, not with the image that a file
claims to describe. Pixels count as in COCO: column by column, pixel (x, y) covers the square from
(x, y) to (x + 1, y + 1), and a shape covers the pixels whose centers lie in it.
"""
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as mask_api

from ...masks import runs
from ...masks.outlines import outlines_of
from ...masks.runs import crop_of_rle, filled_runs, rle_of_runs

#: Pixels of a box in which a shape is drawn.
_MOST_DRAWN = 2**28


def runs_to_rle(starts: np.ndarray, ends: np.ndarray, height: int, width: int) -> dict:
    """Run lengths of the pixels ``starts[i] <= p < ends[i]``, as text.

    Args:
        starts, ends: (N,) ascending places in column-major order; runs may touch, not overlap.
        height, width: Of the image.

    Returns:
        ``{'size': [height, width], 'counts': str}``
    """
    return _as_text(rle_of_runs(starts, ends, (height, width)))


def _as_text(rle):
    return dict(rle, counts=rle['counts'].decode())


def rle_of_crop(mask: np.ndarray, x: int, y: int, height: int, width: int) -> dict:
    """Run lengths of a mask that is a part of an image.

    Args:
        mask: (h, w) of booleans; what lies outside of the image is cut off.
        x, y: Where its first pixel is.
        height, width: Of the image.
    """
    mask = mask[max(-y, 0):max(height - y, 0), max(-x, 0):max(width - x, 0)]
    x, y = max(x, 0), max(y, 0)
    return _as_text(runs.rle_of_crop(mask != 0, y, x, (height, width)))


def rles_of_labels(labels: np.ndarray) -> dict[int, dict]:
    """Run lengths of every value of an image of numbers except 0.

    Args:
        labels: (H, W) of whole numbers.

    Returns:
        ``{value: run lengths}``, values ascending.
    """
    height, width = labels.shape
    flat = labels.reshape(-1, order='F')
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], borders])
    ends = np.concatenate([borders, [flat.size]])
    values = flat[starts]
    shown = values != 0
    starts, ends, values = starts[shown], ends[shown], values[shown]
    order = np.argsort(values, kind='stable')
    starts, ends, values = starts[order], ends[order], values[order]
    found, first = np.unique(values, return_index=True)
    limits = [*first.tolist(), len(values)]
    return {int(value): runs_to_rle(starts[a:b], ends[a:b], height, width)
            for value, a, b in zip(found, limits[:-1], limits[1:], strict=True)}


def combined(inside: Sequence[dict], outside: Sequence[dict], height: int, width: int) -> dict:
    """Pixels that are in any of some masks and in none of others.

    Args:
        inside, outside: Run lengths of one size.
        height, width: Of the image.
    """
    places, changes = [], []
    for sign, masks in ((1, inside), (2**20, outside)):
        for mask in masks:
            starts, ends = filled_runs(mask)
            places += [starts, ends]
            changes += [np.full(len(starts), sign), np.full(len(ends), -sign)]
    if not places:
        return runs_to_rle(np.zeros(0, int), np.zeros(0, int), height, width)
    places, changes = np.concatenate(places), np.concatenate(changes)
    order = np.argsort(places, kind='stable')
    places, state = places[order], np.cumsum(changes[order])
    # of the changes at one place the last one holds
    holds = np.append(places[1:] != places[:-1], True)[:len(places)]
    places, shown = places[holds], (state[holds] > 0) & (state[holds] < 2**20)
    begin = np.flatnonzero(shown & ~np.concatenate([[False], shown[:-1]]))
    end = np.flatnonzero(~shown & np.concatenate([[False], shown[:-1]]))
    return runs_to_rle(places[begin], places[end], height, width)


def rle_of_polygons(outer: Sequence[Sequence[float]], holes: Sequence[Sequence[float]],
                    height: int, width: int) -> dict:
    """Run lengths of polygons without their holes, each drawn as pycocotools does.

    Args:
        outer, holes: Polygons as ``[x1, y1, x2, y2, ...]``, which
            :func:`~..annotation_rules.mask_problem` has passed.
        height, width: Of the image.
    """
    def draw(polygons):
        return mask_api.frPyObjects([list(map(float, p)) for p in polygons], height, width) \
            if len(polygons) else []
    return combined(draw(outer), draw(holes), height, width)


def ellipse(x: float, y: float, rx: float, ry: float, angle: float, height: int,
            width: int) -> dict:
    """Run lengths of an ellipse: the pixels whose centers lie in it or on its border.

    Args:
        x, y: Its center.
        rx, ry: Its radii.
        angle: By which it is turned, clockwise as seen, in radians.
        height, width: Of the image.

    Raises:
        ValueError: It covers more pixels than are drawn.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    reach_x, reach_y = np.hypot(rx * cos, ry * sin), np.hypot(rx * sin, ry * cos)
    left, right = (int(np.clip(v, 0, width)) for v in (np.floor(x - reach_x),
                                                       np.ceil(x + reach_x)))
    top, bottom = (int(np.clip(v, 0, height)) for v in (np.floor(y - reach_y),
                                                        np.ceil(y + reach_y)))
    if (right - left) * (bottom - top) > _MOST_DRAWN:
        raise ValueError(f'an ellipse of {right - left}x{bottom - top} px is too large to be drawn')
    if rx <= 0 or ry <= 0:
        return runs_to_rle(np.zeros(0, int), np.zeros(0, int), height, width)
    dx = np.arange(left, right)[None] + 0.5 - x
    dy = np.arange(top, bottom)[:, None] + 0.5 - y
    mask = ((dx * cos + dy * sin) / rx) ** 2 + ((dy * cos - dx * sin) / ry) ** 2 <= 1
    return rle_of_crop(mask, left, top, height, width)


def outlines(encoded: dict) -> list[tuple[list[float], list[list[float]]]]:
    """The parts of a mask as polygons along the borders of its pixels, which draw it exactly.

    Args:
        encoded: pycocotools' run lengths.

    Returns:
        For every part its outline and those of its holes, ``[x1, y1, x2, y2, ...]`` each. Pixels
        that touch at a corner are one part.
    """
    crop = crop_of_rle(encoded)
    return [(_flat(part.exterior), [_flat(hole) for hole in part.holes])
            for part in outlines_of(crop.bitmap, crop.y, crop.x, connectivity=8)]


def _flat(ring):
    return ring.reshape(-1).astype(float).tolist()
