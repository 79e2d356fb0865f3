"""The size of the images: larger ones can reach more, smaller ones are learned sooner."""
from collections.abc import Callable, Sequence

from .learned import learned

#: Longer sides in pixels that come into question, each a quarter more than the one before or less.
_SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536)
#: What a larger size has to win, as a part of what is expected.
_WORTH = 1.01


def sizes_up_to(most: int) -> list[int]:
    """Longer sides in pixels that come into question; at least the smallest."""
    return [size for size in _SIZES if size <= max(most, _SIZES[0])]


def best_size(sizes: Sequence[int], start: int, ceiling: Callable[[int], float],
              seen: Callable[[int], float], family: str, classes: int) -> tuple[int, float]:
    """The size of which most is expected: of its ceiling, the part that is learned in the time.

    Args:
        sizes: That come into question, rising.
        start: Where to begin to look.
        ceiling: AP that can be reached at a size; asked for few of them.
        seen: Images that are seen in the time at a size.
        family: A key of :data:`.learned.EFFORT`.
        classes: Of the data.

    Returns:
        The size and its ceiling.
    """
    known: dict[int, tuple[float, float]] = {}

    def expected(index):
        if index not in known:
            size = sizes[index]
            top = ceiling(size)
            known[index] = top * learned(family, classes, size, seen(size)), top
        return known[index][0]

    best = min(range(len(sizes)), key=lambda index: abs(sizes[index] - start))
    while best + 1 < len(sizes) and (not expected(best)
                                     or expected(best + 1) > _WORTH * expected(best)):
        best += 1
    while best and expected(best - 1) and _WORTH * expected(best - 1) >= expected(best):
        best -= 1
    expected(best)
    return sizes[best], known[best][1]
