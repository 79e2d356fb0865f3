"""The size of the images: larger ones can reach more, smaller ones are learned sooner."""
from collections.abc import Callable, Sequence

#: Longer sides in pixels that come into question, each a quarter more than the one before or less.
_SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536)
#: A larger size is taken unless less than this part of the best is expected of it: what a small one
#: cannot draw no time brings back.
_WORTH = 0.99


def sizes_up_to(most: int) -> list[int]:
    """Longer sides in pixels that come into question; at least the smallest."""
    return [size for size in _SIZES if size <= max(most, _SIZES[0])]


def best_size(sizes: Sequence[int], start: int, ceiling: Callable[[int], float],
              share: Callable[[int], float]) -> tuple[int, float]:
    """The size of which most is expected: of its ceiling, the part that is learned in the time.

    Args:
        sizes: That come into question, rising.
        start: Where to begin to look.
        ceiling: AP that can be reached at a size; asked for few of them.
        share: Of the ceiling, that is learned in the time at a size.

    Returns:
        The size and its ceiling.
    """
    known: dict[int, tuple[float, float]] = {}

    def expected(index):
        if index not in known:
            size = sizes[index]
            top = ceiling(size)
            known[index] = top * share(size), top
        return known[index][0]

    at = min(range(len(sizes)), key=lambda index: abs(sizes[index] - start))
    # upwards, then downwards: what is expected rises to one size and falls from it
    most = expected(at)
    while at + 1 < len(sizes) and (not most or expected(at + 1) >= _WORTH * most):
        at += 1
        most = max(most, expected(at))
    while at and _WORTH * expected(at - 1) > expected(at):
        at -= 1
    return sizes[at], known[at][1]
