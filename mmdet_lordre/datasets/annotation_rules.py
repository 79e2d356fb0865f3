"""The one place that knows which annotations and images can be learned from.

``tools/train.py`` and ``tools/test.py`` go by these rules before they start, and
``tools/check.py`` prints what they find. Everything here is about one entry of a COCO
annotation file or one image file.
"""
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pycocotools import mask as mask_api

from ..errors import UserError
from ..masks.runs import checked_counts
from ..text import plural, printable, quoted

STOP, LEFT_OUT, KEPT = 'stop', 'left out', 'kept'

#: What training does with each kind: how, and in words.
KINDS = {
    'unknown image': (STOP, 'training stops; left out with --skip-bad'),
    'unknown category': (STOP, 'training stops; left out with --skip-bad'),
    'duplicate id': (STOP, 'training stops; the later one is left out with --skip-bad'),
    'not finite': (STOP, 'training stops; left out with --skip-bad'),
    'bad box': (STOP, 'training stops; left out with --skip-bad'),
    'bad area': (STOP, 'training stops; left out with --skip-bad'),
    'no mask': (STOP, 'training stops; left out with --skip-bad'),
    'bad polygon': (STOP, 'training stops; left out with --skip-bad'),
    'bad crowd flag': (STOP, 'training stops; left out with --skip-bad'),
    'bad run lengths': (STOP, 'training stops; left out with --skip-bad'),
    'outside': (LEFT_OUT, 'left out: its box does not touch the image'),
    'empty': (LEFT_OUT, 'left out: a box of less than 1 px, or area 0'),
    'no pixels': (KEPT, 'learned as background: no pixel shows it'),
    'tiny': (KEPT, 'learned, unless the head leaves out masks that small'),
    'beyond the border': (KEPT, 'cut off at the border of the image'),
    'mask outside box': (KEPT, 'kept: one of the two is wrong'),
    'box beyond mask': (KEPT, 'kept: one of the two is wrong'),
    'annotated twice': (KEPT, 'learned twice, one against the other'),
    'unusual for its class': (KEPT, 'kept: another class by mistake, or a slip of the tool?'),
    'self-crossing': (KEPT, 'drawn as pycocotools does, doubly enclosed parts empty'),
    'crowd': (KEPT, 'not learned, neither as an instance nor as background of its box'),
    'image without instances': (KEPT, 'learned as background, or left out (filter_empty_gt)'),
    'crowded image': (KEPT, 'learned; masks of that many instances take memory'),
    'too large': (STOP, 'training stops; left out with --skip-bad'),
    'duplicate image id': (STOP, 'training stops; the later one is left out with --skip-bad'),
    # numpy calls a flipped image of one row contiguous, torch refuses it: mmdet's
    # PackDetInputs stops there
    'image too small': (STOP, 'training stops (testing works); left out with --skip-bad'),
    'image missing': (STOP, 'training stops; left out with --skip-bad'),
    'image unreadable': (STOP, 'training stops; left out with --skip-bad'),
    'image truncated': (STOP, 'training stops; left out with --skip-bad'),
    'image of another size': (STOP, 'training stops; left out with --skip-bad'),
    'not 8-bit color': (KEPT, 'read as 8-bit color, without transparency; of 16 bits the upper 8 '
                        'are read, or all 16 by a planned config where the upper 8 show little'),
    'image without size': (STOP, 'training stops; left out with --skip-bad'),
    'turned by its tag': (KEPT, 'turned upright when it is read: annotations must be so, too'),
    'several pages': (KEPT, 'the first page or frame is read, the others are not'),
    'extreme shape': (KEPT, 'learned and tested, unless nothing is left of a side when resized'),
    'same picture twice': (KEPT, 'learned twice: it counts double'),
    'in another part': (KEPT, 'figures measured on it are too good (lordre split splits again)'),
    'file named twice': (KEPT, 'read twice, with the annotations of each entry'),
}

#: OpenCV reads no image of more pixels, and pycocotools counts those of a mask in 32 bits.
MOST_PIXELS = 2**30
#: Instances in an image from which on the table names it.
CROWDED = 300
#: Pixels that each side of an image must have in training.
SMALLEST_SIDE = 2


@dataclass(frozen=True)
class Problem:
    """Something about an entry of an annotation file.

    Attributes:
        kind: A key of :data:`KINDS`.
        where: 'annotation 17 (image a.jpg)' or 'image a.jpg'.
        what: The rest of the sentence, with the wrong value.
        index: Of the entry in ``annotations``, or in ``images`` if ``of_image``.
        of_image: Whether it is about an image.
    """
    kind: str
    where: str
    what: str
    index: int
    of_image: bool = False

    @property
    def treatment(self) -> str:
        """'stop', 'left out' or 'kept'."""
        return KINDS[self.kind][0]

    def __str__(self) -> str:
        named = self.what.startswith(self.where)
        return printable(self.what if named else f'{self.where}: {self.what}', 400)


def check_structure(data: dict, path: str) -> None:
    """Refuse what no rule can be applied to.

    Args:
        data: A COCO file.
        path: Its path, for the message.

    Raises:
        UserError: An entry that is no dictionary, or an id that is neither number nor text.
    """
    for key in ('images', 'annotations', 'categories'):
        entries = data.get(key, [])
        if not isinstance(entries, list):
            raise UserError(f'{path}: "{key}" is not a list')
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise UserError(f'{path}: "{key}" has an entry that is no dictionary: number '
                                f'{index}, {quoted(entry, 40)}')
            for name in ('id', 'image_id', 'category_id'):
                if not isinstance(entry.get(name), (int, str, float, type(None))):
                    raise UserError(f'{path}: {name} of number {index} in "{key}" is no number: '
                                    f'{quoted(entry[name], 40)}')


def category_name(category: dict) -> str | None:
    """Name of a category; whole numbers are read as text, anything else is none."""
    name = category.get('name')
    return str(name) if type(name) is int or (isinstance(name, str) and name) else None


def annotation_problems(data: dict, need_masks: bool = False) -> Iterator[Problem]:
    """What training stops at or leaves out; :mod:`.kept_rules` has what it keeps.

    Args:
        data: COCO annotations that :func:`check_structure` has passed.
        need_masks: Whether an annotation without a mask is a problem.

    Yields:
        Problem: at most one for each annotation, in the order of the file.
    """
    images = {image.get('id'): image for image in data['images']}
    categories = {category.get('id') for category in data['categories']}
    seen = set()
    for index, annotation in enumerate(data.get('annotations', ())):
        image = images.get(annotation.get('image_id'))
        found = None
        if annotation.get('id') in seen:
            found = 'duplicate id', 'another annotation has this id'
        seen.add(annotation.get('id'))
        found = (found or _identity(annotation, image, categories) or _box(annotation, image)
                 or _mask(annotation, image, need_masks))
        if found is None:
            found = _left_out(annotation, image)
        if found:
            yield Problem(found[0], place_of(annotation, image), found[1], index)


def place_of(annotation: dict, image: dict | None) -> str:
    """'annotation 17 (image a.jpg)', for messages."""
    name = image.get('file_name') if image else annotation.get('image_id')
    return f'annotation {printable(annotation.get("id"), 40)} (image {printable(name, 80)})'


def _identity(annotation, image, categories):
    if image is None:
        return 'unknown image', 'its image_id is not in "images"'
    if annotation.get('category_id') not in categories:
        return ('unknown category',
                f'its category_id {quoted(annotation.get("category_id"))} is not in "categories"')
    if annotation.get('iscrowd') not in (0, 1, None):
        return 'bad crowd flag', f'its iscrowd is {quoted(annotation["iscrowd"])}, neither 0 nor 1'
    return None


def _box(annotation, image):
    box = annotation.get('bbox')
    if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(map(_number, box)):
        return 'bad box', ('it has no bbox [x, y, width, height]' if not box else
                           f'its bbox is {quoted(box)}, not [x, y, width, height]')
    if not all(map(_finite, box)):
        return 'not finite', f'its bbox is {quoted(box)}'
    area = annotation.get('area')
    if not _number(area):
        return 'bad area', ('it has no area' if area is None else
                            f'its area is {quoted(area)}')
    if not _finite(area):
        return 'not finite', f'its area is {quoted(area)}'
    if problem := size_problem(image):
        return problem[0], f'its image {problem[1]}'
    if max(map(abs, box)) > _farthest(image):
        return 'bad box', f'its bbox is {quoted(box)}, far out of the image'
    return None


def size_problem(image: dict) -> tuple[str, str] | None:
    """(kind, end of a sentence) of an image whose width and height are no size, or None."""
    for key in ('width', 'height'):
        side = image.get(key)
        if type(side) is not int or side < 1:
            return 'image without size', (f'has no {key}' if side is None else
                                          f'has {key} {quoted(side)}, which is no number of pixels')
    if image['width'] * image['height'] > MOST_PIXELS:
        return 'too large', (f'says {printable(image["width"], 40)}x'
                             f'{printable(image["height"], 40)}, more pixels than can be decoded')
    return None


def _mask(annotation, image, needed):
    segmentation = annotation.get('segmentation')
    if not segmentation:
        return ('no mask', 'it has no segmentation') if needed else None
    return mask_problem(segmentation, image)


def mask_problem(segmentation: object, image: dict) -> tuple[str, str] | None:
    """(kind, sentence) of a segmentation that cannot be drawn, or None.

    Args:
        segmentation: Polygons or run lengths.
        image: Entry of ``images``.
    """
    if problem := size_problem(image):
        return problem[0], f'its image {problem[1]}'
    if isinstance(segmentation, dict):
        problem = run_length_problem(segmentation, image['height'], image['width'])
        return ('bad run lengths', problem) if problem else None
    if not isinstance(segmentation, (list, tuple)):
        return 'bad polygon', 'its segmentation is neither polygons nor run lengths'
    farthest = _farthest(image)
    for polygon in segmentation:
        # COCO has fifty million coordinates: nothing here runs in Python for each of them
        if not isinstance(polygon, (list, tuple)) or not set(map(type, polygon)) <= {int, float}:
            return 'bad polygon', 'its segmentation is not a list of polygons'
        if len(polygon) % 2:
            return 'bad polygon', f'a polygon has {plural(len(polygon), "number")}, which is odd'
        if len(polygon) < 6:
            return 'bad polygon', f'a polygon of {plural(len(polygon) // 2, "point")} has no area'
        if not _finite_sum(polygon):
            return 'not finite', 'a polygon has NaN or infinite coordinates'
        if max(polygon) > farthest or min(polygon) < -farthest:
            return ('bad polygon', f'a polygon reaches {max(map(abs, polygon)):.10g} px from the '
                    'corner of the image')
    return None


def encode_segmentation(segmentation: object, image: dict) -> dict | None:
    """pycocotools' run lengths of a mask, or None for one that cannot be drawn.

    Args:
        segmentation: Polygons or run lengths.
        image: Entry of ``images``.
    """
    if not segmentation or mask_problem(segmentation, image) is not None:
        return None
    height, width = image['height'], image['width']
    if not isinstance(segmentation, dict):
        return mask_api.merge(mask_api.frPyObjects(
            [list(map(float, polygon)) for polygon in segmentation], height, width))
    if isinstance(segmentation['counts'], list):
        return mask_api.frPyObjects(segmentation, height, width)
    return segmentation


def run_length_problem(segmentation: dict, height: int, width: int) -> str | None:
    """What is wrong with run lengths of an image, or None.

    Args:
        segmentation: ``size`` and ``counts``, as a list or compressed.
        height, width: Of the image in pixels.
    """
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if not isinstance(size, (list, tuple)) or len(size) != 2 or counts is None:
        return 'its run-length encoding lacks size or counts'
    if not all(type(side) is int for side in size) or list(size) != [height, width]:
        return (f'its run-length encoding is {printable(size[0], 40)}x{printable(size[1], 40)} '
                f'(height x width), the image {height}x{width}')
    least, total = -1, 0
    if isinstance(counts, (str, bytes)):
        runs = checked_counts(counts)
        if runs is not None:
            least, total = runs.min(initial=0), int(runs.sum())
    elif isinstance(counts, list) and set(map(type, counts)) <= {int}:
        least, total = min(counts, default=0), sum(counts)
    if least < 0:
        return 'its run-length encoding is damaged'
    if total != height * width:
        return (f'its run lengths add up to {printable(total, 40)} px, the image has '
                f'{height * width}')
    return None


def _left_out(annotation, image):
    """mmdet's own rules, which say nothing when they apply."""
    x, y, w, h = annotation['bbox']
    if annotation['area'] <= 0 or w < 1 or h < 1:
        return 'empty', f'its box is {w:g}x{h:g} px and its area {annotation["area"]:g}'
    if min(x + w, image['width']) <= max(x, 0) or min(y + h, image['height']) <= max(y, 0):
        return 'outside', 'its box does not touch the image'
    return None


def cleaned(data: dict, problems: Iterable[Problem]) -> dict:
    """A copy of annotations without the entries that training cannot or will not use.

    Args:
        data: COCO annotations, not changed.
        problems: Those that are kept anyway may be among them.
    """
    bad = [p for p in problems if p.treatment != KEPT]
    images = {p.index for p in bad if p.of_image}
    gone = {data['images'][index].get('id') for index in images}
    left = [image for index, image in enumerate(data['images']) if index not in images]
    gone -= {image.get('id') for image in left}
    annotations = {p.index for p in bad if not p.of_image}
    if 'annotations' not in data:
        return dict(data, images=left)
    return dict(
        data, images=left,
        annotations=[annotation for index, annotation in enumerate(data['annotations'])
                     if index not in annotations and annotation.get('image_id') not in gone])


def _farthest(image):
    """Coordinates beyond are no drawing: pycocotools counts along sides in 32 bits."""
    return 10 * max(image['width'], image['height']) + 1000


def _finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _finite_sum(values):
    try:
        return math.isfinite(sum(values))
    except OverflowError:
        return False


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
