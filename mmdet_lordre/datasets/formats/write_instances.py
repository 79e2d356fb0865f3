"""Writes instance masks: an image of numbers for each image and class."""
import os
import posixpath
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ...errors import UserError
from ...masks import mask_areas
from ...masks.runs import crop_of_rle
from ...text import quoted
from .coco_data import CocoData
from .output import Images, objects_with_masks, safe_name


def write(parts: dict[str, CocoData], folder: str, copy: bool, lost: Counter) -> None:
    """Write ``images/PART/NAME`` and ``masks/PART/CLASS/NAME.png``, with 8 or 16 bits.

    Of objects of one class that overlap, the smaller one is in front.

    Args:
        parts: Annotations.
        folder: An empty one.
        copy: Whether images are copied.
        lost: Counts what cannot be said.

    Raises:
        UserError: An image that cannot be copied, or with more objects than a mask has numbers.
    """
    folders = class_folders(list(dict.fromkeys(
        category['name'] for data in parts.values() for category in data.data['categories'])))
    _say_renamed(folders)
    for part, data in parts.items():
        names = {category['id']: folders[category['name']] for category in data.data['categories']}
        target = os.path.join(folder, 'images', part) if copy else None
        for name, image, annotations in Images(data, target, name=part):
            by_class: dict[int, list[dict]] = {}
            for annotation, encoded in objects_with_masks(annotations, image, lost):
                by_class.setdefault(annotation['category_id'], []).append(encoded)
            *below, base = posixpath.splitext(name)[0].split('/')
            for category, masks in by_class.items():
                path = os.path.join(folder, 'masks', part, *below, names[category], f'{base}.png')
                numbers = _numbers(masks, image, lost)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                Image.fromarray(numbers).save(path)


def class_folders(names: Sequence[str]) -> dict[str, str]:
    """A folder for each class, by its name; no two are alike, also where case does not count.

    Args:
        names: Of the classes, each once.
    """
    # a name that can stay as it is must not fall to another class that has to be renamed
    free = sorted(names, key=lambda name: safe_name(name) != name)
    found, taken = {}, set()
    for name in free:
        folder = plain = safe_name(name)
        number = 1
        while folder.casefold() in taken:
            number += 1
            folder = f'{plain}-{number}'
        taken.add(folder.casefold())
        found[name] = folder
    return {name: found[name] for name in names}


def _say_renamed(folders):
    renamed = [f'{quoted(name, 40)} is written as {quoted(folder, 40)}'
               for name, folder in folders.items() if name != folder]
    if renamed:
        print(f'class folders: {", ".join(renamed)}')


def _numbers(masks, image, lost):
    """(H, W) with a number for each object."""
    if len(masks) >= 2**16:
        raise UserError(f'{image["file_name"]} has {len(masks)} objects of a class; a mask of 16 '
                        'bits has 65535 numbers')
    numbers = np.zeros((image['height'], image['width']),
                       np.uint8 if len(masks) < 2**8 else np.uint16)
    areas = mask_areas(masks)
    for index in np.argsort(-areas, kind='stable'):
        crop = crop_of_rle(masks[index])
        height, width = crop.bitmap.shape
        numbers[crop.y:crop.y + height, crop.x:crop.x + width][crop.bitmap > 0] = index + 1
    left = np.bincount(numbers.reshape(-1), minlength=len(masks) + 1)[1:]
    hidden, gone = (left < areas) & (left > 0), left == 0
    lost['objects partly hidden by others of their class'] += int(hidden.sum())
    lost['objects wholly hidden, or without a pixel'] += int(gone.sum())
    return numbers
