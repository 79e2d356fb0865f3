"""Masks as outlines in a drawing: a path of whole numbers, as short as the eye allows."""
import cv2
import numpy as np

from ..masks.runs import crop_of_rle

#: Units of the drawing for a pixel of the thumbnail.
UNITS = 4
#: Points of one mask at most.
POINTS = 400


def outline(mask: dict, x: float, y: float, scale: float, most: int = POINTS) -> str:
    """The path of a mask's outlines, holes included, for ``fill-rule: evenodd``.

    Args:
        mask: Run lengths of the whole image.
        x, y: The pixel of the image that is the drawing's corner.
        scale: Pixels of the thumbnail for a pixel of the image.
        most: Points at most, 12 or more.

    Returns:
        SVG's ``M x yL...Z`` in units of the drawing; '' for a mask without pixels.
    """
    crop = crop_of_rle(mask)
    if not crop.bitmap.size:
        return ''
    # outlines go through the middles of pixels: small masks are enlarged, so that it is their rim
    grow = max(1, min(8, 96 // max(crop.bitmap.shape)))
    enlarged = np.repeat(np.repeat(crop.bitmap, grow, 0), grow, 1)
    found, _ = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    tolerance = 0.4 * grow / scale
    while True:
        lines = [cv2.approxPolyDP(line, tolerance, True)[:, 0] for line in found]
        if sum(map(len, lines)) <= most:
            break
        if len(found) > most // 4:  # specks without end: the largest stay
            found = sorted(found, key=len, reverse=True)[:most // 4]
        tolerance *= 2
    parts = []
    for line in lines:
        points = (line + 0.5) / grow + (crop.x - x, crop.y - y)
        points = np.round(points * scale * UNITS).astype(int).tolist()
        if len(points) < 3:  # a line or a point: a small square can be seen
            px, py = points[0]
            points = [[px - 3, py - 3], [px + 3, py - 3], [px + 3, py + 3], [px - 3, py + 3]]
        parts.append('M' + 'L'.join(f'{px} {py}' for px, py in points) + 'Z')
    return ''.join(parts)
