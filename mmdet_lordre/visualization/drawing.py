"""Drawing masks, labels and heat maps on an image, by OpenCV and Pillow."""
import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw, ImageFont

#: Pictures are enlarged until their shorter side has this many pixels, for the text.
SHORT_SIDE = 360


def mask_array(masks: object) -> np.ndarray:
    """(N, H, W) bool array of masks in any of the forms that results have.

    Args:
        masks: tensor, array, ``RLEMasks``, or mmdet's ``BitmapMasks``/``PolygonMasks``.
    """
    if isinstance(masks, torch.Tensor):
        return masks.detach().cpu().numpy().astype(bool)
    if hasattr(masks, 'to_ndarray'):
        return masks.to_ndarray().astype(bool)
    return np.asarray(masks).astype(bool)


def enlarge(image: np.ndarray, short_side: int = SHORT_SIDE) -> tuple[np.ndarray, int]:
    """The image as uint8, enlarged by a whole factor if it is small.

    Returns:
        tuple[ndarray, int]: image (H, W, 3) and factor.
    """
    factor = max(1, -(-short_side // max(1, min(image.shape[:2]))))
    factor = min(factor, 6)
    image = np.ascontiguousarray(image.astype(np.uint8))
    if factor > 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return image, factor


def instance_colors(labels: Sequence[int], palette: Sequence[tuple]) -> list[tuple]:
    """One colour an instance: the hue of its class, shifted a little from one to the next."""
    colors, seen = [], {}
    for label in labels:
        k = seen[label] = seen.get(label, -1) + 1
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in palette[label % len(palette)]))
        h = (h + (0.022 * ((k + 1) // 2)) * (-1) ** k) % 1
        v = max(0.55, v - 0.12 * (k % 3))
        colors.append(tuple(int(255 * c) for c in colorsys.hsv_to_rgb(h, max(s, 0.5), v)))
    return colors


def draw_masks(image: np.ndarray, masks: np.ndarray, colors: Sequence[tuple],
               alpha: float = 0.45) -> np.ndarray:
    """Translucent masks with an outline; small ones on top of large ones.

    Args:
        image (ndarray): (H, W, 3) uint8, RGB.
        masks (ndarray): (N, h, w) bool; enlarged to the image where it is larger.
        colors (Sequence[tuple]): N colours (R, G, B).

    Returns:
        ndarray: a new image.
    """
    image = image.copy()
    height, width = image.shape[:2]
    line = max(1, round(min(height, width) / 320))
    for i in np.argsort([-mask.sum() for mask in masks], kind='stable'):
        mask = masks[i].astype(np.uint8)
        if not mask.any():
            continue
        if mask.shape != (height, width):
            mask = cv2.resize(mask * 255, (width, height), interpolation=cv2.INTER_LINEAR)
            mask = (mask > 127).astype(np.uint8)
        inside = mask.astype(bool)
        color = np.array(colors[i], dtype=float)
        image[inside] = (image[inside] * (1 - alpha) + color * alpha).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        edge = tuple(int(min(255, c * 0.6 + 100)) for c in colors[i])
        cv2.drawContours(image, contours, -1, edge, line, cv2.LINE_AA)
    return image


def draw_labels(image: np.ndarray, texts: Sequence[str], positions: Sequence[tuple],
                colors: Sequence[tuple]) -> np.ndarray:
    """Small labels, each kept inside the image and off the ones before it.

    Args:
        image (ndarray): (H, W, 3) uint8, RGB.
        texts (Sequence[str]): one line each.
        positions (Sequence[tuple]): (x, y) in pixels of the image, top left of the label.
        colors (Sequence[tuple]): of the background.

    Returns:
        ndarray: a new image.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    size = int(np.clip(min(image.shape[:2]) / 32, 11, 28))
    font = ImageFont.load_default(size)
    taken = []
    for text, (x, y), color in zip(texts, positions, colors, strict=True):
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        w, h = right - left + 6, bottom - top + 5
        x = int(np.clip(x, 0, max(0, image.shape[1] - w)))
        y = int(np.clip(y - h, 0, max(0, image.shape[0] - h)))
        for _ in range(6):
            if not any(x < a + c and a < x + w and y < b + d and b < y + h
                       for a, b, c, d in taken) or y + 2 * h > image.shape[0]:
                break
            y += h
        taken.append((x, y, w, h))
        light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
        draw.rounded_rectangle((x, y, x + w, y + h), radius=3, fill=color)
        draw.text((x + 3 - left, y + 2 - top), text, font=font,
                  fill=(0, 0, 0) if light else (255, 255, 255))
    return np.asarray(picture).copy()


def draw_results(image: np.ndarray, instances: InstanceData, classes: Sequence[str] | None = None,
                 palette: Sequence[tuple] | None = None) -> np.ndarray:
    """Instances on an image: masks or else boxes, class names and scores.

    Args:
        image (ndarray): (H, W, 3) uint8, RGB.
        instances (InstanceData): ``labels``, and any of ``masks``, ``bboxes``, ``scores``.
        classes (Sequence[str], optional): class names.
        palette (Sequence[tuple], optional): a colour for each class.

    Returns:
        ndarray: a new image, enlarged if the image is small.
    """
    from .palette import class_palette
    image, factor = enlarge(image)
    labels = [int(label) for label in instances.labels]
    if not labels:
        return image
    if not isinstance(palette, (list, tuple)) or not palette:
        palette = class_palette(max(labels) + 1)
    colors = instance_colors(labels, palette)
    boxes = None
    if 'bboxes' in instances:
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
        boxes = np.asarray(boxes.cpu() if isinstance(boxes, torch.Tensor) else boxes, float)
    if 'masks' in instances:
        masks = mask_array(instances.masks)
        image = draw_masks(image, masks, colors)
        corners = [_corner(mask) for mask in masks]
    else:
        corners = [tuple(box[:2]) for box in boxes]
        for box, color in zip(boxes, colors, strict=True):
            x1, y1, x2, y2 = (round(v * factor) for v in box)
            cv2.rectangle(image, (x1, y1), (x2, y2), color, 2, cv2.LINE_AA)
    shown = [i for i, corner in enumerate(corners) if corner is not None]
    texts = []
    for i in shown:
        known = classes and labels[i] < len(classes)
        text = str(classes[labels[i]]) if known else f'class {labels[i]}'
        if 'scores' in instances:
            text += f' {100 * float(instances.scores[i]):.0f}'
        texts.append(text)
    return draw_labels(image, texts, [(corners[i][0] * factor, corners[i][1] * factor)
                                      for i in shown], [colors[i] for i in shown])


def heat_map(image: np.ndarray, heat: np.ndarray, strength: float = 0.75) -> np.ndarray:
    """A map in [0, 1] as colours over the darkened image.

    Args:
        image (ndarray): (H, W, 3) uint8, RGB.
        heat (ndarray): (h, w), enlarged to the image.
    """
    heat = np.clip(np.nan_to_num(np.asarray(heat, dtype=np.float32)), 0, 1)
    heat = cv2.resize(heat, image.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = (strength * np.sqrt(heat))[..., None]
    grey = image.mean(axis=2, keepdims=True) * 0.55
    return (grey * (1 - weight) + colors * weight).astype(np.uint8)


def grid_of(pictures: Sequence[np.ndarray], columns: int = 4, gap: int = 4) -> np.ndarray:
    """Pictures of one size side by side, row by row, on white."""
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    height, width = pictures[0].shape[:2]
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y:y + height, x:x + width] = picture
    return sheet


def _corner(mask):
    """Top of a mask: (x, y) of the leftmost pixel of its highest row, None when empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    return int(np.flatnonzero(mask[rows[0]])[0]), int(rows[0])
