"""Writes LabelMe's files: one beside each image."""
import base64
import io
import json
import os
import posixpath
from collections import Counter

from PIL import Image

from ...masks.runs import crop_of_rle
from .coco_data import CocoData
from .output import Images, objects_with_masks, parts_of, write_text

#: Whose files these are like; it knows masks.
_VERSION = '5.5.0'


def write(parts: dict[str, CocoData], folder: str, copy: bool, lost: Counter) -> None:
    """Write a folder for each part, with images and their files.

    Objects of several parts have a ``group_id``; those with holes are masks.

    Args:
        parts: Annotations.
        folder: An empty one.
        copy: Whether images are copied.
        lost: Counts what cannot be said.

    Raises:
        UserError: An image that cannot be copied.
    """
    for part, data in parts.items():
        place = os.path.join(folder, part)
        names = {category['id']: category['name'] for category in data.data['categories']}
        for name, image, annotations in Images(data, place if copy else None, name=part):
            shapes = []
            objects = objects_with_masks(annotations, image, lost)
            for number, (annotation, encoded) in enumerate(objects, 1):
                shapes += _shapes(annotation, encoded, names[annotation['category_id']], number)
            text = json.dumps(dict(
                version=_VERSION, flags={}, shapes=shapes, imagePath=posixpath.basename(name),
                imageData=None, imageHeight=image['height'], imageWidth=image['width']), indent=2)
            stem = posixpath.splitext(name)[0]
            write_text(os.path.join(place, *f'{stem}.json'.split('/')), text)


def _shapes(annotation, encoded, label, number):
    found = parts_of(annotation, encoded)
    if any(holes for _, holes in found):
        return [_mask(encoded, label)]
    group = number if len(found) > 1 else None
    return [_shape(label, [list(point) for point in zip(outer[::2], outer[1::2])], 'polygon', group)
            for outer, _ in found]


def _shape(label, points, kind, group=None, mask=None):
    return dict(label=label, points=points, group_id=group, description='', shape_type=kind,
                flags={}, mask=mask)


def _mask(encoded, label):
    crop = crop_of_rle(encoded)
    height, width = crop.bitmap.shape
    file = io.BytesIO()
    Image.fromarray(crop.bitmap.astype(bool)).save(file, format='PNG')
    return _shape(label, [[crop.x, crop.y], [crop.x + width - 1, crop.y + height - 1]], 'mask',
                  mask=base64.b64encode(file.getvalue()).decode())
