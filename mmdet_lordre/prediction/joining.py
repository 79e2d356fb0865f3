"""Objects of tiles that lie over each other, put together."""
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_api

from ..masks import mask_areas
from ..masks.runs import Crop, crop_of_rle, rle_of_crop
from .overlaps import box_pairs, intersection
from .thresholds import at_labels

#: IoU in the strip that two tiles share from which on two masks are one object.
_SAME = 0.5
#: Share of a piece that is cut off at its tile's border which a mask of the other tile must cover
#: to be the object that it is a piece of.
_COVERED = 0.7
#: Share of all pixels that the masks of an object have which an uncut one must have to stand for
#: the object.
_WHOLE = 0.85
#: Share of the score of a piece that another one must have to be part of the same object; else it
#: is a poor guess at it.
AS_SURE = 0.5
#: Pixels between a mask and the border of its tile up to which it counts as cut: networks rarely
#: reach the border.
_MARGIN = 2
#: Thresholds that every score reaches.
_NONE = np.zeros(1)


@dataclass(frozen=True)
class Window:
    """A part of the picture.

    Attributes:
        y, x: Where it begins.
        height, width: In pixels.
    """
    y: int
    x: int
    height: int
    width: int

    def shared(self, other: 'Window') -> 'Window | None':
        """What two windows have in common."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - y
        width = min(self.x + self.width, other.x + other.width) - x
        return Window(y, x, height, width) if height > 0 and width > 0 else None


@dataclass(frozen=True)
class Piece:
    """An object of one tile.

    Attributes:
        rle: Run lengths over the tile.
        score: Its score.
        label: Its label.
        tile: Number of the tile.
        box: x1, y1, x2, y2 in the picture.
        cut: Whether it reaches a border of its tile that is none of the picture's.
    """
    rle: dict
    score: float
    label: int
    tile: int
    box: tuple[float, float, float, float]
    cut: bool


@dataclass
class Joined:
    """An object of the picture.

    Attributes:
        rle: Run lengths over the picture.
        score: The highest of its pieces.
        label: Of its pieces.
        cut: Whether every piece was cut.
    """
    rle: dict
    score: float
    label: int
    cut: bool


def is_cut(box: Sequence[float], window: Window, size: tuple[int, int]) -> bool:
    """Whether a box reaches a border of a tile that is none of the picture's.

    Args:
        box: x1, y1, x2, y2 in the picture.
        window: The tile.
        size: (height, width) of the picture.
    """
    x1, y1, x2, y2 = box
    return bool((window.x > 0 and x1 < window.x + _MARGIN)
                or (window.y > 0 and y1 < window.y + _MARGIN)
                or (window.x + window.width < size[1] and x2 > window.x + window.width - _MARGIN)
                or (window.y + window.height < size[0] and y2 > window.y + window.height - _MARGIN))


def join(pieces: Sequence[Piece], windows: Sequence[Window],
         size: tuple[int, int]) -> list[Joined]:
    """The objects that pieces belong to.

    Two pieces of one class, of tiles that lie over each other, are one object where their masks
    agree in the strip that the tiles share. That is decided for each pair of pieces alone and
    joined afterwards, so an object may go over any number of tiles, and the order of the tiles
    has no part in it. Of an object that a tile shows uncut the surest such mask is taken,
    of others the union. A piece that is less than half as sure as one that it agrees with adds
    nothing to it, and is left out before anything is joined: there are many of them, and some
    would join neighbors, or take a surer one with them.

    Args:
        pieces: In any order.
        windows: The tiles.
        size: (height, width) of the picture.

    Returns:
        By falling score.
    """
    pieces = sorted(pieces, key=lambda p: (-p.score, p.label, p.box, p.tile))

    @functools.lru_cache(maxsize=512)
    def crop(index):
        window = windows[pieces[index].tile]
        y, x, bitmap = crop_of_rle(pieces[index].rle)
        return Crop(y + window.y, x + window.x, bitmap)

    def root(index):
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    of_tile: dict[int, list[int]] = {}
    for index, piece in enumerate(pieces):
        of_tile.setdefault(piece.tile, []).append(index)
    boxes = np.array([piece.box for piece in pieces], float).reshape(-1, 4)
    labels = np.array([piece.label for piece in pieces])
    scores = np.array([piece.score for piece in pieces])
    strips = [(*(_within(of_tile[tile], boxes, strip) for tile in (one, other)), strip)
              for one, other, strip in _neighbors(windows, of_tile)]

    def candidates(alike):
        """Pairs of one class that may agree: as sure as each other, or one side a poor guess."""
        for first, second, strip in strips:
            for pairs in box_pairs(boxes[first], boxes[second]):
                pairs = np.stack([first[pairs[:, 0]], second[pairs[:, 1]]], axis=1)
                low, high = np.sort(scores[pairs], axis=1).T
                pairs = pairs[(labels[pairs[:, 0]] == labels[pairs[:, 1]])
                              & ((low >= AS_SURE * high) == alike)]
                yield from ((a, b, strip) for a, b in pairs.tolist())

    def agree(a, b, strip):
        return _same(crop(a), crop(b), strip, pieces[a].cut, pieces[b].cut)

    # all guesses first: of a chain of pieces only what is no guess is a link. The surest pieces
    # first (the order that they are in): what is left out takes nothing with it
    parents, poor = list(range(len(pieces))), set()
    for a, b, strip in sorted(candidates(alike=False), key=lambda found: min(found[:2])):
        guess = max(a, b)
        if not poor & {a, b} and agree(a, b, strip):
            poor.add(guess)
    for a, b, strip in candidates(alike=True):
        if not poor & {a, b} and root(a) != root(b) and agree(a, b, strip):
            parents[root(a)] = root(b)
    groups: dict[int, list[int]] = {}
    for index in range(len(pieces)):  # the surest of each first
        if index not in poor:
            groups.setdefault(root(index), []).append(index)
    found = [_object([pieces[i] for i in members], [crop(i) for i in members], size)
             for members in groups.values()]
    found.sort(key=lambda one: (-one.score, one.label, one.rle['counts']))
    return found


def _neighbors(windows, used):
    """(tile, tile, strip) of the tiles that lie over each other."""
    edges = np.array([[w.x, w.y, w.x + w.width, w.y + w.height] for w in windows], float)
    for pairs in box_pairs(edges.reshape(-1, 4)):
        for one, other in pairs.tolist():
            if one in used and other in used:
                yield one, other, windows[one].shared(windows[other])


def _within(indices, boxes, strip):
    """Of some pieces those whose box meets a strip."""
    some = boxes[indices]
    hit = ((some[:, 0] < strip.x + strip.width) & (some[:, 2] > strip.x)
           & (some[:, 1] < strip.y + strip.height) & (some[:, 3] > strip.y))
    return np.asarray(indices)[hit]


def _inside(crop, strip):
    """The part of a mask in a strip."""
    y, x = max(crop.y, strip.y), max(crop.x, strip.x)
    return Crop(y, x, crop.bitmap[y - crop.y:max(0, strip.y + strip.height - crop.y),
                                  x - crop.x:max(0, strip.x + strip.width - crop.x)])


def _same(one, other, strip, one_cut, other_cut):
    one, other = _inside(one, strip), _inside(other, strip)
    common = intersection(one, other)
    if not common:
        return False
    area, rival = (int(np.count_nonzero(crop.bitmap)) for crop in (one, other))
    if common >= _SAME * (area + rival - common):
        return True
    # a cut piece may be much smaller than the object, also in the strip
    return (one_cut and common >= _COVERED * area and area <= rival) \
        or (other_cut and common >= _COVERED * rival and rival <= area)


def _object(pieces, crops, size):
    """One object of its pieces, the surest first."""
    encoded = [rle_of_crop(crop.bitmap, crop.y, crop.x, size) for crop in crops]
    whole = [i for i, piece in enumerate(pieces) if not piece.cut]
    rle = encoded[0]
    if len(pieces) > 1:
        union = mask_api.merge(encoded)
        areas, most = mask_areas(encoded), mask_areas([union])[0]
        full = [i for i in whole if areas[i] >= _WHOLE * most]
        rle = encoded[full[0]] if full else union
    return Joined(dict(rle, size=list(size)), pieces[0].score, pieces[0].label, not whole)


def with_large(joined: list[Joined], large: Sequence[Joined],
               thresholds: np.ndarray = _NONE) -> list[Joined]:
    """Add the objects of a pass over the whole picture that tiles cannot hold.

    Args:
        joined: Of tiles.
        large: Of the pass, large ones alone.
        thresholds: Of each label the score from which on a large object may stand for others.
            Those below it are left out later on, and what they stood for would be lost with them.

    Returns:
        By falling score: pieces of a large object are left out, unless they are more than twice as
        sure, and of two masks of one object that of the tiles, which is finer, is kept.
    """
    if not large:
        return joined
    gone, added = set(), []
    least = at_labels(thresholds, np.array([one.label for one in large]))
    ranked = sorted(zip(large, (one.score >= low for one, low in zip(large, least))),
                    key=lambda pair: (not pair[1], -pair[0].score, pair[0].label))
    for one, stands in ranked:
        rivals = [i for i, other in enumerate(joined) if other.label == one.label]
        boxes = [joined[i].rle for i in rivals]
        known = False
        if boxes:
            overlaps = mask_api.iou(boxes, [one.rle], [0])[:, 0]
            covered = mask_api.iou(boxes, [one.rle], [1])[:, 0]  # share of the tiles' mask
            known = bool((overlaps >= _SAME).any())
            if stands and not known:
                gone.update(i for i, share in zip(rivals, covered)
                            if share >= _COVERED and joined[i].cut
                            and one.score >= AS_SURE * joined[i].score)
        if not known and not any(mask_api.iou([other.rle], [one.rle], [0])[0, 0] >= _SAME
                                 for other in added):
            added.append(one)
    kept = [one for i, one in enumerate(joined) if i not in gone] + added
    return sorted(kept, key=lambda one: (-one.score, one.label, one.rle['counts']))
