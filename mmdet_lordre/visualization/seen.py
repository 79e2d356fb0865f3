"""Image files as a person wants to see them."""
from collections.abc import Sequence

import cv2
import numpy as np

#: Percentiles of the values of 16 bits that become black and white.
RANGE = (0.1, 99.9)


def decoded(path: str, flags: int) -> np.ndarray | None:
    """The pixels of a file as ``cv2.imread`` gives them, also of TIFF files that a tag turns.

    Of those that are turned by a quarter ``cv2.imread`` gives nothing, while what mmcv reads
    images with does.

    Args:
        path: Of a file.
        flags: As for ``cv2.imread``.

    Returns:
        None where nothing can be read.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    return cv2.imdecode(data, flags) if len(data) else None


def read_to_see(path: str, size: Sequence[int] | None = None) -> np.ndarray | None:
    """The pixels of a file, those of 16 bits spread over the values that it uses.

    Args:
        path: Of a file.
        size: (height, width) that is meant: where the orientation tag turns the image away from
            it, it is read as it is stored.

    Returns:
        uint8 (H, W, 3), BGR; None where nothing can be read.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = decoded(path, flags)
        if image is not None and size is not None and image.shape[:2] != tuple(size) \
                and image.shape[1::-1] == tuple(size):
            image = decoded(path, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # it claims more pixels than OpenCV reads
        return None
    if image is None or image.dtype == np.uint8:
        return image
    low, high = np.percentile(image[::4, ::4], RANGE)
    spread = (image.astype(np.float32) - low) * (255 / max(high - low, 1))
    return np.clip(np.rint(spread), 0, 255).astype(np.uint8)
