"""COCO files, alone or in the folders of Roboflow, mmdet, CVAT and Label Studio."""
import os
import posixpath
import re

from ...errors import UserError
from ...text import listed, printable
from ..coco_file import find_images, read_annotations, read_json_file
from .coco_data import CocoData
from .folder import Folder
from .options import Options, part_of
from .other_tools import refuse_other_tools

NAME = 'COCO'
ENDINGS = ('.json', '.json.gz')
#: Files of COCO that are about something else.
_OTHERS = re.compile(r'^(captions|person_keypoints|panoptic|stuff|image_info|pixelmaps)[_-]')
_FIRST_KEY = re.compile(rb'^(?:\xef\xbb\xbf)?\s*\{\s*"(\w+)"')
#: With which COCO's files begin, and those of others.
_KEYS = (b'info', b'images', b'annotations', b'categories', b'licenses')
_OTHER_KEYS = (b'version', b'flags', b'shapes', b'imagePath', b'imageData', b'_via_settings',
               b'description', b'tags', b'objects')
#: Bytes up to which a file is read to see what it is.
_SMALL = 2**24


def is_coco(path: str) -> bool:
    """Whether a file begins as COCO annotations do, or holds them."""
    if path.lower().endswith('.gz'):
        return True
    with open(path, 'rb') as file:
        first = _FIRST_KEY.match(file.read(4096))
    if first and first[1] in _KEYS:
        return True
    if (first and first[1] in _OTHER_KEYS) or os.path.getsize(path) > _SMALL:
        return False
    try:
        data = read_json_file(path)
    except UserError:
        return False
    return isinstance(data, dict) and isinstance(data.get('images'), list) \
        and 'categories' in data


def files_of(folder: Folder) -> dict[str, list[str]]:
    """COCO files in the usual places, by the part that they are ('' where no name says it)."""
    places = ['', *folder.folders()]
    places += [name for place in list(places) for name in folder.folders(place)
               if place and posixpath.basename(name) in ('annotations', 'train', 'val', 'valid',
                                                         'test')]
    found: dict[str, list[str]] = {}
    for name in (name for place in places for name in folder.files(place, ENDINGS)):
        base = posixpath.basename(name)
        if _OTHERS.match(base) or not is_coco(folder.join(name)):
            continue
        part = part_of(base) or part_of(posixpath.dirname(name)) or ''
        found.setdefault(part, []).append(name)
    return found


def recognize(folder: Folder) -> bool:
    """Whether there are COCO files in a folder."""
    return bool(files_of(folder))


def read(folder: Folder, options: Options) -> dict[str, CocoData]:
    """The parts of a folder.

    Raises:
        UserError: Several files are the same part, or nothing tells which part they are.
    """
    found = files_of(folder)
    unnamed = found.pop('', [])
    if not found and len(unnamed) == 1:
        found, unnamed = {'train': unnamed}, []
    if not found:
        raise UserError(f'{folder.path} has several annotation files ({listed(unnamed)}), and '
                        'nothing tells training data from validation data: give one of them in '
                        'place of the folder (train takes --train-ann and --val-ann)')
    parts = {}
    for part in ('train', 'val', 'test'):
        names = found.get(part, [])
        instances = [name for name in names if posixpath.basename(name).startswith('instances_')]
        names = instances or names
        if len(names) > 1:
            raise UserError(f'{folder.path} has several annotation files of the {part} part '
                            f'({listed(names)}): give one of them with --train-ann or --val-ann')
        if names:
            parts[part] = read_file(folder.join(names[0]), options)
    for data in parts.values() if unnamed else ():
        data.notes.append(f'not read, as no name says which part it is: {listed(unnamed)}')
    return parts


def read_file(path: str, options: Options) -> CocoData:
    """A COCO file, also a gzipped one.

    Raises:
        UserError: It cannot be read, or its images are not found.
    """
    refuse_relatives(read_json_file(path), path)
    data = read_annotations(path)
    images = find_images(data, path, options.images) if options.need_images else ''
    packed = path.lower().endswith('.gz')
    return CocoData(images, NAME, path, ann_file=None if packed else path,
                    _data=data if packed else None)


def refuse_relatives(data: object, path: str) -> None:
    """Refuse what COCO has beside instances.

    Raises:
        UserError: It holds results, a panoptic segmentation, or what a tool wrote in a format of
            its own.
    """
    refuse_other_tools(data, path)
    if isinstance(data, list) and data and isinstance(data[0], dict) and 'score' in data[0]:
        raise UserError(f'{printable(path)} holds results of a model (a list with scores), not '
                        'annotations: give the annotation file that was predicted on')
    annotations = data.get('annotations') if isinstance(data, dict) else None
    if isinstance(annotations, list) and annotations and isinstance(annotations[0], dict) \
            and 'segments_info' in annotations[0]:
        raise UserError(f'{printable(path)} is a panoptic segmentation, whose masks are in PNG '
                        'files: give the file of instances of the same data '
                        '(instances_*.json), or convert it with panopticapi '
                        '(panoptic2detection_coco_format.py --things_only)')
