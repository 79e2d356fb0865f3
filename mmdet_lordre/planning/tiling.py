"""Large pictures of small objects: what a network sees of them on crops."""
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask as mask_api

from ..masks.drawing import draw_segment
from ..prediction.tiles import windows_of
from .objects import Objects
from .sizing import LEAST_SIDE, details, needed_size

#: Pixels of the network input that half of the objects shall measure on crops.
_SIDE = 32
#: Side of the network input for a crop: at least, and at most.
_CROP = (320, 640)


@dataclass(frozen=True)
class Tiling:
    """Crops that pictures are learned by, and tiles that they are predicted by.

    Attributes:
        tile: Side in pixels of the file.
        crop: Side in pixels of the network input.
    """
    tile: int
    crop: int


def tiling_of(objects: Objects) -> Tiling | None:
    """Crops for pictures that would have to be large for objects to keep their pixels.

    Args:
        objects: Of the training data.

    Returns:
        None where whole pictures of twice a crop's side would do, or objects are too large for
        crops.
    """
    middle = float(np.median(details(objects)))
    # what is smaller than wished for is made larger, but not than twice the pixels there are
    factor = min(_SIDE / middle, max(1., min(2., LEAST_SIDE / middle)))
    large = float(np.percentile(objects.sides, 95)) * factor
    crop = int(max(_CROP[0], -(-2.5 * large // 32) * 32))
    if crop > _CROP[1] or needed_size(objects) < 2 * crop:
        return None
    return Tiling(max(32, round(crop / factor)), crop)


def empty_share(objects: Objects, tiles: Objects, tile: int) -> float:
    """Share of the tiles of pictures that show no object.

    Args:
        objects: Of whole pictures.
        tiles: The same, :func:`cut`.
        tile: Side in pixels.
    """
    return 1 - len(tiles.files) / sum(np.prod(-(-objects.sizes // tile), axis=1))


def tiles_of_pictures(objects: Objects, tile: int) -> np.ndarray:
    """Tiles (images,) that each picture is predicted by, with a pass over the whole."""
    sizes, which = np.unique(objects.sizes, axis=0, return_inverse=True)
    tiles = np.array([len(windows_of(tuple(size), tile, 0.2)) for size in sizes.tolist()])
    return (tiles + (tiles > 1))[which.ravel()]


def cut(objects: Objects, tile: int) -> Objects:
    """The objects as tiles show them, each in the one in whose middle it lies most.

    Args:
        objects: Of whole pictures.
        tile: Side in pixels.

    Returns:
        Tiles with an object in place of the pictures; segments are cut when they are asked for.
    """
    centers = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2
    heights, widths = objects.sizes[objects.images].T
    top, row = _start(centers[:, 1], heights, tile)
    left, column = _start(centers[:, 0], widths, tile)
    keys = np.stack([objects.images, row, column], axis=1)
    order = np.lexsort(keys.T[::-1])
    kinds, place = np.unique(keys[order], axis=0, return_inverse=True)
    corners = np.stack([top, left], axis=1)[order]
    whole = objects.sizes[kinds[:, 0]]
    sizes = np.minimum(whole, tile)
    place = place.reshape(-1)
    boxes = objects.boxes[order] - np.tile(corners[:, ::-1], 2)
    limits = np.tile(sizes[place][:, ::-1], 2)
    kept = np.clip(boxes, 0, limits)

    def area(b):
        return np.maximum((b[:, 2:] - b[:, :2]).prod(1), 1e-6)
    return replace(
        objects, files=[f'{objects.files[image]} ({row}, {column})'
                        for image, row, column in kinds.tolist()],
        sizes=sizes, images=place, labels=objects.labels[order], boxes=kept,
        areas=objects.areas[order] * area(kept) / area(boxes),
        segments=_Cut([objects.segments[i] for i in order], whole[place], corners, sizes[place]))


def _start(centers, lengths, tile):
    """(first pixel, number) along an axis of the window whose middle is nearest to a center."""
    last = np.maximum(0, lengths - tile)
    count = 1 + -(-last // tile)
    step = last / np.maximum(1, count - 1)
    number = np.clip(np.rint((centers - tile / 2) / np.maximum(step, 1e-9)), 0, count - 1)
    return np.rint(number * step).astype(int), number.astype(int)


class _Cut(Sequence):
    """Segments of tiles.

    Args:
        segments: N polygons or run lengths.
        wholes: (N, 2) height and width of their pictures.
        corners: (N, 2) top and left of their tiles.
        sizes: (N, 2) of these.
    """

    def __init__(self, segments, wholes, corners, sizes):
        self.segments, self.wholes, self.corners, self.sizes = segments, wholes, corners, sizes

    def __len__(self):
        return len(self.segments)

    def __getitem__(self, index):
        (y, x), mask = draw_segment(self.segments[index], *self.wholes[index].tolist())
        y, x = y - self.corners[index][0], x - self.corners[index][1]
        mask = mask[max(0, -y):, max(0, -x):]
        out = np.zeros(self.sizes[index], np.uint8, order='F')
        view = out[max(0, y):max(0, y) + mask.shape[0], max(0, x):max(0, x) + mask.shape[1]]
        view[:] = mask[:view.shape[0], :view.shape[1]]
        return mask_api.encode(out)
