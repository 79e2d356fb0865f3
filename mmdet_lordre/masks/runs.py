"""Run lengths of COCO and small bitmaps, one from the other, without a bitmap of the image.

What pycocotools decodes is as large as the image: here a mask costs what it covers.
"""
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as mask_api

#: Five bits of a number in a character, and what says that more follow.
_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, 48
#: Characters of a number: 35 bits are more than the pixels of any image.
MOST_DIGITS = 7


class Crop(NamedTuple):
    """A mask inside its bounds.

    Attributes:
        y: Row of the image where the bitmap begins.
        x: Column of the image where it begins.
        bitmap: uint8 (h, w), 0 or 1; (0, 0) of an empty mask.
    """
    y: int
    x: int
    bitmap: np.ndarray


def counts_of(rle: dict) -> np.ndarray:
    """Run lengths, int64 (n,), of zeros and ones in turn, down the columns of the image.

    Args:
        rle: ``size`` and ``counts``: text or bytes as pycocotools writes them, or a list.
    """
    counts = rle['counts']
    if isinstance(counts, list):
        return np.asarray(counts, np.int64)
    return _undone(characters_of(counts))


def checked_counts(text: str | bytes) -> np.ndarray | None:
    """Run lengths of a text that may be anything, int64 (n,); None where it is damaged.

    Args:
        text: Damaged are characters of another kind, a number that does not end, and one of more
            digits than the pixels of any image have.
    """
    try:
        characters = characters_of(text)
    except UnicodeEncodeError:
        return None
    if len(characters) and (characters.min() < 0 or characters.max() > _MORE + _MORE - 1
                            or characters[-1] & _MORE):
        return None
    return _undone(characters, MOST_DIGITS)


def characters_of(text: str | bytes) -> np.ndarray:
    """What the characters of run lengths stand for, int64: 0 to 63 where they are such."""
    raw = text.encode('ascii') if isinstance(text, str) else bytes(text)
    return np.frombuffer(raw, np.uint8).astype(np.int64) - _FIRST


def signed_numbers(characters: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of one or more characters each, of five bits, the lowest first.

    Args:
        characters: int64 (n,), 0 to 63.
        last: int64 (m,), places of the last character of each, ascending.

    Returns:
        The numbers and how many characters they have, int64 (m,) each.
    """
    first = np.empty_like(last)
    first[:1], first[1:] = 0, last[:-1] + 1
    lengths = last - first + 1
    places = np.arange(lengths.sum()) - np.repeat(first, lengths)
    if not len(last):
        return np.zeros(0, np.int64), lengths
    digits = (characters[:len(places)] & (_MORE - 1)) << (_BITS * places)
    values = np.add.reduceat(digits, first)
    negative = (characters[last] & _SIGN) > 0
    values[negative] -= np.int64(1) << (_BITS * lengths[negative])
    return values, lengths


def _undone(characters, most=None):
    values, lengths = signed_numbers(characters, np.flatnonzero((characters & _MORE) == 0))
    if most is not None and len(lengths) and lengths.max() > most:
        return None
    # from the fourth on they are differences from the last but one
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def filled_runs(rle: dict) -> tuple[np.ndarray, np.ndarray]:
    """Where the runs of pixels begin and end (after the last pixel), down the columns; none empty.

    Args:
        rle: As for :func:`counts_of`.
    """
    ends = np.cumsum(counts_of(rle))
    stops = ends[1::2]
    starts = ends[::2][:len(stops)]
    filled = stops > starts
    return (starts, stops) if filled.all() else (starts[filled], stops[filled])


def rle_of_runs(starts: np.ndarray, stops: np.ndarray, size: tuple[int, int]) -> dict:
    """The other way: ``size`` and ``counts`` (bytes), as pycocotools writes them.

    Args:
        starts, stops: (N,) ascending places down the columns; runs may touch, not overlap.
        size: (height, width) of the image.
    """
    height, width = (int(v) for v in size)
    # a run that ends where the next one begins goes on in it
    apart = starts[1:] != stops[:-1]
    borders = np.empty(2 * np.count_nonzero(apart) + 2 * (len(starts) > 0) + 1, np.int64)
    if len(starts):
        borders[0], borders[-2] = starts[0], stops[-1]
        borders[1:-2:2], borders[2:-2:2] = stops[:-1][apart], starts[1:][apart]
    borders[-1] = height * width
    counts = np.diff(borders, prepend=0)
    if counts[-1] == 0 and len(counts) > 1:
        counts = counts[:-1]
    if height * width >= 2**32:  # which pycocotools cannot count
        return rle_of_counts(counts, (height, width))
    return mask_api.frPyObjects(dict(size=[height, width], counts=counts.tolist()), height, width)


def rle_of_counts(counts: np.ndarray, size: tuple[int, int]) -> dict:
    """The other way: ``size`` and ``counts`` (bytes), as pycocotools writes them."""
    return _written(np.asarray(counts, np.int64), np.array([len(counts)]), size)[0]


def rles_of_changes(places: np.ndarray, number: int, size: tuple[int, int]) -> list[dict]:
    """Run lengths of masks from where they change.

    Args:
        places: (k,), ascending: pixels that differ from the one before them, the first one of a
            mask from zero, counted down the columns of one mask after the other.
        number: Of masks.
        size: (height, width) of each.

    Returns:
        ``size`` and ``counts`` (bytes) of each, as pycocotools encodes them from bitmaps.
    """
    pixels = int(size[0]) * int(size[1])
    # a run begins where a mask does, and where it changes; one of zeros may be empty
    lengths = np.bincount(places // max(1, pixels), minlength=number) + 1
    borders = np.empty(len(places) + number, np.int64)
    first = np.cumsum(lengths) - lengths
    others = np.ones(len(borders), bool)
    others[first] = False
    borders[first], borders[others] = np.arange(number) * pixels, places
    return _written(np.diff(borders, append=number * pixels), lengths, size)


def _written(counts, lengths, size):
    """As pycocotools writes them: ``size`` and ``counts`` (bytes) of masks with so many runs
    each, whose lengths follow each other in ``counts``."""
    ends = np.cumsum(lengths)
    number = np.arange(len(counts)) - np.repeat(ends - lengths, lengths)
    # from the fourth on, the difference to the last but one
    values, later = counts.copy(), (number > 2).nonzero()[0]
    values[later] -= counts[later - 2]
    digits = np.ones(len(values), np.int64)
    magnitude = np.where(values < 0, ~values, values)
    for least in range(1, 13):
        more = magnitude >= np.int64(1) << (_BITS * least - 1)
        if not more.any():
            break
        digits += more
    stops = np.cumsum(digits)
    places = np.arange(digits.sum()) - np.repeat(stops - digits, digits)
    written = (np.repeat(values, digits) >> (_BITS * places)) & (_MORE - 1)
    written[places < np.repeat(digits, digits) - 1] |= _MORE
    text = (written + _FIRST).astype(np.uint8).tobytes()
    cuts = [0, *np.append(0, stops)[ends].tolist()]
    size = int(size[0]), int(size[1])
    return [dict(size=list(size), counts=text[start:stop])
            for start, stop in itertools.pairwise(cuts)]


def mask_areas(rles: Sequence[dict]) -> np.ndarray:
    """Pixels of run lengths, int64 (N,); pycocotools itself counts 255 masks at most at once."""
    parts = [mask_api.area(list(rles[start:start + 255])) for start in range(0, len(rles), 255)]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def bounds_of(rles: Sequence[dict]) -> np.ndarray:
    """x, y, width and height of masks, int64 (N, 4); all of them 0 of an empty one.

    pycocotools itself gives sides of billions of pixels where a run has none, as other programs
    write empty masks.
    """
    if not len(rles):
        return np.zeros((0, 4), np.int64)
    boxes = mask_api.toBbox(list(rles)).astype(np.int64)
    boxes[mask_areas(rles) == 0] = 0
    return boxes


def crop_of_rle(rle: dict) -> Crop:
    """The pixels of a mask inside its bounds."""
    starts, stops = filled_runs(rle)
    if not len(starts):
        return Crop(0, 0, np.zeros((0, 0), np.uint8))
    left, top, width, height = (int(v) for v in mask_api.toBbox(rle))
    stops = stops - 1
    rows = rle['size'][0]
    # a run over several columns fills them from top to bottom, and so do the bounds
    borders = np.empty(2 * len(starts) + 2, np.int64)
    borders[0], borders[-1] = 0, width * height
    borders[1:-1:2] = (starts // rows - left) * height + starts % rows - top
    borders[2:-1:2] = (stops // rows - left) * height + stops % rows - top + 1
    values = np.arange(len(borders) - 1, dtype=np.uint8) & 1
    bitmap = np.repeat(values, np.diff(borders)).reshape(width, height)
    # NumPy takes twenty times as long where columns are long
    return Crop(top, left, cv2.transpose(bitmap))


def rle_of_crop(bitmap: np.ndarray, y: int, x: int, size: tuple[int, int]) -> dict:
    """Run lengths of a mask from the bitmap of a part of the image; zero outside of it.

    Args:
        bitmap: (h, w), 0 or 1 (or bool), within the image.
        y: Row where it begins.
        x: Column where it begins.
        size: (height, width) of the image.

    Returns:
        The same bytes that pycocotools encodes from a bitmap of the image.
    """
    height, width = (int(v) for v in size)
    columns = np.zeros((bitmap.shape[1], bitmap.shape[0] + 2), np.int8)
    columns[:, 1:-1] = bitmap.T
    changes = columns[:, 1:] - columns[:, :-1]
    column, row = np.nonzero(changes)
    places = (x + column) * height + y + row
    return rle_of_runs(places[::2], places[1::2], (height, width))


def rles_of_crops(columns: np.ndarray, tops: np.ndarray, lefts: np.ndarray,
                  size: tuple[int, int]) -> list[dict]:
    """The same of several bitmaps of one size at once; one alone takes three times as long.

    Args:
        columns: (n, w, h), 0 or 1 (or bool), no side 0: the bitmaps, column by column.
        tops, lefts: int64 (n,), where they begin.
        size: (height, width) of the image.
    """
    (count, width, height), (rows, pixels) = columns.shape, (int(size[0]), int(size[0] * size[1]))
    changes = np.zeros((count, width, height + 1), bool)
    changes[:, :, 0], changes[:, :, -1] = columns[:, :, 0], columns[:, :, -1]
    changes[:, :, 1:-1] = columns[:, :, 1:] != columns[:, :, :-1]
    # several times as fast as looking for the places of an array of three axes
    mask, column, row = np.unravel_index(np.flatnonzero(changes), changes.shape)
    places = (lefts[mask] + column) * rows + tops[mask] + row
    # the end of the image is no change; a run that ends where the next column begins goes on
    inside = places < pixels
    places = (mask * pixels + places)[inside]
    apart = np.ones(len(places) + 1, bool)
    apart[1:-1] = places[1:] != places[:-1]
    return rles_of_changes(places[apart[1:] & apart[:-1]], count, size)
