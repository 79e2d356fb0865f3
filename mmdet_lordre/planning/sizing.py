"""The size of the images: larger ones can reach more, smaller ones are learned sooner."""
import math
from collections.abc import Callable, Sequence

import numpy as np

from .objects import Objects

#: Pixels of the network input that half of the objects shall measure: wished for, and at least.
_WISHED_SIDE, LEAST_SIDE = 48, 20
#: Pixels beyond which larger images bring nothing more: of three quarters of the objects, and of
#: the longer side where all objects are large, whose outlines want them.
_MOST_SIDE, _MOST_LONGER = 96, 320
#: Widths of a long and thin object that count like its side: no wider it is drawn as coarsely as a
#: square of that side.
_THIN = 4
#: Images are of one scale where the sides of objects in pixels vary by less than this part of how
#: their shares of the images do, in logarithms.
_ONE_SCALE = 0.5
_MULTIPLE = 32
#: Longer sides in pixels that come into question, each a quarter more than the one before or less.
_SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536)
#: A larger size is taken unless less than this part of the best is expected of it: what a small one
#: cannot draw no time brings back.
_WORTH = 0.99


def sizes_up_to(most: int) -> list[int]:
    """Longer sides in pixels that come into question; at least the smallest."""
    return [size for size in _SIZES if size <= max(most, _SIZES[0])]


def best_size(sizes: Sequence[int], ceiling: Callable[[int], float],
              share: Callable[[int], float]) -> tuple[int, float]:
    """The size of which most is expected: of its ceiling, the part that is learned in the time.

    A larger size counts with the ceiling of a smaller one where its own is lower: that is how the
    samples of small masks happen to fall, which trainings at several sizes do not learn.

    Args:
        sizes: That come into question, rising.
        ceiling: AP that can be reached at a size; not asked for where 1 would be too low.
        share: Of the ceiling, that is learned in the time at a size.

    Returns:
        The size and its ceiling.
    """
    chosen, top, most, highest = sizes[0], 0., 0., 0.
    for size in sizes:
        part = share(size)
        if part < _WORTH * most:  # with any ceiling
            continue
        highest = max(highest, ceiling(size))
        if highest * part >= _WORTH * most:
            chosen, top = size, highest
        most = max(most, highest * part)
    return chosen, top


def image_sizes(objects: Objects) -> tuple[int, int, str]:
    """Longer sides in pixels that the network input should have at least, and is wished to have.

    Returns:
        Both, multiples of 32, and the reason.
    """
    part = _part(objects)
    least, most = LEAST_SIDE / part, min(_WISHED_SIDE / part, _most_pixels(objects))
    least, most = (_rounded(side) for side in (min(least, most), most))
    if width := thin(objects):
        return least, max(least, most), (f'thin objects: half of them are {width:.2%} of the '
                                         'longer side wide or more')
    return least, max(least, most), (f'half of the objects measure {part:.1%} of the longer side '
                                     f'or more')


def greatest_size(objects: Objects) -> int:
    """Longer side in pixels up to which time is what decides: whoever has hours draws finer."""
    part = float(np.percentile(_parts(objects), 25))
    most = min(max(_MOST_SIDE / part, _MOST_LONGER), _most_pixels(objects))
    return max(_rounded(most), image_sizes(objects)[1])


def _most_pixels(objects):
    """Pixels of the longer side: beyond twice those that there are nothing is won."""
    return min(2 * float(np.percentile(objects.sizes.max(1), 90)), 1536)


def details(objects: Objects) -> np.ndarray:
    """(N,) sides of objects in pixels, or four widths where they are long and thin."""
    return np.minimum(objects.sides, _THIN * objects.widths)


def thin(objects: Objects) -> float:
    """Width of the middle object as a part of the longer side of its image, 0 where they are not
    long and thin."""
    part = _part(objects)
    sides = float(np.median(objects.sides / objects.longer))
    return part / _THIN if part < 0.9 * sides else 0.


def _part(objects):
    """Of the longer side of the image, what half of the objects measure."""
    return float(np.median(_parts(objects)))


def _parts(objects):
    return details(objects) / objects.longer


def needed_size(objects: Objects) -> int:
    """Longer side in pixels at which half of the objects measure the least that is useful, or at
    which the images have twice their pixels: however large that is. Of images of one scale, cut to
    very different sizes, it is that of nine tenths of the objects: those of the larger images are
    no larger."""
    parts = _parts(objects)
    alike = _spread(objects.sides) < _ONE_SCALE * _spread(parts)
    part = np.percentile(parts, 10 if alike else 50)
    native = float(np.percentile(objects.sizes.max(1), 100 if alike else 90))
    return _rounded(min(LEAST_SIDE / part, 2 * native))


def _spread(values):
    low, high = np.percentile(values, (5, 95))
    return math.log(high / low)


def _rounded(side: float) -> int:
    return int(max(96, round(side / _MULTIPLE) * _MULTIPLE))
