"""The picture of PolarMask: the center of each instance, its rays and the contour they span."""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample

from .drawing import draw_masks, enlarge, instance_colors, mask_array
from .labels import draw_labels, percent
from .modes import picture_mode
from .palette import class_palette

# OpenCV draws between pixels with this many binary digits.
_SHIFT = 4


def _array(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


@picture_mode('rays', needs='contours', of='PolarMask')
def draw_rays(image: np.ndarray, sample: DetDataSample, classes: Sequence[str] | None,
              palette: Sequence[tuple] | None) -> np.ndarray:
    """Center, rays and contour of each instance over the image.

    ``pred_instances.contours`` is (N, rays, 2) and ``centers`` (N, 2), x, y in pixels of the
    original image; with ``holes``, like ``contours``, rays begin there.
    """
    found = sample.pred_instances
    image, factor = enlarge(image)
    labels = [int(label) for label in found.labels]
    if not labels:
        return image
    if not isinstance(palette, (list, tuple)) or not palette:
        palette = class_palette(max(labels) + 1)
    colors = instance_colors(labels, palette)
    if 'masks' in found:
        image = draw_masks(image, mask_array(found.masks), colors, alpha=0.25)
    line = max(1, round(min(image.shape[:2]) / 500))
    # the center of pixel x is at (x + 0.5) * factor in the enlarged image
    contours, centers, holes = (
        (_array(points) + 0.5) * factor - 0.5
        for points in (found.contours, found.centers,
                       found.holes if 'holes' in found else found.centers[:, None]))
    texts, corners = [], []
    for i, (contour, center) in enumerate(zip(contours, centers, strict=True)):
        ends = np.round(contour * 2**_SHIFT).astype(int)
        middle = tuple(np.round(center * 2**_SHIFT).astype(int).tolist())
        light = tuple(int(c * 0.5 + 127) for c in colors[i])
        starts = np.broadcast_to(np.round(holes[i] * 2**_SHIFT).astype(int), ends.shape)
        for start, end in zip(starts.tolist(), ends.tolist()):
            cv2.line(image, tuple(start), tuple(end), colors[i], line, cv2.LINE_AA, _SHIFT)
        for outline in (ends, starts) if (starts != starts[0]).any() else (ends,):
            cv2.polylines(image, [outline.astype(np.int32)], True, light, 2 * line, cv2.LINE_AA,
                          _SHIFT)
        for end in ends.tolist():
            cv2.circle(image, tuple(end), (line + 1) << _SHIFT, light, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, middle, (2 * line + 2) << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA,
                   _SHIFT)
        cv2.circle(image, middle, (2 * line + 1) << _SHIFT, colors[i], -1, cv2.LINE_AA, _SHIFT)
        known = classes and labels[i] < len(classes)
        text = str(classes[labels[i]]) if known else f'class {labels[i]}'
        texts.append(f'{text} {percent(found.scores[i])}' if 'scores' in found else text)
        top = contour[contour[:, 1].argmin()]
        corners.append((float(top[0]), float(top[1])))
    return draw_labels(image, texts, corners, colors)
