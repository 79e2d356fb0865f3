"""Data sets taken apart and put together: a part of the images, or all parts as one."""
import os
from collections.abc import Mapping

import numpy as np

from ..errors import UserError
from ..text import quoted
from .annotation_rules import category_name
from .coco_file import class_names
from .formats import CocoData
from .repairs import Repairs


def subset(data: dict, chosen: np.ndarray) -> dict:
    """COCO annotations of some of the images, with all categories.

    Args:
        data: COCO annotations, not changed.
        chosen: (N,) bool, for each entry of ``images``.
    """
    images = [image for image, there in zip(data['images'], chosen.tolist(), strict=True) if there]
    ids = {image['id'] for image in images}
    return dict(data, images=images, annotations=[
        annotation for annotation in data.get('annotations', ())
        if annotation.get('image_id') in ids])


def mended(part: CocoData) -> tuple[dict, list[str]]:
    """Annotations of a part with what can be put right without guessing, and what that was.

    Args:
        part: As :func:`~.formats.open_data` gives it.

    Raises:
        UserError: Something that training would misread.
    """
    repairs = Repairs(part.data, part.source)
    repairs.make(part.folder or None)
    class_names(repairs.data, part.source)
    return repairs.data, repairs.notes


def in_one(parts: Mapping[str, tuple[dict, str]]) -> tuple[dict, str, np.ndarray]:
    """Several parts as one: classes are matched by their names, ids numbered anew.

    Args:
        parts: Mended annotations and the folder of their images, by the name of the part.

    Returns:
        tuple[dict, str, ndarray]: annotations, the folder that their file names are relative to,
            and the number of the part of each image (N,) int64.

    Raises:
        UserError: The images have no folder in common.
    """
    if len(parts) == 1:
        (data, folder), = parts.values()
        return data, folder, np.zeros(len(data['images']), np.int64)
    folders = [os.path.abspath(folder) for _, folder in parts.values()]
    try:
        common = os.path.commonpath(folders)
    except ValueError as error:
        raise UserError(f'the images are on several drives ({quoted(folders[0])}, '
                        f'{quoted(folders[-1])}): bring them together') from error
    numbers: dict = {}
    images, annotations, origin = [], [], []
    for number, (data, folder) in enumerate(parts.values()):
        labels = {category['id']: numbers.setdefault(category_name(category), len(numbers) + 1)
                  for category in data['categories']}
        prefix = os.path.relpath(os.path.abspath(folder), common)
        ids = {}
        for image in data['images']:
            ids[image['id']] = len(images) + 1
            name = os.path.normpath(os.path.join(prefix, image['file_name']))
            images.append(dict(image, id=len(images) + 1, file_name=name.replace(os.sep, '/')))
            origin.append(number)
        annotations += [
            dict(annotation, id=len(annotations) + index,
                 image_id=ids.get(annotation.get('image_id')),
                 category_id=labels.get(annotation.get('category_id')))
            for index, annotation in enumerate(data.get('annotations', ()), 1)]
    return (dict(images=images, annotations=annotations,
                 categories=[dict(id=number, name=name) for name, number in numbers.items()]),
            common, np.array(origin, np.int64))
