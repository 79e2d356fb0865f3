"""Masks cut out around themselves: what statistics of their shape are computed from."""
import cv2
import numpy as np

from ..masks.runs import Crop


def window(crop: Crop, x: int, y: int, width: int, height: int,
           of: np.ndarray | None = None) -> np.ndarray:
    """A part of the image's pixels, uint8 (height, width), 0 outside of a mask's bounds.

    Args:
        crop: The mask.
        x, y, width, height: The part.
        of: What is cut out instead of the mask, of the same shape.
    """
    source = crop.bitmap if of is None else of
    result = np.zeros((height, width), np.uint8)
    left, top = max(x, crop.x), max(y, crop.y)
    right = min(x + width, crop.x + source.shape[1])
    bottom = min(y + height, crop.y + source.shape[0])
    if right > left and bottom > top:
        result[top - y:bottom - y, left - x:right - x] = source[
            top - crop.y:bottom - crop.y, left - crop.x:right - crop.x]
    return result


def frame(a: Crop, b: Crop) -> tuple[int, int, int, int]:
    """x, y, width, height of the smallest part of the image with both masks."""
    x, y = min(a.x, b.x), min(a.y, b.y)
    right = max(a.x + a.bitmap.shape[1], b.x + b.bitmap.shape[1])
    bottom = max(a.y + a.bitmap.shape[0], b.y + b.bitmap.shape[0])
    return x, y, right - x, bottom - y


def boundary(crop: Crop, distance: int) -> np.ndarray:
    """The pixels of a mask (h, w) within ``distance`` of what is not it, or of the image's end.

    Args:
        crop: The mask.
        distance: Pixels, 1 or more, counted as squares grow.
    """
    height, width = crop.bitmap.shape
    if min(height, width) <= 2 * distance:
        return crop.bitmap
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inner = cv2.erode(crop.bitmap, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return crop.bitmap - inner


def boundary_distance(width: int, height: int) -> int:
    """Pixels that the boundary is wide in an image: 2 % of its diagonal, 1 at least."""
    return max(1, round(0.02 * float(np.hypot(height, width))))
