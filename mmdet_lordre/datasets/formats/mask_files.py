"""A file for each object, in a folder for each image, as in the nuclei of DSB 2018."""
import posixpath
import re
from collections.abc import Iterator

import numpy as np

from ...text import plural, printable
from .coco_data import Builder, CocoData
from .folder import IMAGES, Folder
from .instance_images import same_size
from .options import Options, part_of_folders
from .reading import read_labels
from .run_lengths import rles_of_labels

NAME = 'masks (a file an object)'
#: What `lordre predict --save masks` calls its files.
_NAMED = re.compile(r'\d{4,}_(.+)\.png')


def recognize(folder: Folder, images: Folder | None = None) -> bool:
    """Whether there are folders with an image and a folder of masks.

    Args:
        folder: Of the masks.
        images: Of the images, if not the same.
    """
    images = images or folder
    return any(masks for _, masks in _predicted(folder, images) or samples(folder, images))


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts, by folders called so.

    Args:
        folder: Of the samples.
        options: ``class_name`` says what the objects are.
        file: Not used.

    Raises:
        UserError: A mask is of another size than its image.
    """
    images = Folder(options.images) if options.images else folder
    builder = Builder(NAME, folder.path, images.path)
    masked, alone = set(), {}
    predicted = _predicted(folder, images)
    for name, masks in predicted or samples(folder, images):
        part = part_of_folders(name) or 'train'
        image = builder.image(part, name)
        if not masks:
            alone.setdefault(part, []).append(name)
            continue
        masked.add(part)
        for mask in masks:
            label = options.class_name
            if predicted:
                label = _NAMED.fullmatch(posixpath.basename(mask))[1]
                builder.note('classes are those in the names of the masks')
            labels = read_labels(folder.join(mask))
            same_size(labels, image, folder.join(mask))
            encoded = rles_of_labels((labels > 0).astype(np.uint8))
            if not encoded:
                builder.lose('masks without a pixel')
            for rle in encoded.values():
                builder.add(part, image, label, rle)
    parts = builder.finish()
    for part, data in parts.items():
        if part == 'test' and part not in masked:
            del data.data['annotations']
        elif names := alone.get(part):
            data.notes.append(f'{plural(len(names), "image")} without masks taken as images '
                              f'without objects ({printable(names[0], 60)})')
    return parts


def samples(folder: Folder, images: Folder) -> Iterator[tuple[str, list[str]]]:
    """(image, masks of its objects) in ``NAME/images`` and ``NAME/masks``, or in ``images`` and
    ``masks/NAME``."""
    yield from _samples(folder, '', 3)
    for name in images.walk('images', IMAGES) if images.is_folder('images') else ():
        place = posixpath.join('masks', posixpath.splitext(name.split('/', 1)[1])[0])
        if folder.kind(place) == 'folder':
            yield name, folder.files(place, IMAGES)


def _predicted(folder, images):
    """[(image, masks)] where images lie in another folder, as predictions are saved
    (``NAME/0001_CLASS.png``); empty where there are none, or a mask is called otherwise."""
    if images is folder:
        return []
    found = [(name, folder.files(place, IMAGES) if folder.kind(place) == 'folder' else [])
             for name in images.walk('', IMAGES) for place in [posixpath.splitext(name)[0]]]
    masks = [mask for _, some in found for mask in some]
    return found if masks and all(
        _NAMED.fullmatch(posixpath.basename(mask)) for mask in masks) else []


def _samples(folder, sub, depth):
    photos = posixpath.join(sub, 'images')
    if sub and folder.kind(photos) == 'folder':
        masks = posixpath.join(sub, 'masks')
        names, drawn = folder.files(photos, IMAGES), []
        if folder.kind(masks) == 'folder':
            drawn = folder.files(masks, IMAGES)
        if len(names) == 1 and not folder.folders(photos):
            yield names[0], drawn
        return
    for name in folder.folders(sub) if depth else ():
        yield from _samples(folder, name, depth - 1)
