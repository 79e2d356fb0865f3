"""Run lengths of COCO and small bitmaps, one from the other, without a bitmap of the image.

What pycocotools decodes is as large as the image: here a mask costs what it covers.
"""
from typing import NamedTuple

import numpy as np
from pycocotools import mask as mask_api

#: Five bits of a number in a character, and what says that more follow.
_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, 48


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
    text = rle['counts']
    if isinstance(text, list):
        return np.asarray(text, np.int64)
    if isinstance(text, str):
        text = text.encode()
    characters = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if not len(characters):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero((characters & _MORE) == 0)
    starts = np.r_[0, ends[:-1] + 1]
    lengths = ends - starts + 1
    places = np.arange(ends[-1] + 1) - np.repeat(starts, lengths)
    digits = (characters[:ends[-1] + 1] & (_MORE - 1)) << (_BITS * places)
    values = np.add.reduceat(digits, starts)
    negative = (characters[ends] & _SIGN) > 0
    values[negative] -= np.int64(1) << (_BITS * lengths[negative])
    # from the fourth on they are differences from the last but one
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def rle_of_counts(counts: np.ndarray, size: tuple[int, int]) -> dict:
    """The other way: ``size`` and ``counts`` (bytes), as pycocotools writes them."""
    values = np.array(counts, np.int64)
    values[3:] -= np.asarray(counts, np.int64)[1:-2]
    lengths = np.ones(len(values), np.int64)
    magnitude = np.where(values < 0, ~values, values)
    for digits in range(1, 13):
        more = magnitude >= np.int64(1) << (_BITS * digits - 1)
        if not more.any():
            break
        lengths += more
    starts = np.cumsum(lengths) - lengths
    places = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    digits = (np.repeat(values, lengths) >> (_BITS * places)) & (_MORE - 1)
    digits[places < np.repeat(lengths, lengths) - 1] |= _MORE
    return dict(size=[int(size[0]), int(size[1])],
                counts=(digits + _FIRST).astype(np.uint8).tobytes())


def crop_of_rle(rle: dict) -> Crop:
    """The pixels of a mask inside its bounds."""
    left, top, width, height = (int(v) for v in mask_api.toBbox(rle))
    if not width or not height:
        return Crop(0, 0, np.zeros((0, 0), np.uint8))
    ends = np.cumsum(counts_of(rle))
    starts, stops = ends[:-1:2], ends[1::2]
    filled = stops > starts[:len(stops)]
    starts, stops = starts[:len(stops)][filled], stops[filled] - 1
    rows = rle['size'][0]
    # a run over several columns fills them from top to bottom, and so do the bounds
    changes = np.zeros(width * height + 1, np.int8)
    changes[(starts // rows - left) * height + starts % rows - top] = 1
    changes[(stops // rows - left) * height + stops % rows - top + 1] -= 1
    bitmap = np.cumsum(changes[:-1], dtype=np.int8).view(np.uint8)
    return Crop(top, left, np.ascontiguousarray(bitmap.reshape(width, height).T))


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
    if len(places):
        # a run that ends with its column goes on where the next one begins with it
        joined = np.flatnonzero(places[1:-1:2] == places[2::2])
        places = np.delete(places, np.r_[2 * joined + 1, 2 * joined + 2])
    counts = np.diff(np.r_[0, places, height * width])
    return rle_of_counts(counts[:-1] if counts[-1] == 0 and len(counts) > 1 else counts,
                         (height, width))
