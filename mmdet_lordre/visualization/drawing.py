"""Drawing masks, labels and heat maps on an image, by OpenCV and Pillow."""
import colorsys
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData

from .labels import MOST_ROWS, Label, add_legend, legend_height, percent, place_labels

#: Pictures are enlarged until their shorter side has this many pixels, for the text, and until
#: objects are of this size, by a factor of at most six.
SHORT_SIDE, OBJECT_SIDE, LARGEST_FACTOR = 360, 22, 6
#: Pictures that are not enlarged for the sake of small objects.
_LARGE = 1200


def mask_array(masks: object) -> np.ndarray:
    """(N, H, W) bool array of masks in any of the forms that results have.

    Args:
        masks: Tensor, array, ``RLEMasks``, or mmdet's ``BitmapMasks``/``PolygonMasks``.
    """
    if isinstance(masks, torch.Tensor):
        return masks.detach().cpu().numpy().astype(bool)
    if hasattr(masks, 'to_ndarray'):
        return masks.to_ndarray().astype(bool)
    return np.asarray(masks).astype(bool)


def mask_crops(masks: object) -> tuple[Iterator[tuple[int, int, np.ndarray]], tuple[int, int]]:
    """Masks inside their bounds, one by one, and the size of the image.

    Run lengths are taken as they are: no bitmap of the image is made of them.

    Args:
        masks: In any of the forms of :func:`mask_array`.

    Returns:
        (y, x, uint8 bitmap) of each, and (height, width).
    """
    if hasattr(masks, 'crops'):
        return masks.crops(), tuple(masks.size)
    masks = mask_array(masks)
    return (_crop(mask) for mask in masks), masks.shape[1:]


def _crop(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, np.zeros((0, 0), np.uint8)
    part = mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return int(rows[0]), int(columns[0]), part.astype(np.uint8)


def enlarge(image: np.ndarray, short_side: int = SHORT_SIDE,
            object_side: float | None = None) -> tuple[np.ndarray, int]:
    """A copy of the image as uint8, enlarged by a whole factor if it is small.

    Args:
        image: (H, W, 3).
        short_side: Pixels that the shorter side shall have.
        object_side: Side of its objects, which shall have :data:`OBJECT_SIDE`.

    Returns:
        tuple[ndarray, int]: image (H, W, 3) and factor.
    """
    shortest = max(1, min(image.shape[:2]))
    factor = max(1, -(-short_side // shortest))
    if object_side and shortest * factor < _LARGE:
        factor = max(factor, min(-(-OBJECT_SIDE // max(1, round(object_side))),
                                 _LARGE // shortest))
    factor = min(factor, LARGEST_FACTOR)
    # with room for a legend below: nothing large is copied for it
    height, width = (factor * side for side in image.shape[:2])
    canvas = np.empty((height + legend_height((height, width), MOST_ROWS), width, 3), np.uint8)
    if factor > 1:
        image = np.ascontiguousarray(image.astype(np.uint8, copy=False))
        cv2.resize(image, (width, height), canvas[:height], interpolation=cv2.INTER_CUBIC)
    else:
        canvas[:height] = image
    return canvas[:height], factor


def instance_colors(labels: Sequence[int], palette: Sequence[tuple]) -> list[tuple]:
    """One color an instance: the hue of its class, shifted a little from one to the next."""
    colors, seen = [], {}
    for label in labels:
        k = seen[label] = seen.get(label, -1) + 1
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in palette[label % len(palette)]))
        # never so far that it could be another class
        h = (h + 0.022 * ((k % 5 + 1) // 2) * (-1) ** (k % 5)) % 1
        v = max(0.55, v - 0.12 * (k % 3))
        colors.append(tuple(int(255 * c) for c in colorsys.hsv_to_rgb(h, max(s, 0.5), v)))
    return colors


def line_width(size: tuple[int, int], sides: Sequence[float] = ()) -> int:
    """Pixels of an outline: by the size of the picture, thinner where objects are small.

    Args:
        size: (height, width) of the picture.
        sides: Sides of the objects in its pixels.
    """
    width = min(size) / 400
    if len(sides):
        width = min(width, float(np.median(sides)) / 22)
    return max(1, round(width))


def draw_masks(image: np.ndarray, masks: object, colors: Sequence[tuple],
               alpha: float = 0.45) -> np.ndarray:
    """Translucent masks with an outline; small ones on top of large ones.

    Args:
        image: (H, W, 3) uint8, RGB.
        masks: N masks (h, w) in any of the forms of :func:`mask_array`; enlarged to the image
            where it is larger.
        colors: N colors (R, G, B).

    Returns:
        ndarray: a new image.
    """
    crops, size = mask_crops(masks)
    image = image.copy()
    paint(image, list(crops), size, colors, alpha)
    return image


def paint(image: np.ndarray, crops: Sequence[tuple[int, int, np.ndarray]], size: tuple[int, int],
          colors: Sequence[tuple], alpha: float = 0.45) -> None:
    """:func:`draw_masks` into the image itself.

    Args:
        image: (H, W, 3) uint8, RGB, contiguous.
        crops: (y, x, bitmap) of each mask.
        size: (height, width) that they are of.
        colors: Of each.
    """
    down, right = image.shape[0] / max(1, size[0]), image.shape[1] / max(1, size[1])
    areas = [np.count_nonzero(bitmap) for _, _, bitmap in crops]
    scale = (down * right) ** 0.5
    line = line_width(image.shape[:2], [scale * area ** 0.5 for area in areas if area])
    # from the area of its color to the color itself
    for i in np.argsort(np.negative(areas), kind='stable'):
        if not areas[i]:
            continue
        y, x, bitmap = crops[i]
        if (down, right) != (1, 1):
            # with a rim, so that edges are interpolated on all sides
            bitmap = cv2.copyMakeBorder(bitmap, 1, 1, 1, 1, cv2.BORDER_CONSTANT) * 255
            bitmap = cv2.resize(bitmap, (max(1, round(bitmap.shape[1] * right)),
                                         max(1, round(bitmap.shape[0] * down))),
                                interpolation=cv2.INTER_LINEAR)
            bitmap = (bitmap > 127).astype(np.uint8)
            y, x = round((y - 1) * down), round((x - 1) * right)
        _paint_one(image, bitmap, y, x, colors[i], alpha, line)


def _paint_one(image, bitmap, y, x, color, alpha, line):
    height, width = image.shape[:2]
    # the outline reaches beyond the mask
    bitmap = cv2.copyMakeBorder(bitmap, line, line, line, line, cv2.BORDER_CONSTANT)
    y, x = y - line, x - line
    top, left = max(0, -y), max(0, -x)
    bitmap = np.ascontiguousarray(bitmap[top:height - y, left:width - x])
    y, x = y + top, x + left
    window = image[y:y + bitmap.shape[0], x:x + bitmap.shape[1]]
    inside = bitmap > 0
    window[inside] = (window[inside] * (1 - alpha) + np.array(color, float) * alpha).astype(
        np.uint8)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    edge = tuple(int(min(255, c * 0.6 + 100)) for c in color)
    part = np.ascontiguousarray(window)
    cv2.drawContours(part, contours, -1, edge, line, cv2.LINE_AA)
    window[...] = part


def draw_results(image: np.ndarray, instances: InstanceData, classes: Sequence[str] | None = None,
                 palette: Sequence[tuple] | None = None,
                 legend: bool | None = None) -> np.ndarray:
    """Instances on an image: masks or else boxes, class names and scores.

    Labels cover neither other objects nor each other, nor much of their own: where there is no
    room a label shrinks to the score, or is left out, and the names stand below the picture.

    Args:
        image: (H, W, 3) uint8, RGB.
        instances: ``labels``, and any of ``masks``, ``bboxes``, ``scores``.
        classes: Class names.
        palette: A color for each class.
        legend: Names of the classes below the picture: always (in one row, so that
            pictures of one size stay so), never, or where an object has no room for its name.

    Returns:
        ndarray: a new image, enlarged if the image or its objects are small.
    """
    from .palette import class_palette
    labels = [int(label) for label in instances.labels]
    if not isinstance(palette, (list, tuple)) or not palette:
        palette = class_palette(max([0, *labels]) + 1)
    colors = instance_colors(labels, palette)
    crops, size, boxes = _shapes(image, instances, len(labels))
    sides = [max(1, min(bitmap.shape)) for _, _, bitmap in crops if bitmap.size]
    image, factor = enlarge(image, object_side=float(np.median(sides)) if sides else None)
    if 'masks' in instances:
        paint(image, crops, size, colors)
    else:
        line = line_width(image.shape[:2])
        for box, color in zip(boxes, colors, strict=True):
            x1, y1, x2, y2 = (round(v * factor) for v in box)
            cv2.rectangle(image, (x1, y1), (x2, y2), color, line, cv2.LINE_AA)
    entries = []
    for i, label in enumerate(labels):
        if not crops[i][2].size:
            continue
        name = str(classes[label]) if classes and label < len(classes) else f'class {label}'
        score = percent(instances.scores[i]) if 'scores' in instances else ''
        y, x, bitmap = crops[i]
        entries.append(Label(name, score, colors[i], y * factor, x * factor, bitmap))
    complete = place_labels(image, entries, factor)
    if legend or (legend is None and not complete):
        names = {}
        for label, entry in zip((lab for lab, c in zip(labels, crops) if c[2].size), entries):
            color, count = names.get(entry.name, (palette[label % len(palette)], 0))
            names[entry.name] = color, count + 1
        image = add_legend(image, [(name, *rest) for name, rest in names.items()],
                           *([1] if legend else []))
    return image


def _shapes(image, instances, count):
    """(y, x, bitmap) of each object, the size that they are of, and boxes (N, 4) or None."""
    if 'masks' in instances:
        crops, size = mask_crops(instances.masks)
        return list(crops), size, None
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
    boxes = np.asarray(boxes.cpu() if isinstance(boxes, torch.Tensor) else boxes, float)
    crops = []
    for x1, y1, x2, y2 in boxes.round().astype(int).tolist():
        # for labels a box is its rim
        rim = np.zeros((max(1, y2 - y1), max(1, x2 - x1)), np.uint8)
        rim[[0, -1]] = rim[:, [0, -1]] = 1
        crops.append((y1, x1, rim))
    return crops, image.shape[:2], boxes


def heat_map(image: np.ndarray, heat: np.ndarray, strength: float = 0.75) -> np.ndarray:
    """A map in [0, 1] as colors over the darkened image.

    Args:
        image: (H, W, 3) uint8, RGB.
        heat: (h, w), enlarged to the image.
    """
    heat = np.clip(np.nan_to_num(np.asarray(heat, dtype=np.float32)), 0, 1)
    heat = cv2.resize(heat, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = (strength * np.sqrt(heat))[..., None]
    gray = image.mean(axis=2, keepdims=True) * 0.55
    return (gray * (1 - weight) + colors * weight).astype(np.uint8)


def grid_of(pictures: Sequence[np.ndarray], columns: int = 4, gap: int = 4) -> np.ndarray:
    """Pictures of one size side by side, row by row, on white.

    Args:
        pictures: uint8 (H, W, 3) each.
        columns: In a row, at most.
        gap: Pixels between them.
    """
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    height, width = pictures[0].shape[:2]
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y:y + height, x:x + width] = picture
    return sheet
