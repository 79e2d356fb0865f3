"""How much of an annotation file can be learned, said before training."""
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import UserError
from ..text import agree, listed, plural, printable
from .annotation_rules import KEPT, Problem

#: Share of crowds above which they are a tool's mistake; COCO itself has 1 %.
_MOST_CROWDS = 0.9
#: Classes that the line names.
_CLASSES = 10
_SMALL, _GONE = 'in small images', 'in images that cannot be used'
#: What each reason means where nothing is left, and what to do.
_REMEDIES = {
    'crowd': 'are marked as crowds (iscrowd=1), which are not learned: some tools mark every '
             'object as one; take them as objects with --crowd-as-instances, or set iscrowd to 0',
    'no mask': 'have boxes but no masks: these are data for detectors of boxes; annotate masks, '
               'or make them from the boxes with a segmentation model first',
    'empty': 'have empty boxes or area 0: export the annotations again',
    'outside': 'lie outside of their images: are the boxes and the images of one data set?',
    'of other classes': 'are of classes that the config does not name',
    'too large': 'are in images whose width and height in the file say more pixels than can be '
                 'decoded: correct them',
    'image without size': 'are in images whose width or height in the file is no number of pixels: '
                          'correct them, or take both out to have them read from the images',
    'unknown image': 'refer to images that are not listed, by their image_id: do the ids of the '
                     'two lists belong together?',
    'unknown category': 'refer to categories that are not listed, by their category_id: do the '
                        'ids of the two lists belong together?',
    _SMALL: 'are in images that filter_cfg.min_size of the data set leaves out: lower it',
    _GONE: 'are in images that are missing or cannot be used; is the folder of images the right '
           'one?',
}


@dataclass
class Usable:
    """What can be learned of a file.

    Attributes:
        total: Annotations of the file.
        images: Images of the file.
        by_class: Annotations that can be learned, of every class.
        reasons (Counter): Why the others cannot: kinds of problems, 'crowd', 'of other classes'.
        wrong_image: What is wrong with the first image that cannot be used, if there is one.
    """
    total: int
    images: int
    by_class: dict
    reasons: Counter = field(default_factory=Counter)
    wrong_image: str = ''

    @property
    def count(self) -> int:
        """Annotations that can be learned."""
        return sum(self.by_class.values())

    def line(self, path: str) -> str:
        """The line that is said before training."""
        with_objects = sorted((n for n in self.by_class if self.by_class[n]),
                              key=self.by_class.get, reverse=True)
        text = (f'{printable(path)}: {self.count} of {plural(self.total, "annotation")} in '
                f'{plural(self.images, "image")} can be learned')
        if with_objects:
            text += ': ' + listed([f'{name} {self.by_class[name]}' for name in with_objects],
                                  _CLASSES)
        without = [name for name in self.by_class if not self.by_class[name]]
        if without:
            text += f'; no object of {plural(len(without), "class")} ({listed(without, _CLASSES)})'
        if self.reasons:
            text += '; not learned: ' + ', '.join(
                f'{count} {reason}' for reason, count in self.reasons.most_common())
        return text

    def demand_few_crowds(self, path: str) -> None:
        """Refuse a file in which nearly every object is marked as a crowd.

        Raises:
            UserError: Saying so, and what to do.
        """
        crowds = self.reasons['crowd']
        if crowds > _MOST_CROWDS * self.total:
            raise UserError(f'{path}: {crowds} of {plural(self.total, "annotation")} '
                            f'{_REMEDIES["crowd"]}')

    def demand_usable(self, path: str) -> None:
        """Refuse a file that nothing can be learned from.

        Raises:
            UserError: Saying why, and what to do.
        """
        if self.count:
            return
        if not self.total:
            raise UserError(f'{path}: 0 of 0 annotations can be learned: it has none, for '
                            f'{plural(self.images, "image")}; was it exported with its labels?')
        reason, count = self.reasons.most_common(1)[0]
        remedy = _REMEDIES.get(reason, f'have this problem: {reason}; lordre check lists '
                                       'each')
        if reason == _GONE and self.wrong_image:
            remedy = f'{remedy} The first: {printable(self.wrong_image, 300)}'
        raise UserError(f'{path}: 0 of {plural(self.total, "annotation")} can be learned: '
                        f'{count} {remedy}')


def usable_annotations(data: dict, problems: list[Problem],
                       classes: Iterable[str] | None = None, min_size: int = 0) -> Usable:
    """Count what can be learned.

    Args:
        data: COCO annotations.
        problems: What the rules find in them and in their images.
        classes: Names that the config takes; None for all of the file.
        min_size: Side in pixels below which mmdet leaves an image out.
    """
    names = {category.get('id'): str(category.get('name')) for category in data['categories']}
    annotations = data.get('annotations', ())
    images = {image.get('id'): None for image in data['images']}
    for image in data['images']:
        if min_size and min(_side(image, 'width'), _side(image, 'height')) < min_size:
            images[image.get('id')] = _SMALL
    wrong_image = ''
    for problem in problems:
        if problem.of_image and problem.treatment != KEPT \
                and problem.kind != 'duplicate image id':  # another one is left
            images[data['images'][problem.index].get('id')] = _GONE
            wrong_image = wrong_image or problem.what
    bad = {p.index: p.kind for p in problems if not p.of_image and p.treatment != KEPT}
    reasons = Counter()
    wanted = set(names.values() if classes is None else classes)
    by_class = dict.fromkeys((name for name in names.values() if name in wanted), 0)
    for index, annotation in enumerate(annotations):
        name = names.get(annotation.get('category_id'))
        if annotation.get('iscrowd') and bad.get(index) != 'bad crowd flag':
            reasons['crowd'] += 1
        elif index in bad:
            reasons[bad[index]] += 1
        elif images.get(annotation.get('image_id')):
            reasons[images[annotation['image_id']]] += 1
        elif name not in wanted:
            reasons['of other classes'] += 1
        else:
            by_class[name] += 1
    return Usable(len(annotations), len(data['images']), by_class, reasons, wrong_image)


def not_measured(where: str, lacking: Sequence[str]) -> str:
    """The sentence on classes that are learned, and that a part to judge on has no object of.

    Args:
        where: The part, with its verb: 'val has'.
        lacking: Names of the classes, one at least.
    """
    count = len(lacking)
    return (f'{where} nothing of {plural(count, "class")} that {agree(count, "is", "are")} learned '
            f'({listed(lacking)}): {agree(count, "it is", "they are")} not measured')


def _side(image, key):
    return image[key] if type(image.get(key)) is int else 0
