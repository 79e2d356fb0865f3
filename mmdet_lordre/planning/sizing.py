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
