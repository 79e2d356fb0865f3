"""From contour points to masks, without a bitmap of the whole image."""
import cv2
import numpy as np
import torch
from pycocotools import mask as mask_api
from torch import Tensor

from ..masks import RLEMasks, upload

FILLS = ('opencv', 'rounded', 'coco')
# Coordinates of a drawing beyond it would overflow OpenCV's fixed-point arithmetic.
_LIMIT = 2**15
_NOTHING = np.zeros(0, np.int64)


def contours_to_rle(contours: Tensor | np.ndarray, size: tuple[int, int],
                    fill: str = 'opencv', half_pixel: tuple[float, float] = (0.5, 0.5),
                    holes: Tensor | np.ndarray | None = None) -> RLEMasks:
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
            the centers of the pixels, as pycocotools draws it.
        half_pixel: Where in x and y the center of a pixel of the network's input lies, in pixels
            of the image: half the inverse of the scale factor. Not used for ``'opencv'``.
        holes: Float (N, m, 2), inner contours, whose inside does not belong to the mask; the
            pixels that OpenCV draws them through do. One of a single point cuts nothing out.

    Raises:
        ValueError: If ``fill`` is neither.
    """
    contours = _to_numpy(contours, size, fill, half_pixel)
    if not len(contours):
        return RLEMasks(size=size)
    holes = _holes_by_number(holes, size, fill, half_pixel)
    if fill == 'coco':
        masks = mask_api.frPyObjects(_flat(contours), *size)
        for number, hole in holes.items():
            hole, = mask_api.frPyObjects(_flat(hole[None]), *size)
            kept = mask_api.decode(masks[number]) > mask_api.decode(hole)
            masks[number] = mask_api.encode(np.asfortranarray(kept, np.uint8))
        return RLEMasks(masks, size)
    return RLEMasks(_filled_runs(contours, size, holes), size)


def _flat(polygons):
    return list(polygons.astype(np.float64).reshape(len(polygons), -1))


def _holes_by_number(holes, size, fill, half_pixel) -> dict[int, np.ndarray]:
    """Corners of the inner contours that enclose anything."""
    if holes is None:
        return {}
    holes = _to_numpy(holes, size, fill, half_pixel)
    return {int(number): holes[number]
            for number in np.flatnonzero((holes != holes[:, :1]).any(axis=(1, 2)))}


def _cut_out(drawing: np.ndarray, hole: np.ndarray) -> None:
    """Clear what lies inside a contour, up to the pixels through which it is drawn."""
    inside = np.zeros_like(drawing)
    cv2.drawContours(inside, [hole], 0, 1, cv2.FILLED)
    cv2.drawContours(inside, [hole], 0, 0, 1)
    drawing[inside > 0] = 0


def _to_numpy(contours, size, fill, half_pixel):
    """The corners to fill: integers, or floats for ``'coco'``."""
    if fill not in FILLS:
        raise ValueError(f'fill must be one of {FILLS}, not {fill!r}')
    if isinstance(contours, Tensor):
        contours = contours.detach().float().cpu().numpy()
    if fill != 'opencv':
        contours = contours + np.asarray(half_pixel, contours.dtype)
    return contours if fill == 'coco' else np.clip(
        contours, -_LIMIT, max(_LIMIT, *size)).astype(np.int32)


def _filled_runs(contours: np.ndarray, size: tuple[int, int], holes: dict) -> list[dict]:
    height, width = size
    low = contours.min(axis=1).clip(0).astype(np.int64)  # counts of pixels need more than 32 bits
    spans = ((contours.max(axis=1) + 1).clip(max=(width, height)) - low).clip(0)
    contours = _in_drawing(contours, low[:, None])
    holes = {number: _in_drawing(hole, low[number]) for number, hole in holes.items()}
    # an empty row above and below each drawing makes its first and last row changes, too
    buffer = np.zeros(int((spans[:, 0] * (spans[:, 1] + 2)).max()), np.uint8)
    found = [_changes(*drawing, buffer, holes.get(number))
             for number, drawing in enumerate(zip(contours, *spans.T.tolist()))]
    owner = np.repeat(np.arange(len(found)), [len(changes) for changes in found])
    found = np.concatenate(found)
    columns = spans[owner, 0]
    row = found // columns
    # positions down the columns of the image, of one mask after another
    first = np.arange(len(contours)) * (height * width + 1)
    corner = low[:, 0] * height + low[:, 1] + first
    place = (found - row * columns) * height + row + corner[owner]
    place.sort()
    # a run to the bottom of the image goes on at the top of the next column
    same = np.flatnonzero(place[1:] == place[:-1])
    if len(same):
        place = np.delete(place, np.concatenate((same, same + 1)))
    # the runs lie between the corner of the image, the changes, and its end
    bounds = np.searchsorted(place, np.append(first, first[-1] + height * width + 1))
    bounds += 2 * np.arange(len(bounds))
    edges = np.empty(bounds[-1], np.int64)
    inner = np.ones(len(edges), bool)
    inner[bounds[:-1]] = inner[bounds[1:] - 1] = False
    edges[inner] = place
    edges[bounds[:-1]], edges[bounds[1:] - 1] = first, first + height * width
    runs = np.diff(edges)
    encoded = []
    for begin, end in zip(bounds[:-1].tolist(), (bounds[1:] - 1).tolist()):
        end -= runs[end - 1] == 0  # pycocotools ends with the last pixel inside
        encoded.append({'size': [height, width], 'counts': runs[begin:end]})
    return mask_api.frPyObjects(encoded, height, width)


def _in_drawing(corners, low):
    return np.clip(corners - low, -_LIMIT, _LIMIT).astype(np.int32)


def _changes(contour, columns, rows, buffer, hole):
    """Where a filled contour begins and ends in its columns, as row * columns + column."""
    if not columns or not rows:
        return _NOTHING
    drawing = buffer[:(rows + 2) * columns].reshape(rows + 2, columns)
    drawing.fill(0)
    cv2.drawContours(drawing[1:-1], [contour], 0, 1, cv2.FILLED)
    if hole is not None:
        _cut_out(drawing[1:-1], hole)
    return np.flatnonzero(drawing[1:] != drawing[:-1])


def contours_to_bitmaps(contours: Tensor, size: tuple[int, int], fill: str = 'opencv',
                        half_pixel: tuple[float, float] = (0.5, 0.5),
                        holes: Tensor | np.ndarray | None = None) -> Tensor:
    """Filled contours as BoolTensor (N, height, width) on the device of ``contours``.

    The arguments are those of :func:`contours_to_rle`, and the masks are the same. The contours
    travel to the CPU, which fills them, and the bitmaps come back.
    """
    if fill == 'coco' or max(size) > _LIMIT:
        bitmaps = contours_to_rle(contours, size, fill, half_pixel, holes).to_ndarray()
    else:
        points = _to_numpy(contours, size, fill, half_pixel)
        bitmaps = np.zeros((len(points), *size), np.uint8)
        for bitmap, contour in zip(bitmaps, points):
            cv2.drawContours(bitmap, [contour], 0, 1, cv2.FILLED)
        for number, hole in _holes_by_number(holes, size, fill, half_pixel).items():
            _cut_out(bitmaps[number], hole)
    return upload(torch.from_numpy(bitmaps).view(torch.bool), contours.device)
