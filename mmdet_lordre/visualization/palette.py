"""Colors that can be told apart."""
import colorsys


def class_palette(count: int) -> list[tuple[int, int, int]]:
    """One color for each of ``count`` classes, as (R, G, B) in 0..255.

    Hues step by the golden ratio, so that neighbors differ much and the first colors stay
    the same when classes are added.
    """
    return [color_number(i) for i in range(count)]


def color_number(i: int) -> tuple[int, int, int]:
    """The ``i``-th color of a palette, (R, G, B) in 0..255."""
    hue = (0.58 + i * 0.618034) % 1.0
    saturation = (0.75, 0.55, 0.9)[i // 8 % 3]
    value = (0.95, 0.8, 0.65)[i // 24 % 3]
    return tuple(round(255 * v) for v in colorsys.hsv_to_rgb(hue, saturation, value))
