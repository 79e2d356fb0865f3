"""A model that finds areas of one color: what its surroundings do can be measured without learning.

It sees a picture at the size that a network would, so small objects vanish from one large
picture, and only a tile's part of an object is found in a tile.
"""
import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.masks.runs import rle_of_crop


class ColorModel(nn.Module):
    """The largest connected area of every color is an object, black is background.

    Args:
        side: Pixels of the longer side of its input; larger pictures are reduced.
        smallest: Pixels that an object must have there to be found.
    """

    def __init__(self, side: int = 1024, smallest: int = 9):
        super().__init__()
        self.side, self.smallest = side, smallest
        self.mask_head = nn.Identity()
        self.dataset_meta = dict(classes=('object', ), palette=[(60, 140, 240)])
        self.cfg = Config(dict(default_scope='mmdet', test_dataloader=dict(dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape'))]))))

    def test_step(self, data):
        """Data samples of a batch."""
        return [self._sample(image.permute(1, 2, 0).numpy()) for image in data['inputs']]

    def found(self, image):
        """(y, x, bitmap, score) of each object, bitmaps at the size of the picture."""
        height, width = image.shape[:2]
        scale = min(1.0, self.side / max(height, width))
        small = np.ascontiguousarray(image) if scale == 1 else cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_NEAREST)
        values = small.astype(np.int32) @ np.array([1, 256, 65536], np.int32)
        colors, inverse = np.unique(values, return_inverse=True)
        inverse = inverse.reshape(values.shape).astype(np.int32)
        order = np.argsort(inverse, axis=None, kind='stable')
        ends = np.cumsum(np.bincount(inverse.ravel(), minlength=len(colors)))
        for number, color in enumerate(colors.tolist()):
            start = ends[number - 1] if number else 0
            low, high = color % 256, color // 256 % 256
            if color != low + 256 * high + 65536 * color_of(low + 256 * high)[2] \
                    or ends[number] - start < self.smallest:
                continue  # background, a mixture of colors at an edge, or too small
            rows, columns = np.divmod(order[start:ends[number]], values.shape[1])
            y1, y2, x1, x2 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
            bitmap = np.zeros((y2 - y1, x2 - x1), np.uint8)
            bitmap[rows - y1, columns - x1] = 1
            # mixtures that happen to be a color are single pixels along an edge
            count, parts, stats, _ = cv2.connectedComponentsWithStats(bitmap)
            if count > 2:
                bitmap = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
                if np.count_nonzero(bitmap) < self.smallest:
                    continue
            if scale < 1:
                top, left = round(y1 / scale), round(x1 / scale)
                size = (min(width, round(x2 / scale)) - left, min(height, round(y2 / scale)) - top)
                bitmap = cv2.resize(bitmap, size, interpolation=cv2.INTER_NEAREST)
                y1, x1 = top, left
            yield int(y1), int(x1), bitmap, 0.5 + (color % 65536 % 4093) / 8186

    def _sample(self, image):
        size = image.shape[:2]
        found = list(self.found(image))
        masks = RLEMasks([rle_of_crop(bitmap, y, x, size) for y, x, bitmap, _ in found], size)
        return DetDataSample(pred_instances=InstanceData(
            masks=masks, labels=torch.zeros(len(found), dtype=torch.long),
            scores=torch.tensor([score for *_, score in found]).float()))


def color_of(number: int) -> tuple[int, int, int]:
    """Color of an object: the third value is a check, by which mixtures are told from colors."""
    low, high = number % 256, number // 256 % 256
    return low, high, 1 + (7 * low + 13 * high + 5) % 251


def colored_scene(height, width, count, sides, seed=0, stretch=3.0):
    """A picture of ellipses that do not overlap, each of a color of its own.

    Args:
        height, width: Of the picture.
        count: Ellipses to try for.
        sides: (least, most) of their longer axis, drawn evenly in its logarithm.
        stretch: Longer axis in shares of the shorter one, at most.

    Returns:
        The picture (height, width, 3) and (y, x, bitmap) of each ellipse.
    """
    rng = np.random.default_rng(seed)
    image, objects = np.zeros((height, width, 3), np.uint8), []
    while len(objects) < count:
        side = float(np.exp(rng.uniform(*np.log(sides))))
        axes = max(1, round(side / 2)), max(1, round(side / 2 / rng.uniform(1, stretch)))
        reach = axes[0] + 2
        # some go over the border of the picture
        cy, cx = int(rng.integers(height)), int(rng.integers(width))
        y1, x1, y2, x2 = (max(0, cy - reach), max(0, cx - reach), min(height, cy + reach),
                          min(width, cx + reach))
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        cv2.ellipse(mask, (cx - x1, cy - y1), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        window = image[y1:y2, x1:x2]
        if not mask.any() or window[cv2.dilate(mask, np.ones((3, 3))) > 0].any():
            continue
        number = len(objects) + 1
        window[mask > 0] = color_of(number)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        objects.append((y1 + rows[0], x1 + columns[0],
                        mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]))
    return image, objects
