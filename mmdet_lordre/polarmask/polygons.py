"""From contour points to masks, without a bitmap of the whole image."""
import cv2
import numpy as np
import torch
from pycocotools import mask as mask_api
from torch import Tensor

from ..masks import RLEMasks

FILLS = ('opencv', 'rounded', 'coco')
# Coordinates beyond it would overflow OpenCV's fixed-point arithmetic.
_LIMIT = 2**15


def contours_to_rle(contours: Tensor | np.ndarray, size: tuple[int, int],
                    fill: str = 'opencv', half_pixel: tuple[float, float] = (0.5, 0.5)
                    ) -> RLEMasks:
    """Run lengths of filled contours.

    Args:
        contours: Float (N, n, 2), x, y in pixels of the image. A tensor on another device is
            copied to the CPU: run lengths are bytes there.
        size: (height, width) of the image.
        fill: ``'opencv'``: the points are truncated to integers and filled with the border
            included, exactly what ``cv2.drawContours`` fills, which published models are
            evaluated with; each contour is drawn in a buffer of its own bounds. ``'rounded'``:
            the same with the pixel in which the point lies, not up to one further to the left
            and the top; better, above all for small instances. ``'coco'``: the polygon through
            the centres of the pixels, as pycocotools draws it.
        half_pixel: Where in x and y the centre of a pixel of the network's input lies, in pixels
            of the image: half the inverse of the scale factor. Not used for ``'opencv'``.

    Raises:
        ValueError: If ``fill`` is neither.
    """
    contours = _to_numpy(contours, fill, half_pixel)
    if not len(contours):
        return RLEMasks(size=size)
    if fill == 'coco':
        polygons = contours.astype(np.float64).reshape(len(contours), -1)
        return RLEMasks(mask_api.frPyObjects(list(polygons), *size), size)
    return RLEMasks(_filled_runs(contours, size), size)


def _to_numpy(contours, fill, half_pixel):
    """The corners to fill: integers, or floats for ``'coco'``."""
    if fill not in FILLS:
        raise ValueError(f'fill must be one of {FILLS}, not {fill!r}')
    if isinstance(contours, Tensor):
        contours = contours.detach().float().cpu().numpy()
    if fill != 'opencv':
        contours = contours + np.asarray(half_pixel, contours.dtype)
    return contours if fill == 'coco' else np.clip(contours, -_LIMIT, _LIMIT).astype(np.int32)


def _filled_runs(contours: np.ndarray, size: tuple[int, int]) -> list[dict]:
    height, width = size
    low = contours.min(axis=1).clip(0)
    high = (contours.max(axis=1) + 1).clip(max=(width, height))
    spans = (high - low).clip(0)
    # one more row keeps the columns of a buffer apart
    buffer = np.zeros(int((spans[:, 0] * (spans[:, 1] + 1)).max()), np.uint8)
    encoded = []
    for contour, (x, y), (columns, rows) in zip(contours, low.tolist(), spans.tolist()):
        if not columns or not rows:
            counts = [height * width]
        else:
            counts = _column_runs(contour - (x, y), rows, columns, buffer)
            counts = _place(counts, rows, x, y, height, width)
        encoded.append({'size': [height, width], 'counts': counts})
    return mask_api.frPyObjects(encoded, height, width)


def _column_runs(contour, rows, columns, buffer):
    """Where the mask begins and ends, counted down the columns of a buffer of rows + 1."""
    crop = buffer[:(rows + 1) * columns].reshape(rows + 1, columns)
    crop.fill(0)
    cv2.drawContours(crop[:rows], [contour], 0, 1, cv2.FILLED)
    flat = crop.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    # a mask that begins in the corner has no change there
    return np.concatenate(([0], changes)) if flat[0] else changes


def _place(changes, rows, x, y, height, width):
    """Run lengths of the whole image from the changes in a buffer at column x and row y."""
    column, row = np.divmod(changes, rows + 1)
    changes = (column + x) * height + row + y
    if rows == height:
        # a run to the bottom of a column goes on at the top of the next
        same = np.flatnonzero(changes[1:] == changes[:-1])
        changes = np.delete(changes, np.concatenate((same, same + 1)))
    return np.diff(changes, prepend=0, append=height * width).tolist()


def contours_to_bitmaps(contours: Tensor, size: tuple[int, int], fill: str = 'opencv',
                        half_pixel: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """Filled contours as BoolTensor (N, height, width) on the device of ``contours``.

    The arguments are those of :func:`contours_to_rle`, and the masks are the same. The contours
    travel to the CPU, which fills them, and the bitmaps come back.
    """
    if fill == 'coco':
        bitmaps = contours_to_rle(contours, size, fill, half_pixel).to_ndarray()
    else:
        points = _to_numpy(contours, fill, half_pixel)
        bitmaps = np.zeros((len(points), *size), np.uint8)
        for bitmap, contour in zip(bitmaps, points):
            cv2.drawContours(bitmap, [contour], 0, 1, cv2.FILLED)
    return torch.from_numpy(bitmaps).to(contours.device, torch.bool)
