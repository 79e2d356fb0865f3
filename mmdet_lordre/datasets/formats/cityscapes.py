"""Cityscapes: ``gtFine`` beside ``leftImg8bit``."""
import posixpath

import numpy as np
from PIL import Image, ImageDraw

from ...errors import UserError
from ...text import plural
from .coco_data import Builder, CocoData, checked_size
from .folder import Folder
from .options import Options, part_of_folders
from .pieces import corners
from .reading import read_json, read_labels
from .run_lengths import rles_of_labels

NAME = 'Cityscapes'
#: Classes that are evaluated, by their numbers.
CLASSES = {24: 'person', 25: 'rider', 26: 'car', 27: 'truck', 28: 'bus', 31: 'train',
           32: 'motorcycle', 33: 'bicycle'}
#: Classes with instances that are not.
_NOT_EVALUATED = {29: 'caravan', 30: 'trailer'}
_IDS, _POLYGONS, _PHOTO = '_instanceIds.png', '_polygons.json', '_leftImg8bit.png'
#: From here on a value is 1000 * class + number of the object; below it is a group.
_INSTANCES = 1000


def annotations_of(folder: Folder) -> dict[str, str]:
    """``{name without its ending: file}``: numbers of instances where they are, else polygons."""
    found = {}
    for name in folder.walk('', (_POLYGONS, _IDS.lower())):
        stem = name[:-len(_POLYGONS if name.endswith(_POLYGONS) else _IDS)]
        if stem.endswith(('_gtFine', '_gtCoarse')) and not found.get(stem, '').endswith(_IDS):
            found[stem] = name
    fine = {stem: name for stem, name in found.items() if stem.endswith('_gtFine')}
    return fine or found


def recognize(folder: Folder) -> bool:
    """Whether a folder holds Cityscapes' files."""
    if not (folder.is_folder('gtFine') or folder.is_folder('gtCoarse')
            or folder.is_folder('leftImg8bit') or posixpath.basename(folder.path) == 'gtFine'):
        return False
    return bool(annotations_of(folder))


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts train, val and test. The official test part has no objects, and no annotations.

    Args:
        folder: That holds ``gtFine`` and ``leftImg8bit``.
        options: ``images`` says where ``leftImg8bit`` is.
        file: Not used.

    Raises:
        UserError: Files that cannot be read.
    """
    images = Folder(options.images) if options.images else folder
    builder = Builder(NAME, folder.path, images.path, list(CLASSES.values()))
    photos = {posixpath.basename(name)[:-len(_PHOTO)]: name
              for name in images.walk('', (_PHOTO.lower(),))}
    if not photos:
        raise UserError(f'{folder.path} has no images *{_PHOTO}: give the folder that holds gtFine '
                        'and leftImg8bit, or say where they are with --train-images / '
                        '--val-images (--images)')
    lost = []
    for stem, name in sorted(annotations_of(folder).items()):
        base = posixpath.basename(stem).rsplit('_', 1)[0]
        if base not in photos:
            lost.append(base)
            continue
        path, part = folder.join(name), part_of_folders(name) or 'train'
        numbers = read_labels(path) if name.endswith(_IDS) else numbers_of_polygons(path)
        image = builder.image(part, photos[base], numbers.shape[1], numbers.shape[0])
        for value, encoded in rles_of_labels(numbers).items():
            label = value // _INSTANCES if value >= _INSTANCES else value
            if label in CLASSES:
                builder.add(part, image, CLASSES[label], encoded, crowd=value < _INSTANCES)
            elif label in _NOT_EVALUATED and value >= _INSTANCES:
                builder.lose(f'objects of the class {_NOT_EVALUATED[label]}, which Cityscapes does '
                             'not evaluate')
    if lost and not builder.parts:
        raise UserError(f'{folder.path}: no image belongs to its annotations: no '
                        f'{lost[0]}{_PHOTO}; are gtFine and leftImg8bit of one data set?')
    if lost:
        builder.note(f'{plural(len(lost), "annotation file")} without an image left out '
                     f'({lost[0]})')
    parts = builder.finish()
    test = parts.get('test')
    if test is not None and not test.data['annotations']:
        del test.data['annotations']
    return parts


def numbers_of_polygons(path: str) -> np.ndarray:
    """Numbers of instances (H, W), drawn from polygons as Cityscapes' own scripts draw them.

    Args:
        path: Of a file ``*_polygons.json``.

    Raises:
        UserError: It cannot be read.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get('objects'), list):
        raise UserError(f'{path} has no list "objects"')
    size = checked_size(data.get('imgWidth'), data.get('imgHeight'), path)
    if size[0] * size[1] > 2**27:
        raise UserError(f'{path}: {size[0]}x{size[1]} px are too large to be drawn')
    by_name = {name: label for label, name in (CLASSES | _NOT_EVALUATED).items()}
    canvas = Image.new('I', size, 0)
    draw, counts = ImageDraw.Draw(canvas), dict.fromkeys(by_name, 0)
    for index, entry in enumerate(data['objects']):
        name = entry.get('label') if isinstance(entry, dict) else None
        if not isinstance(name, str) or entry.get('deleted'):
            continue
        points = corners(entry.get('polygon'), f'{path}, object {index}')
        value, kind = 0, name.removesuffix('group')
        if name in by_name:
            value = by_name[name] * _INSTANCES + counts[name]
            counts[name] += 1
        elif name.endswith('group') and kind in by_name:
            value = by_name[kind]
        # everything later hides what is before it, whatever its class
        if len(points) >= 6:
            draw.polygon([tuple(points[i:i + 2]) for i in range(0, len(points), 2)], fill=value)
    return np.asarray(canvas)
