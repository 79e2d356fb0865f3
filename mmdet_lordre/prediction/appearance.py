"""What objects look like, in a few numbers."""
import cv2
import numpy as np

from .result import Result

#: Values of lightness and of both colors that are told apart, and pixels that are looked at.
_BINS, _PIXELS = (4, 8, 8), 4096


def histograms(result: Result) -> np.ndarray:
    """Colors inside each mask, in Lab.

    Returns:
        float32 (N, 256): square roots of shares, so that the product of two is 1 where they are
        the same and 0 where they have no color in common (Bhattacharyya).
    """
    rows = np.zeros((len(result), int(np.prod(_BINS))), np.float32)
    for row, (y, x, bitmap) in zip(rows, result.crops()):
        step = max(1, int((bitmap.size / _PIXELS) ** 0.5))
        inside = bitmap[::step, ::step] > 0
        pixels = result.image[y:y + bitmap.shape[0]:step, x:x + bitmap.shape[1]:step][inside]
        if not len(pixels):
            continue
        lab = cv2.cvtColor(np.ascontiguousarray(pixels[None, :, :3]), cv2.COLOR_BGR2LAB)[0]
        places = (lab.astype(np.int64) * _BINS // 256) @ (_BINS[1] * _BINS[2], _BINS[2], 1)
        row += np.sqrt(np.bincount(places, minlength=len(row)) / len(places))
    return rows
