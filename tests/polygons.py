"""Polygons of a shape, as COCO writes them."""


def square(x, y, side, height=None):
    """A square, or a rectangle of another height."""
    bottom = y + (height or side)
    return [[x, y, x + side, y, x + side, bottom, x, bottom]]
