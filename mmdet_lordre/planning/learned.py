"""How much of its ceiling a family learns from scratch in a time."""
import math

#: Square root of the thousands of images after which a family comes to half of its ceiling, at
#: images of 200 px: of one class, and how much more by the power of the others (docs/planning.md).
EFFORT = {'lordre': (0.15, 0.3), 'solov2': (0.4, 0.6), 'polarmask': (1.6, 0.6),
          'aggmask': (0.8, 0.32), 'aggmask_star': (0.6, 0.23)}
_POWER = 0.75
#: Part of that which is left where colors tell the classes apart.
_COLORED = 0.25
#: Larger images show more and are learned more slowly: the effort grows with this power.
_GROWTH = 0.85


def learned(family: str, classes: int, longer: int, seen: float, colored: bool = False) -> float:
    """Share of its ceiling that a family reaches.

    Args:
        family: Its key.
        classes: Of the data.
        longer: Longer side of the network input in pixels.
        seen: Images that are seen in training, each as often as it is.
        colored: Whether colors tell the classes apart.
    """
    least, more = EFFORT[family]
    more *= max(0, classes - 1)**_POWER * (_COLORED if colored else 1)
    effort = (least + more) * (longer / 200)**_GROWTH
    done = math.sqrt(max(seen, 1) / 1000)
    return done / (done + effort)
