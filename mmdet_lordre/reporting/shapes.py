"""How predicted masks differ from the true ones, measured on the pixels of each pair."""
from dataclasses import dataclass, fields

import cv2
import numpy as np

from ..masks.runs import Crop, crop_of_rle
from .crops import boundary, boundary_distance, frame, window
from .table import Overlaps, Table

#: Holes and parts below this share of the object are not looked at.
_SHARE = 0.02
#: A part of an object is lost where its largest missing region has this share of it.
_PART = 0.10


@dataclass
class Shapes:
    """Measures of pairs of a detection and an object.

    Attributes:
        boundary: (P,) IoU of the boundaries.
        hole: (P,) share of the object that is holes in it; 0 without any.
        filled: (P,) share of these holes that the detection covers.
        lost: (P,) share of the object in the largest connected region that the detection leaves
            out, not counting what is as thin as the boundary.
        added: (P,) the same of what the detection adds, as a share of the object.
        ragged: (P,) length of the detection's outline over that of the object's.
    """
    boundary: np.ndarray
    hole: np.ndarray
    filled: np.ndarray
    lost: np.ndarray
    added: np.ndarray
    ragged: np.ndarray

    def subset(self, chosen: np.ndarray) -> 'Shapes':
        """Some of the pairs, by a mask or by indices."""
        return Shapes(*(getattr(self, field.name)[chosen] for field in fields(self)))


def measure(table: Table, pairs: Overlaps, shapes: np.ndarray) -> Shapes:
    """Measure pairs, image by image: no more masks are held than an image has.

    Args:
        table: Of which the pairs are.
        pairs: Of one class; by detection, and so by image.
        shapes: (P,) bool: those of which more than the boundary is measured.
    """
    result = Shapes(*(np.zeros(len(pairs)) for _ in fields(Shapes)))
    image_of = table.detections.image[pairs.detection]
    starts = np.flatnonzero(np.append(True, image_of[1:] != image_of[:-1])) if len(pairs) else []
    for start, end in zip(starts, np.append(starts, len(pairs))[1:]):
        picture = table.pictures[image_of[start]]
        distance = boundary_distance(picture.width, picture.height)
        seen = {}
        for i in range(start, end):
            d, t = int(pairs.detection[i]), int(pairs.truth[i])
            for key, masks in ((('d', d), table.detections.masks), (('t', t), table.truth.masks)):
                if key not in seen:
                    seen[key] = _Mask(crop_of_rle(masks[key[1]]), distance)
            found, true = seen['d', d], seen['t', t]
            result.boundary[i] = _boundary_iou(found, true, pairs.iou[i])
            if shapes[i]:
                _compare(result, i, found, true)
    return result


class _Mask:
    """A crop with what is computed of it once."""

    def __init__(self, crop: Crop, distance: int):
        self.crop, self.distance = crop, distance
        self.thin = min(crop.bitmap.shape) <= 2 * distance
        self._edge = self._length = self._holes = None

    @property
    def edge(self) -> np.ndarray:
        if self._edge is None:
            self._edge = boundary(self.crop, self.distance)
            self.edge_area = int(np.count_nonzero(self._edge))
        return self._edge

    @property
    def length(self) -> float:
        """Of all outlines, those of holes included."""
        self._trace()
        return self._length

    @property
    def holes(self) -> np.ndarray | None:
        """(h, w) what the mask encloses, without specks; None without any."""
        self._trace()
        return self._holes

    def _trace(self):
        if self._length is not None:
            return
        mask = self.crop.bitmap
        outlines, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        self._length = sum(cv2.arcLength(outline, True) for outline in outlines)
        if levels is not None and (levels[0, :, 3] >= 0).any():
            self._holes = _holes(mask)


def _holes(mask):
    filled = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    filled[1:-1, 1:-1] = mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - filled, connectivity=4)
    area = stats[:, cv2.CC_STAT_AREA]
    large = (area >= _SHARE * np.count_nonzero(mask)) & (area >= 4)
    large[labels[0, 0]] = large[0] = False
    return large[labels][1:-1, 1:-1].astype(np.uint8) if large.any() else None


def _boundary_iou(found, true, iou):
    if found.thin and true.thin:
        return iou  # both are boundary all through
    inside, outside = found.edge, true.edge
    a, b = found.crop, true.crop
    x, y = max(a.x, b.x), max(a.y, b.y)
    right = min(a.x + a.bitmap.shape[1], b.x + b.bitmap.shape[1])
    bottom = min(a.y + a.bitmap.shape[0], b.y + b.bitmap.shape[0])
    if right <= x or bottom <= y:
        return 0.0
    both = np.count_nonzero(inside[y - a.y:bottom - a.y, x - a.x:right - a.x]
                            & outside[y - b.y:bottom - b.y, x - b.x:right - b.x])
    return both / max(found.edge_area + true.edge_area - both, 1)


def _compare(result, i, found, true):
    part = frame(found.crop, true.crop)
    a, b = window(found.crop, *part), window(true.crop, *part)
    area = max(np.count_nonzero(b), 1)
    result.ragged[i] = found.length / max(true.length, 1)
    # what is as thin as a twelfth of the object's side is a matter of its border
    width = max(1, int(np.sqrt(area) / 12))
    if area >= 25:
        lost, added = b & ~a & 1, a & ~b & 1
        result.lost[i] = _largest(lost, area, width)
        result.added[i] = _largest(added, area, width)
    if true.holes is not None:
        holes = window(true.crop, *part, of=true.holes)
        count = np.count_nonzero(holes)
        result.hole[i] = count / area
        result.filled[i] = np.count_nonzero(holes & a) / count


def _largest(region, area, width):
    """Share of ``area`` in the largest connected part of a region that survives an opening."""
    if np.count_nonzero(region) < _PART * area:
        return 0.0
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    opened = cv2.morphologyEx(region, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT,
                              borderValue=0)
    count, _, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max() / area) if count > 1 else 0.0
