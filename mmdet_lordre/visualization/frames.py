"""Objects on the frames of a film: the same size and the same color from frame to frame."""
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .drawing import enlarge, line_width, paint
from .labels import Label, draw_labels, font_size, place_labels
from .palette import color_number

#: Color of lines and zones.
_MARK = (255, 214, 10)


class Mark(NamedTuple):
    """A line or a zone with what was counted at it.

    Attributes:
        points: Corners (x, y), in pixels of the frame.
        closed: Whether it is a zone.
        text: Written beside it.
    """
    points: Sequence[tuple[float, float]]
    closed: bool
    text: str


def draw_frame(image: np.ndarray, crops: Sequence[tuple[int, int, np.ndarray]],
               names: Sequence[str], texts: Sequence[str], colors: Sequence[tuple],
               marks: Sequence[Mark] = ()) -> np.ndarray:
    """Masks with labels, and marks, on a frame.

    Args:
        image: (H, W, 3) uint8, RGB.
        crops: (y, x, bitmap) of each object, the most important first.
        names: Class of each, left out where there is no room.
        texts: What stands behind the name: the identity, or the score.
        colors: (R, G, B) of each.
        marks: What is counted.

    Returns:
        A new image; frames of one size stay so. Small ones are enlarged.
    """
    size = image.shape[:2]
    image, factor = enlarge(image)
    paint(image, crops, size, colors)
    corners = [_draw_mark(image, mark, factor) for mark in marks]
    place_labels(image, [
        Label(name, text, color, y * factor, x * factor, bitmap)
        for name, text, color, (y, x, bitmap) in zip(names, texts, colors, crops, strict=True)
        if bitmap.size], factor)
    return draw_labels(image, [mark.text for mark in marks], corners,
                       [_MARK] * len(marks)) if marks else image


def track_color(number: int) -> tuple[int, int, int]:
    """(R, G, B) of an identity: neighbors differ, and the same number has the same color."""
    return color_number(number)


def _draw_mark(image, mark, factor):
    """Returns where its text belongs."""
    points = np.round(np.array(mark.points, float) * factor).astype(np.int32)
    width = 2 * line_width(image.shape[:2])
    cv2.polylines(image, [points], mark.closed, (0, 0, 0), 2 * width, cv2.LINE_AA)
    cv2.polylines(image, [points], mark.closed, _MARK, width, cv2.LINE_AA)
    if not mark.closed:
        # an arrow in the direction that counts as in
        (x1, y1), (x2, y2) = points.astype(float)
        across = np.array([y1 - y2, x2 - x1]) / max(1.0, np.hypot(x2 - x1, y2 - y1))
        middle = np.array([x1 + x2, y1 + y2]) / 2
        start, end = (tuple(int(v) for v in np.round(middle + step * across))
                      for step in (0, 4 * font_size(image.shape) / 3))
        cv2.arrowedLine(image, start, end, _MARK, width, cv2.LINE_AA, tipLength=0.4)
    return tuple(int(v) for v in points[points[:, 1].argmin()])
