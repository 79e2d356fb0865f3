"""The outlines of the eight classes: what makes a class, and nothing else does.

An outline is a list of closed contours, each (n, 2) points (x, y) without unit, filled by the
even-odd rule (a ring is an outer and an inner contour).
"""
import numpy as np

CLASSES = ('disc', 'ring', 'triangle', 'square', 'star', 'crescent', 'bar', 'cross')
# For drawing results only: the colors in the pictures say nothing about the class.
PALETTE = [(230, 57, 70), (255, 159, 28), (255, 214, 10), (46, 196, 110), (46, 196, 230),
           (67, 97, 238), (181, 23, 158), (247, 130, 190)]


def _arc(start, stop, radius=1.0, center=(0.0, 0.0), points=48):
    angle = np.linspace(start, stop, points, endpoint=False)
    return np.stack([center[0] + radius * np.cos(angle),
                     center[1] + radius * np.sin(angle)], 1)


def _disc(rng):
    return [_arc(0, 2 * np.pi)]


def _ring(rng):
    return [_arc(0, 2 * np.pi), _arc(0, 2 * np.pi, radius=rng.uniform(0.5, 0.7))]


def _triangle(rng):
    return [_arc(0, 2 * np.pi, points=3)]


def _square(rng):
    return [_arc(0, 2 * np.pi, points=4)]


def _star(rng):
    tips = int(rng.integers(5, 7))
    star = _arc(0, 2 * np.pi, points=2 * tips)
    star[1::2] *= rng.uniform(0.4, 0.5)
    return [star]


def _crescent(rng):
    """A disc less a smaller disc that sticks out of it on one side."""
    radius, shift = rng.uniform(0.8, 0.95), rng.uniform(0.45, 0.6)
    x = (1 - radius**2 + shift**2) / (2 * shift)  # where the two circles cross
    y = np.sqrt(1 - x**2)
    outer, inner = np.arctan2(y, x), np.arctan2(y, x - shift)
    return [np.concatenate([
        _arc(outer, 2 * np.pi - outer),
        _arc(2 * np.pi - inner, inner, radius=radius, center=(shift, 0.0))])]


def _bar(rng):
    half = 1 / rng.uniform(3, 5)
    return [np.array([[-1, -half], [1, -half], [1, half], [-1, half]])]


def _cross(rng):
    half = rng.uniform(0.26, 0.38)
    arm = np.array([[1, -half], [1, half], [half, half]])
    quarter = np.array([[0, -1], [1, 0]])
    turned = [arm]
    for _ in range(3):
        turned.append(turned[-1] @ quarter)
    # The quarter turns run against the points of an arm: put them in walking order.
    return [np.concatenate([turned[i] for i in (0, 3, 2, 1)])]


_OUTLINES = dict(disc=_disc, ring=_ring, triangle=_triangle, square=_square, star=_star,
                 crescent=_crescent, bar=_bar, cross=_cross)


def random_outline(name: str, extent: float, rng: np.random.Generator) -> list[np.ndarray]:
    """An outline of class ``name``, squeezed a little, turned by any angle.

    Args:
        name: One of ``CLASSES``.
        extent: The longer side of its upright bounding box, in pixels.
        rng: Where the form, the squeeze and the angle come from.

    Returns:
        list[numpy.ndarray]: contours (n, 2) in pixels whose bounding box starts at (0, 0).
    """
    contours = _OUTLINES[name](rng)
    first, second = rng.uniform(0, 2 * np.pi, 2)
    # Squeezed along a random direction: seen a little from the side.
    warp = _rotation(first) @ np.diag([1.0, rng.uniform(0.8, 1.0)]) @ _rotation(second)
    contours = [points @ warp for points in contours]
    points = np.concatenate(contours)
    low, span = points.min(0), np.ptp(points, axis=0).max()
    return [(points - low) * (extent / span) for points in contours]


def _rotation(angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])
