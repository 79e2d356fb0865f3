"""How image files are to be read, by what their annotations and values say."""
import os
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..text import plural
from ..visualization.seen import RANGE, decoded
from .objects import Objects
from .sample import choose_images

#: Pictures that are read, of which no more are where the first ones have 8 bits; their pixels.
PICTURES, _FIRST, _PIXELS = 12, 2, 1e8
#: Gray levels that reading 8 bits must leave.
_LEVELS = 128
_ENDINGS = ('.png', '.tif', '.tiff', '.pgm', '.ppm', '.pnm', '.jp2')


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Attributes:
        upright: Whether they are turned by their orientation tag.
        values: Of 16 bits, (lowest, highest) that are told apart; None for 8 bits.
    """
    upright: bool = True
    values: tuple[int, int] | None = None

    @property
    def flag(self) -> int:
        """For ``cv2.imread`` and ``cv2.imdecode``."""
        return cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if self.values else 0) | (
            0 if self.upright else cv2.IMREAD_IGNORE_ORIENTATION)

    @property
    def color_type(self) -> int | str:
        """Of mmcv's ``LoadImageFromFile``."""
        if self.values:
            return self.flag
        return 'color' if self.upright else 'color_ignore_orientation'

    def line(self) -> str:
        """What a person is told, or nothing."""
        said = []
        if not self.upright:
            said.append('as they are stored, not turned by their orientation tags: so they were '
                        'annotated')
        if self.values:
            low, high = self.values
            said.append(f'with their 16 bits, of which values from {low} to {high} are told apart: '
                        f'as 8 bits they would have {plural(levels(low, high), "gray level")}')
        return '; '.join(said)


AS_USUAL = Reading()


def levels(low: int, high: int) -> int:
    """Gray levels that are left between two values of 16 bits when they are read as 8."""
    return (high >> 8) - (low >> 8) + 1


def reading_of(objects: Objects, seed: int = 0) -> Reading:
    """How the image files of a data set are to be read.

    Args:
        objects: Data to train on.
        seed: Of the choice of pictures that are looked at.
    """
    chosen = choose_images(objects, PICTURES, len(objects) + 1, seed)
    return Reading(objects.upright, values_of([
        os.path.join(objects.folder, objects.files[i]) for i in chosen]))


def values_of(paths: Sequence[str]) -> tuple[int, int] | None:
    """(lowest, highest) value that matters in pictures of 16 bits that use less than half of them.

    Args:
        paths: Of some of the pictures.
    """
    found, pixels = [], 0
    for number, path in enumerate(path for path in paths if path.lower().endswith(_ENDINGS)):
        if (number >= _FIRST and not found) or pixels > _PIXELS:
            break
        picture = decoded(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if picture is None:
            continue
        pixels += picture.shape[0] * picture.shape[1]
        if picture.dtype == np.uint16:
            found.append(picture[::max(1, picture.shape[0] // 300),
                                 ::max(1, picture.shape[1] // 300)].ravel())
    if not found:
        return None
    low, high = (int(v) for v in np.percentile(np.concatenate(found), RANGE))
    return (low, high) if low < high and levels(low, high) < _LEVELS else None
