"""What of an annotation file can be put right without guessing: ids, numbers, boxes, areas, names.

Nothing is changed in silence: every kind of repair is one line for the user, and the mended
annotations are written as a file of their own, which training and testing then read.
"""
import math
import os
import re
from collections import Counter
from urllib.parse import unquote, urlsplit

import numpy as np
from pycocotools import mask as mask_api

from ..errors import UserError
from ..text import plural, printable

#: Ids of Label Studio's uploads, which it puts before the names of files.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
#: Annotations that are compared when boxes or polygons look as if they had other units.
_SAMPLE = 2000


class Repairs:
    """A copy of annotations that is put right step by step.

    Args:
        data: COCO annotations that :func:`~.annotation_rules.check_structure` has passed; not
            changed.
        path: Their file, for messages.

    Attributes:
        data (dict): The mended annotations.
        notes (list[str]): One sentence for each kind of repair; empty if nothing was changed.
    """

    def __init__(self, data: dict, path: str):
        self.path, self.notes = path, []
        self.data = dict(data, **{key: [dict(entry) for entry in data.get(key) or ()]
                                  for key in ('images', 'annotations', 'categories')})

    def note(self, count: int, sentence: str) -> None:
        """Say how often something was repaired, if it was."""
        if count:
            self.notes.append(sentence.format(count))

    def make(self, folder: str | None = None) -> 'Repairs':
        """Put right what can be; with the folder of the images, their names and sizes too.

        Raises:
            UserError: something that training would misread, with the remedy.
        """
        self.ids()
        self.numbers()
        self.names(folder)
        self.refuse_other_units()
        self.boxes_and_areas()
        return self

    def ids(self) -> None:
        """Ids as whole numbers, everywhere: mmdet and pycocotools take no others."""
        data = self.data
        categories = self._renumber('categories', data['categories'],
                                    ((data['annotations'], 'category_id'), ))
        images = self._renumber('images', data['images'], ((data['annotations'], 'image_id'), ))
        annotations = self._renumber('annotations', data['annotations'], ())
        del categories, images, annotations

    def _renumber(self, name: str, entries: list[dict], references: tuple) -> None:
        """Make the ids of a list, and what refers to them, whole numbers."""
        keys = [_whole(entry.get('id')) for entry in entries]
        missing = [index for index, entry in enumerate(entries) if entry.get('id') is None]
        text = [key for key in keys if isinstance(key, str)]
        changed = sum((key is not entry.get('id') and key != entry.get('id'))
                      or type(entry.get('id')) is not int
                      for key, entry in zip(keys, entries)) - len(missing)
        if text:
            numbers = {}
            for key in keys:
                if key is not None:
                    numbers.setdefault(key, len(numbers) + 1)
            self.note(len(text), f'{name}: {{}} ids are text ({printable(text[0], 40)!r}): '
                                 'numbered')
        else:
            numbers = {key: key for key in keys if key is not None}
            self.note(changed, f'{name}: {{}} ids read as whole numbers')
        last = max((n for n in numbers.values() if isinstance(n, int)), default=0)
        for entry, key in zip(entries, keys):
            if key is None:
                last += 1
                entry['id'] = last
            else:
                entry['id'] = numbers[key]
        self.note(len(missing), f'{name}: {{}} without an id: numbered')
        for others, field in references:
            for other in others:
                key = _whole(other.get(field))
                if key is not None:
                    other[field] = numbers.get(key, key if isinstance(key, int) else None)

    def numbers(self) -> None:
        """Sizes and crowd flags that are written as text or decimals."""
        sizes = flags = 0
        for image in self.data['images']:
            for side in ('width', 'height'):
                value = image.get(side)
                whole = _whole(value)
                if isinstance(whole, int) and type(value) is not int:
                    image[side] = whole
                    sizes += 1
        for annotation in self.data['annotations']:
            flag = annotation.get('iscrowd', 0)
            if type(flag) is int and flag in (0, 1):
                continue
            whole = _whole(flag)
            if flag is None or flag == '' or whole in (0, 1):
                annotation['iscrowd'] = int(whole or 0)
                flags += 1
                continue
            raise UserError(f'{self.path}: iscrowd of annotation {annotation["id"]} is '
                            f'{printable(flag, 40)!r}: it must be 0 or 1')
        self.note(sizes, 'images: {} widths and heights read as whole numbers')
        self.note(flags, 'annotations: {} iscrowd flags read as 0 or 1')

    def take_crowds(self) -> None:
        """Take crowd regions as objects, where a tool marked all of them so."""
        crowds = [annotation for annotation in self.data['annotations']
                  if annotation.get('iscrowd')]
        for annotation in crowds:
            annotation['iscrowd'] = 0
        self.note(len(crowds), 'annotations: {} crowd regions taken as objects')

    def names(self, folder: str | None) -> None:
        """File names as annotation tools write them, and sizes that are missing."""
        images = self.data['images']
        for index, image in enumerate(images):
            name = image.get('file_name')
            if not isinstance(name, str) or not name:
                raise UserError(
                    f'{self.path}: file_name of image {image["id"]} (number {index}) is '
                    f'{"missing" if name is None else repr(printable(name, 40))}: give the name '
                    'of its file as text')
        if folder is None:
            return
        found = names_found(folder, [image['file_name'] for image in images])
        changed = [(image['file_name'], name) for image, name in zip(images, found)
                   if name is not None and name != image['file_name']]
        for image, name in zip(images, found):
            if name is not None:
                image['file_name'] = name
        if changed:
            before, after = (printable(name, 60) for name in changed[0])
            self.note(len(changed), f'images: {{}} found under another name ({before} as {after})')

    def refuse_other_units(self) -> None:
        """Refuse boxes of corners, and coordinates as parts of the image.

        Raises:
            UserError: most of the boxes or polygons are of another kind than COCO's.
        """
        sizes = {image['id']: (image.get('width'), image.get('height'))
                 for image in self.data['images']}
        polygons, boxes, extents = [], [], []
        for annotation in self.data['annotations']:
            parts = annotation.get('segmentation')
            box = annotation.get('bbox')
            if not isinstance(parts, list) or not parts or not all(
                    isinstance(part, list) and len(part) >= 6
                    and set(map(type, part)) <= {int, float} for part in parts):
                continue
            size = sizes.get(annotation.get('image_id'), (None, None))
            if not all(isinstance(side, int) and side > 4 for side in size):
                continue
            x, y = [v for part in parts for v in part[::2]], [v for part in parts
                                                             for v in part[1::2]]
            polygons.append(max(max(x), max(y)))
            if isinstance(box, list) and len(box) == 4 and set(map(type, box)) <= {int, float}:
                boxes.append(box)
                extents.append([min(x), min(y), max(x), max(y)])
            if len(polygons) >= _SAMPLE:
                break
        if len(polygons) >= 3 and np.mean(np.array(polygons, float) <= 1.0) > 0.9:
            raise UserError(f'{self.path}: its polygons lie between 0 and 1, as parts of the '
                            'image; COCO counts in pixels: multiply x by the width and y by the '
                            'height of each image')
        if len(boxes) < 3:
            return
        boxes, extents = np.array(boxes, float), np.array(extents, float)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        # as boxes of corners would say, and as COCO's say, within two pixels
        as_corners = (np.abs(boxes - extents) <= 2).all(1) & (boxes[:, :2] > 2).any(1)
        as_coco = (np.abs(corners - extents) <= 2).all(1)
        if as_corners.sum() > 0.5 * len(boxes) and as_coco.mean() < 0.1:
            raise UserError(f'{self.path}: its boxes are x1 y1 x2 y2, as their polygons show; '
                            'COCO writes x y width height: subtract the first two numbers from '
                            'the last two')

    def boxes_and_areas(self) -> None:
        """Compute what is missing of boxes and areas from the masks."""
        sizes = {image['id']: image for image in self.data['images']}
        counted = Counter()
        for annotation in self.data['annotations']:
            needs_box = annotation.get('bbox') in (None, [])
            needs_area = annotation.get('area') is None
            if not needs_box and not needs_area:
                continue
            image = sizes.get(annotation.get('image_id'))
            encoded = image and _encoded(annotation.get('segmentation'), image)
            if encoded is not None:
                if needs_box:
                    annotation['bbox'] = [float(v) for v in mask_api.toBbox(encoded)]
                if needs_area:
                    annotation['area'] = float(mask_api.area(encoded))
            elif needs_area and not needs_box and _is_box(annotation['bbox']):
                # what is known of an object without a mask
                annotation['area'] = float(annotation['bbox'][2]) * float(annotation['bbox'][3])
            else:
                continue
            counted['bbox'] += needs_box
            counted['area'] += needs_area
        self.note(counted['bbox'], 'annotations: {} boxes computed from their masks')
        self.note(counted['area'], 'annotations: {} areas computed')


def _whole(value: object) -> int | str | None:
    """A number where the value says one, else the text itself; None for nothing."""
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else str(value)
    text = str(value).strip()
    if re.fullmatch(r'[+-]?\d{1,18}(\.0+)?', text):
        return int(text.partition('.')[0])
    return text


def _is_box(box: object) -> bool:
    return (isinstance(box, list) and len(box) == 4
            and all(type(v) in (int, float) and math.isfinite(v) for v in box))


def _encoded(segmentation: object, image: dict) -> dict | None:
    """Run lengths of a mask that can be drawn, or None."""
    from .annotation_rules import mask_problem
    if not segmentation or mask_problem(segmentation, image) is not None:
        return None
    height, width = image['height'], image['width']
    if isinstance(segmentation, dict):
        if isinstance(segmentation['counts'], list):
            return mask_api.frPyObjects(segmentation, height, width)
        return segmentation
    return mask_api.merge(mask_api.frPyObjects(
        [list(map(float, polygon)) for polygon in segmentation], height, width))


def base_names(name: str) -> list[str]:
    """What a file may be called where an annotation tool wrote a path or an address.

    ``images\\0.jpg``, ``/data/upload/1/abc-0.jpg``, ``http://localhost:8080/x/0.jpg``: the path
    with the system's separators, then its last part, with and without an upload's prefix.
    """
    plain = name.replace('\\', '/')
    if '://' in plain:
        plain = urlsplit(plain).path
    plain = unquote(plain) if '%' in plain else plain
    last = plain.rsplit('/', 1)[-1]
    candidates = [plain.lstrip('/'), last, _UPLOAD.sub('', last)]
    return [c for c in dict.fromkeys(candidates) if c and c != name]


def names_found(folder: str, names: list[str]) -> list[str | None]:
    """For each file name the name under which the file lies in a folder, None if it does not.

    A name that leads nowhere is looked for by :func:`base_names`, and taken where no other entry
    of the list means the same file. A folder is listed once, not asked for each file.
    """
    listings: dict[str, set] = {}

    def is_there(name: str) -> bool:
        place, base = os.path.split(os.path.join(folder, name))
        if place not in listings:
            try:
                listings[place] = set(os.listdir(place or '.'))
            except (OSError, ValueError):
                listings[place] = set()
        return base in listings[place]

    found = [name if is_there(name) else None for name in names]
    lost = [index for index, name in enumerate(found) if name is None]
    if lost:
        taken = Counter(name for name in found if name is not None)
        guesses = {index: next((c for c in base_names(names[index]) if is_there(c)), None)
                   for index in lost}
        meant = Counter(guess for guess in guesses.values() if guess is not None)
        for index, guess in guesses.items():
            if guess is not None and meant[guess] == 1 and not taken[guess]:
                found[index] = guess
    return found


def describe(repairs: Repairs) -> str:
    """All notes of a file in one line."""
    count = len(repairs.notes)
    return (f'{printable(repairs.path)}: {"; ".join(repairs.notes)} '
            f'({plural(count, "repair")}, made in a copy)') if count else ''
