"""Drawing an object with what surrounds it, or an image with its masks."""
import functools
import math
import os

import cv2
import numpy as np
from pycocotools import mask as mask_api

from ..datasets.annotation_rules import encode_segmentation, mask_problem
from ..datasets.file_names import path_inside
from ..masks.runs import crop_of_rle
from ..visualization.drawing import instance_colors, paint
from ..visualization.palette import class_palette
from ..visualization.seen import read_to_see

#: Sides of an object that its surroundings have, and pixels that are shown at least.
_AROUND, _LEAST = 1.9, 24
#: Color where there is no image, and outline of the objects around the one that is meant.
_PLAIN, _OTHERS = 96, (150, 150, 150)
#: Objects around one that are drawn.
_MOST_AROUND = 300


class Tiles:
    """Draws tiles of one part of a data set.

    Args:
        data: COCO annotations with mended ids.
        folder: Of the images; empty for masks on plain ground.
        side: Pixels of a tile of an object.
        long_side: Pixels of the longer side of an image.
        follow_links: Whether images may be links out of their folder.
    """

    def __init__(self, data: dict, folder: str, side: int = 200, long_side: int = 480,
                 follow_links: bool = False):
        self.data, self.folder = data, folder
        self.side, self.long_side, self.follow_links = side, long_side, follow_links
        self._images = {image['id']: index for index, image in enumerate(data['images'])}
        self._labels = {c['id']: index for index, c in enumerate(data['categories'])}
        self._of_image: dict[int, list[int]] = {}
        for index, annotation in enumerate(data.get('annotations', ())):
            image = self._images.get(annotation.get('image_id'))
            if image is not None:
                self._of_image.setdefault(image, []).append(index)
        self._palette = class_palette(max(1, len(self._labels)))
        self._read = functools.lru_cache(maxsize=4)(self._read_image)
        self.unread: set[int] = set()

    def image_of(self, index: int) -> int | None:
        """Number of the image of an annotation, None where it has none."""
        return self._images.get(self.data['annotations'][index].get('image_id'))

    def label_of(self, index: int) -> int | None:
        """Number of the class of an annotation, None where it has none."""
        return self._labels.get(self.data['annotations'][index].get('category_id'))

    def picture(self, index: int) -> np.ndarray | None:
        """An image with all of its masks: (h, w, 3) uint8, None where its size is not known."""
        height, width = self._size(index)
        if not height:
            return None
        factor = min(self.long_side / max(height, width), 8)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        image = self._read(index)
        picture = np.full((*size[::-1], 3), _PLAIN, np.uint8) if image is None else cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        shown = [at for at in self._of_image.get(index, ()) if self.label_of(at) is not None]
        colors = instance_colors([self.label_of(at) for at in shown], self._palette)
        crops = [self.crop(at) for at in shown]
        there = [k for k, crop in enumerate(crops) if crop is not None]
        paint(picture, [crops[k] for k in there], (height, width), [colors[k] for k in there], 0.35)
        return picture

    def object(self, index: int) -> np.ndarray | None:
        """An object, large, with what is around it: (side, side, 3) uint8, or None."""
        number = self.image_of(index)
        if number is None or not self._size(number)[0]:
            return None
        crop = self.crop(index)
        x, y, w, h = self._box(index, crop)
        # a whole number of pixels around the middle of the object
        reach = max(_LEAST, math.ceil(_AROUND * max(w, h)))
        left, top = round(x + w / 2 - reach / 2), round(y + h / 2 - reach / 2)
        tile = self._cut(self._read(number), left, top, reach)
        around = [at for at in self._of_image.get(number, ()) if at != index
                  and self._touches(at, left, top, reach)][:_MOST_AROUND]
        crops = [found for found in map(self.crop, around) if found is not None]
        moved = [(cy - top, cx - left, bitmap) for cy, cx, bitmap in crops]
        paint(tile, moved, (reach, reach), [_OTHERS] * len(moved), 0.0)
        color = self._palette[(self.label_of(index) or 0) % len(self._palette)]
        if crop is not None:
            paint(tile, [(crop[0] - top, crop[1] - left, crop[2])], (reach, reach), [color], 0.22)
        else:
            scale = self.side / reach
            corners = [(round((x - left) * scale), round((y - top) * scale)),
                       (round((x + w - left) * scale), round((y + h - top) * scale))]
            cv2.rectangle(tile, *corners, color, 2)
        return tile

    def crop(self, index: int) -> tuple[int, int, np.ndarray] | None:
        """(y, x, bitmap) of a mask inside its bounds; None where it cannot be drawn."""
        annotation = self.data['annotations'][index]
        number = self.image_of(index)
        mask = annotation.get('segmentation')
        if number is None or not mask:
            return None
        image = self.data['images'][number]
        if mask_problem(mask, image) is not None:
            return None
        if isinstance(mask, dict):
            encoded = encode_segmentation(mask, image)
            counts = encoded['counts']
            found = crop_of_rle(dict(encoded, counts=counts.encode()
                                     if isinstance(counts, str) else counts))
        else:
            found = _polygon_crop(mask, image['height'], image['width'])
        return found if found[2].any() else None

    def _size(self, index):
        image = self.data['images'][index]
        sides = image.get('height'), image.get('width')
        return sides if all(type(side) is int and side > 0 for side in sides) else (0, 0)

    def _read_image(self, index):
        """RGB of an image in the size that the annotations say, None where it cannot be read."""
        name = self.data['images'][index].get('file_name')
        path = path_inside(self.folder, name, self.follow_links) \
            if self.folder and isinstance(name, str) else None
        # a pipe would be waited for, for ever
        size = self._size(index)
        image = read_to_see(path, size) if path and os.path.isfile(path) else None
        if image is None or image.shape[:2] != size:
            self.unread.add(index)
            return None
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _cut(self, image, left, top, reach):
        """The part of an image that a tile shows: nothing larger than the image is made."""
        tile = np.full((self.side, self.side, 3), _PLAIN, np.uint8)
        if image is None:
            return tile
        y, x = max(top, 0), max(left, 0)
        cut = image[y:max(top + reach, 0), x:max(left + reach, 0)]
        scale = self.side / reach
        # the edges of the part, in pixels of the tile
        rows, columns = ([round((start - zero) * scale), round((start - zero + length) * scale)]
                         for start, zero, length in ((y, top, cut.shape[0]),
                                                     (x, left, cut.shape[1])))
        if cut.size and rows[0] < rows[1] and columns[0] < columns[1]:
            tile[slice(*rows), slice(*columns)] = cv2.resize(
                cut, (columns[1] - columns[0], rows[1] - rows[0]),
                interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        return tile

    def _box(self, index, crop):
        if crop is not None:
            y, x, bitmap = crop
            return x, y, bitmap.shape[1], bitmap.shape[0]
        box = self.data['annotations'][index].get('bbox')
        try:
            most = 4 * max(self._size(self.image_of(index)))
            x, y, w, h = (min(max(float(v), -most), most) for v in box)
            return (x, y, max(w, 1), max(h, 1)) if math.isfinite(x + y + w + h) else (0, 0, 1, 1)
        except (TypeError, ValueError, OverflowError):
            return 0, 0, 1, 1

    def _touches(self, index, left, top, reach):
        x, y, w, h = self._box(index, None)
        return x < left + reach and x + w > left and y < top + reach and y + h > top


def _polygon_crop(polygons, height, width):
    low = [min(min(p[axis::2]) for p in polygons) for axis in (0, 1)]
    high = [max(max(p[axis::2]) for p in polygons) for axis in (0, 1)]
    x, y = (min(max(math.floor(v) - 1, 0), side - 1) for v, side in zip(low, (width, height)))
    w, h = (min(max(math.ceil(v) + 1, start + 1), side) - start
            for v, start, side in zip(high, (x, y), (width, height)))
    shift = np.array([x, y])
    moved = [(np.array(p, float).reshape(-1, 2) - shift).ravel().tolist() for p in polygons]
    bitmap = mask_api.decode(mask_api.merge(mask_api.frPyObjects(moved, h, w)))
    return y, x, np.ascontiguousarray(bitmap)
