"""Masks cut out around themselves: what statistics of their shape are computed from."""
from dataclasses import dataclass

import cv2
import numpy as np

from .run_lengths import runs_of


@dataclass
class Crop:
    """A mask, as far as it reaches.

    Attributes:
        x, y: Place of the first pixel in the image.
        mask: (h, w) uint8, 0 or 1; its outermost rows and columns have pixels.
    """
    x: int
    y: int
    mask: np.ndarray

    def window(self, x: int, y: int, width: int, height: int, of: np.ndarray | None = None
               ) -> np.ndarray:
        """A part of the image's pixels (height, width), 0 outside of the crop.

        Args:
            x, y, width, height: The part.
            of: What is cut out instead of the mask, of the same shape.
        """
        source = self.mask if of is None else of
        result = np.zeros((height, width), np.uint8)
        left, top = max(x, self.x), max(y, self.y)
        right = min(x + width, self.x + source.shape[1])
        bottom = min(y + height, self.y + source.shape[0])
        if right > left and bottom > top:
            result[top - y:bottom - y, left - x:right - x] = source[
                top - self.y:bottom - self.y, left - self.x:right - self.x]
        return result


def crop_of(mask: dict) -> Crop:
    """The crop of a mask's run lengths; one without pixels has a crop of 0x0.

    pycocotools would draw the whole image; here only the columns of the mask are.

    Args:
        mask: Compressed run lengths that have been looked into.
    """
    height = int(mask['size'][0])
    ends = np.cumsum(runs_of(mask['counts']))
    first, last = ends[0::2][:len(ends) // 2], ends[1::2]  # of the runs with pixels
    kept = last > first
    first, last = first[kept], last[kept]
    if not len(first):
        return Crop(0, 0, np.zeros((0, 0), np.uint8))
    x, right = first[0] // height, (last[-1] - 1) // height + 1
    low, high = x * height, right * height
    edges = np.concatenate([[low], np.stack([first, last], 1).ravel(), [high]])
    columns = np.repeat((np.arange(len(edges) - 1) % 2).astype(np.uint8), np.diff(edges))
    columns = columns.reshape(right - x, height)
    rows = columns.any(0)
    y = int(rows.argmax())
    bottom = height - int(rows[::-1].argmax())
    return Crop(int(x), y, np.ascontiguousarray(columns[:, y:bottom].T))


def frame(a: Crop, b: Crop) -> tuple[int, int, int, int]:
    """x, y, width, height of the smallest part of the image with both masks."""
    x, y = min(a.x, b.x), min(a.y, b.y)
    right = max(a.x + a.mask.shape[1], b.x + b.mask.shape[1])
    bottom = max(a.y + a.mask.shape[0], b.y + b.mask.shape[0])
    return x, y, right - x, bottom - y


def boundary(crop: Crop, distance: int) -> np.ndarray:
    """The pixels of a mask (h, w) within ``distance`` of what is not it, or of the image's end.

    Args:
        crop: The mask.
        distance: Pixels, 1 or more, counted as squares grow.
    """
    height, width = crop.mask.shape
    if min(height, width) <= 2 * distance:
        return crop.mask
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inner = cv2.erode(crop.mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return crop.mask - inner


def boundary_distance(width: int, height: int, ratio: float = 0.02) -> int:
    """Pixels that the boundary is wide in an image: a part of its diagonal, 1 at least."""
    return max(1, round(ratio * float(np.hypot(height, width))))
