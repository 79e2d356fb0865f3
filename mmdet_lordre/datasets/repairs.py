"""What of an annotation file can be put right without guessing: ids, numbers, boxes, areas, names.

Nothing is changed in silence: every kind of repair is one line for the user, and the mended
annotations are written as a file of their own, which training and testing then read.
"""
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pycocotools import mask as mask_api

from ..errors import UserError
from ..masks import bounds_of
from ..text import agree, listed, plural, printable, quoted
from .annotation_rules import category_name, encode_segmentation
from .file_names import IMAGES_OPTIONS, leads_out, names_found, path_of_url
from .image_rules import image_size

#: Ids are whole numbers from 0 to below this: evaluation keeps them in 64 bits.
_MOST = 2**63


class Repairs:
    """A copy of annotations that is put right step by step.

    Args:
        data: COCO annotations that :func:`~.annotation_rules.check_structure` has passed; not
            changed.
        path: Their file, for messages.

    Attributes:
        data: The mended annotations.
        notes: One sentence for each kind of repair; empty if nothing was changed.
    """

    def __init__(self, data: dict, path: str):
        self.path, self.notes = path, []
        # a file without the list "annotations" has images to test on, and keeps it so
        self.data = dict(data, **{key: [dict(entry) for entry in data[key]]
                                  for key in ('images', 'annotations', 'categories')
                                  if key in data})
        self.annotations = self.data.get('annotations', [])
        self._ignored: list[dict] = []

    def note(self, count: int, sentence: str, word: str | None = None) -> None:
        """Say how often something was repaired, if it was.

        Args:
            count: How often.
            sentence: With ``{}`` for the count.
            word: What is counted, to be put after it.
        """
        if count:
            self.notes.append(sentence.format(plural(count, word) if word else count))

    def make(self, folder: str | None = None, upright: bool = True) -> 'Repairs':
        """Put right what can be.

        Args:
            folder: Of the images, to mend their names and sizes too.
            upright: Whether images are turned by their orientation tag when they are read.

        Raises:
            UserError: Something that training would misread, with the remedy.
        """
        if _begins_with_a_mark(self.path):
            self.notes.append("a byte-order mark before its JSON, which COCO's own reader refuses")
        self.ids()
        self.numbers()
        self.ignored()
        self.names(folder)
        if folder is not None:
            self.sizes(folder, upright)
        self.polygons()
        self.run_lengths()
        self.boxes_and_areas()
        return self

    def ids(self) -> None:
        """Ids as whole numbers, everywhere: mmdet and pycocotools take no others."""
        self._renumber('categories', 'category_id')
        self._renumber('images', 'image_id')
        self._renumber('annotations', None)

    def _renumber(self, name: str, reference: str | None) -> None:
        """Make the ids of a list, and what refers to them in the annotations, whole numbers.

        Args:
            name: Of the list.
            reference: Key of the annotations that refers to it.
        """
        entries = self.data.get(name, [])
        ids = [entry.get('id') for entry in entries]
        references = [a.get(reference) for a in self.annotations] if reference else []
        # pycocotools takes a detection that is matched with annotation 0 for one without a match
        zero = name == 'annotations' and 0 in ids
        if _whole_numbers(ids) and _whole_numbers(references) and not zero:
            return
        keys = [plain_id(value) for value in ids]
        words = [key for key in keys if isinstance(key, str)]
        distinct = dict.fromkeys(key for key in keys if key is not None)
        numbers = ({key: number for number, key in enumerate(distinct, 1)} if words
                   else {key: key for key in distinct})
        # nor may what refers to nothing come to mean an entry that is numbered now
        last = max([*numbers.values(), *(key for key in map(plain_id, references)
                                         if isinstance(key, int) and not words)], default=0)
        if zero and not words:
            numbers[0] = last = max(last, 0) + 1
            self.note(1, f'{name}: id 0, which pycocotools takes for none, is {last}')
        missing = respelled = 0
        for entry, key in zip(entries, keys, strict=True):
            if key is not None:
                respelled += type(entry['id']) is not int
                entry['id'] = numbers[key]
            elif name != 'categories':  # to which no annotation could refer
                last, missing = last + 1, missing + 1
                entry['id'] = last
        for annotation, value in zip(self.annotations, references, strict=False):
            # true is no 1: it refers to nothing, and the rules name it
            key = None if isinstance(value, bool) else plain_id(value)
            # what refers to nothing must not come to mean another entry
            meant = numbers.get(key, key if isinstance(key, int) and not words else None)
            if meant != value or type(value) is not int:
                respelled += value is not None and meant is not None
                annotation[reference] = meant
        if words:
            self.note(len(words), f'{name}: {{}} other than whole numbers from 0 on '
                                  f'({quoted(words[0], 40)}): all are numbered in their order, '
                                  'from 1', 'id')
        else:
            self.note(respelled, f'{name}: {{}} read as '
                      + agree(respelled, 'a whole number', 'whole numbers'), 'id')
        self.note(missing, f'{name}: {{}} without an id: numbered')

    def numbers(self) -> None:
        """Sizes, crowd flags and names of classes that are of another type than COCO's."""
        sizes = flags = names = 0
        for image in self.data['images']:
            for side in ('width', 'height'):
                value = image.get(side)
                if type(value) is not int and isinstance(plain_id(value), int):
                    image[side] = plain_id(value)
                    sizes += 1
        for category in self.data['categories']:
            if type(category.get('name')) is int:
                category['name'] = category_name(category)
                names += 1
        for annotation in self.annotations:
            flag = annotation.get('iscrowd')
            if type(flag) is int and flag in (0, 1):
                continue
            number = plain_id(flag)
            if number not in (None, '', 0, 1):
                continue  # the rules name it
            annotation['iscrowd'] = int(number or 0)
            flags += 1
        self.note(sizes, 'images: {} read as '
                  + agree(sizes, 'a whole number', 'whole numbers'), 'side')
        self.note(names, 'categories: {} in numbers read as text', 'name')
        self.note(flags, 'annotations: {} without iscrowd, or with another form of it, read as 0 '
                         'or 1')

    def ignored(self) -> None:
        """Make crowd regions of what is marked with ``ignore``.

        mmdet would learn it as background, and COCO's evaluation count it as an object.
        """
        for annotation in self.annotations:
            mark = annotation.get('ignore')
            if mark:
                del annotation['ignore']  # '0', too, which mmdet takes for a mark
                if plain_id(mark) != 0:
                    annotation['iscrowd'] = 1
                    self._ignored.append(annotation)
        count = len(self._ignored)
        self.note(count, 'annotations: {} with ignore=1 ' + agree(
            count, 'is taken as a crowd region, neither', 'are taken as crowd regions, neither')
            + ' learned nor counted')

    def take_crowds(self) -> None:
        """Take crowd regions as objects, where a tool marked all of them so; not what is to be
        ignored.
        """
        ignored = set(map(id, self._ignored))
        crowds = [annotation for annotation in self.annotations
                  if annotation.get('iscrowd') and id(annotation) not in ignored]
        for annotation in crowds:
            annotation['iscrowd'] = 0
        self.note(len(crowds), 'annotations: {} taken as '
                  + agree(len(crowds), 'an object', 'objects'), 'crowd region')

    def order_categories(self, classes: Sequence[str]) -> None:
        """Put the categories in the order of some classes, by their names; others come last."""
        place = {name: number for number, name in enumerate(classes)}
        before = [category['name'] for category in self.data['categories']
                  if category['name'] in place]
        if before != sorted(before, key=place.get):
            self.data['categories'].sort(key=lambda c: place.get(c['name'], len(place)))
            self.notes.append(f'categories: listed as {listed(before, 4)}, matched with the '
                              f'classes {listed(classes, 4)} by their names')

    def names(self, folder: str | None) -> None:
        """File names as annotation tools write them.

        Args:
            folder: Of the images; None for a look at the file alone.
        """
        images = self.data['images']
        urls = 0
        for index, image in enumerate(images):
            name = image.get('file_name')
            if name is None and isinstance(image.get('coco_url'), str):  # LVIS
                name = image['file_name'] = path_of_url(image['coco_url'])
                urls += 1
            if not isinstance(name, str) or not name:
                raise UserError(
                    f'{self.path}: file_name of image {image["id"]} (number {index}) is '
                    f'{"missing" if name is None else quoted(name)}: give the name of its file '
                    'as text')
        self.note(urls, 'images: {} taken from coco_url', 'name')
        if folder is None:
            return
        found = names_found(folder, [image['file_name'] for image in images])
        out = next((image['file_name'] for image, name in zip(images, found, strict=True)
                    if name is None and leads_out(folder, image['file_name'])
                    and os.path.exists(os.path.join(folder, image['file_name']))), None)
        if out is not None:
            raise UserError(f'{self.path}: the image {quoted(out, 120)} lies outside of {folder}: '
                            'nothing is read there; name the folder that holds all images '
                            f'({IMAGES_OPTIONS}, or data_prefix)')
        changed = [(image, name) for image, name in zip(images, found, strict=True)
                   if name is not None and name != image['file_name']]
        if changed:
            before, after = changed[0][0]['file_name'], changed[0][1]
            self.notes.append(f'images: {len(changed)} found under another name '
                              f'({printable(before, 60)} as {printable(after, 60)})')
        for image, name in changed:
            image['file_name'] = name

    def sizes(self, folder: str, upright: bool = True) -> None:
        """Widths and heights that are missing, read from the images.

        Args:
            folder: Of the images.
            upright: Whether they are turned by their orientation tag when they are read.
        """
        count = 0
        for image in self.data['images']:
            if image.get('width') is None or image.get('height') is None:
                size = image_size(os.path.join(folder, image['file_name']), upright)
                if size is not None:
                    image['width'], image['height'] = size
                    count += 1
        self.note(count, 'images: {} read from the image files', 'size')

    def polygons(self) -> None:
        """Polygons that are not lists of numbers in a list: one alone, or with pairs of numbers."""
        count = 0
        for annotation in self.annotations:
            segmentation = annotation.get('segmentation')
            if not isinstance(segmentation, list) or not segmentation:
                continue
            first = segmentation[0]
            if type(first) in (int, float):
                annotation['segmentation'] = [segmentation]
            elif isinstance(first, list) and first and isinstance(first[0], list) \
                    and all(_are_pairs(polygon) for polygon in segmentation):
                annotation['segmentation'] = [[value for pair in polygon for value in pair]
                                              for polygon in segmentation]
            elif _are_pairs(segmentation) and len(segmentation) > 2:
                annotation['segmentation'] = [[value for pair in segmentation for value in pair]]
            else:
                continue
            count += 1
        self.note(count, 'annotations: {} in other brackets than COCO\'s', 'polygon')

    def run_lengths(self) -> None:
        """Sizes and counts that are whole numbers written as fractions (``12.0``)."""
        count = 0
        for annotation in self.annotations:
            mask = annotation.get('segmentation')
            for key in ('size', 'counts') if isinstance(mask, dict) else ():
                values = mask.get(key)
                if isinstance(values, list) and float in set(map(type, values)) \
                        and all(type(value) in (int, float) and value % 1 == 0 for value in values):
                    mask = annotation['segmentation'] = {**mask, key: list(map(int, values))}
                    count += 1
        self.note(count, 'annotations: {} of run lengths read as whole numbers', 'list')

    def boxes_and_areas(self) -> None:
        """Compute what is missing of boxes and areas, or has no size, from the masks."""
        images = {image['id']: image for image in self.data['images']}
        counted = Counter()
        for annotation in self.annotations:
            box, area = annotation.get('bbox'), annotation.get('area')
            no_box, no_area = box in (None, []), area is None
            flat_box, flat_area = _is_box(box) and min(box[2:]) <= 0, _is_number(area) and area <= 0
            if not (no_box or no_area or flat_box or flat_area):
                continue
            image = images.get(annotation.get('image_id'))
            encoded = image and encode_segmentation(annotation.get('segmentation'), image)
            pixels = 0. if encoded is None else float(mask_api.area(encoded))
            if not pixels:  # an object that there is nothing of stays so
                flat_box = flat_area = False
            if encoded is not None:
                if no_box or flat_box:
                    annotation['bbox'] = bounds_of([encoded])[0].astype(float).tolist()
                if no_area or flat_area:
                    annotation['area'] = pixels
            elif no_area and _is_box(box):
                # what is known of an object without a mask
                annotation['area'] = float(box[2]) * float(box[3])
            else:
                continue
            for name, found in (('no_box', no_box), ('no_area', no_area),
                                ('flat_box', flat_box), ('flat_area', flat_area)):
                counted[name] += found
        self.note(counted['no_box'], 'annotations: {} computed from masks', 'box')
        self.note(counted['no_area'], 'annotations: {} computed', 'area')
        self.note(counted['flat_box'], 'annotations: {} without width or height computed from '
                                       'masks', 'box')
        self.note(counted['flat_area'], 'annotations: {} of 0 or less computed from masks', 'area')


def _whole_numbers(values: list) -> bool:
    """Whether all values are whole numbers that evaluation can count with."""
    return not values or (set(map(type, values)) == {int} and min(values) >= 0
                          and max(values) < _MOST)


def plain_id(value: object) -> int | str | None:
    """An id: a whole number where the value says one, else the value as text; None for nothing."""
    if value is None:
        return None
    if isinstance(value, (bool, int)):
        return int(value) if 0 <= value < _MOST else printable(value)
    if isinstance(value, float):
        return plain_id(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    text = value.strip() if isinstance(value, str) else printable(value)
    if re.fullmatch(r'\+?[0-9]{1,18}(\.0+)?', text):
        return int(text.partition('.')[0])
    return text


def _are_pairs(points: object) -> bool:
    return isinstance(points, list) and all(
        isinstance(pair, list) and len(pair) == 2 and set(map(type, pair)) <= {int, float}
        for pair in points)


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -_MOST < value < _MOST


def describe(path: str, notes: Iterable[str]) -> str:
    """All repairs of a file in one line."""
    notes = list(notes)
    return f'{printable(path)}: {"; ".join(notes)} ({plural(len(notes), "repair")}, made in a copy)'


def names_alike(data: dict) -> list[tuple[str, str]]:
    """Pairs of categories whose names differ in case or spaces alone.

    Args:
        data: COCO annotations whose categories have names.
    """
    found, pairs = {}, []
    for category in data['categories']:
        plain = ' '.join(re.split(r'[\s_-]+', category['name'].casefold().strip()))
        if plain in found:
            pairs.append((found[plain], category['name']))
        found.setdefault(plain, category['name'])
    return pairs


def _begins_with_a_mark(path: str) -> bool:
    """Whether a file begins with the mark that some editors write before text."""
    try:
        with open(path, 'rb') as file:
            return file.read(3) == b'\xef\xbb\xbf'
    except OSError:  # a folder, or no file at all
        return False
