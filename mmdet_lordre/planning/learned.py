"""How much of its ceiling a family learns from scratch in a time."""
import math

#: Thousands of images after which a family comes to half of its ceiling, at images of 200 px (in
#: proportion to that: larger ones show more and are learned more slowly): of one class, and how
#: many more by the power of the others (docs/planning.md).
EFFORT = {'lordre': (0.1, 0.3), 'solov2': (0.2, 0.5), 'polarmask': (1.5, 3.5),
          'aggmask': (1.5, 1.5), 'aggmask_star': (0.8, 0.84)}
_POWER = 0.75
#: Part of that which is left where colors tell the classes apart.
_COLORED = 0.25
#: Contours are learned to about as many pixels of the network input.
_BLUR = 3


def learned(family: str, classes: int, longer: int, seen: float, colored: bool = False,
            side: float = math.inf) -> float:
    """Share of its ceiling that a family reaches.

    Args:
        family: Its key.
        classes: Of the data.
        longer: Longer side of the network input in pixels.
        seen: Images that are seen in training, each as often as it is.
        colored: Whether colors tell the classes apart.
        side: Of the middle object, in pixels of the network input.
    """
    least, more = EFFORT[family]
    more *= max(0, classes - 1)**_POWER * (_COLORED if colored else 1)
    effort = (least + more) * longer / 200
    done = max(seen, 1) / 1000
    return done / (done + effort) / (1 + _BLUR / side)
