"""How much of an annotation file can be learned, said before training."""
from collections import Counter
from dataclasses import dataclass, field

from ..errors import UserError
from ..text import listed, plural, printable
from .annotation_rules import KEPT, Problem

#: Classes that the line names.
_CLASSES = 10
#: What each reason means where nothing is left, and what to do.
_REMEDIES = {
    'crowd': 'are marked as crowds (iscrowd=1), which are not learned: some tools mark every '
             'object so; train with --crowd-as-instances, or set iscrowd to 0',
    'no mask': 'have boxes but no masks: these are data for detectors of boxes; annotate masks, '
               'or make them from the boxes with a segmentation model first',
    'empty': 'have empty boxes or area 0: export the annotations again',
    'outside': 'lie outside of their images: are the boxes and the images of one data set?',
    'of other classes': 'are of classes that the config does not name',
}


@dataclass
class Usable:
    """What can be learned of a file.

    Attributes:
        total (int): Annotations of the file.
        images (int): Images of the file.
        by_class (dict[str, int]): Annotations that can be learned, of every class.
        reasons (Counter): Why the others cannot: kinds of problems, 'crowd', 'of other classes'.
    """
    total: int
    images: int
    by_class: dict
    reasons: Counter = field(default_factory=Counter)

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
            text += f'; no object of {plural(len(without), "class").replace("classs", "classes")}'\
                    f' ({listed(without, _CLASSES)})'
        if self.reasons:
            text += '; not learned: ' + ', '.join(
                f'{count} {reason}' for reason, count in self.reasons.most_common())
        return text

    def demand_some(self, path: str) -> None:
        """Refuse a file that nothing can be learned from.

        Raises:
            UserError: saying why, and what to do.
        """
        if self.count:
            return
        if not self.total:
            raise UserError(f'{path}: 0 annotations: nothing can be learned from '
                            f'{plural(self.images, "image")}; was it exported with its labels?')
        reason, count = self.reasons.most_common(1)[0]
        remedy = _REMEDIES.get(reason, f'have this problem: {reason}; lordre check-dataset lists '
                                       'each')
        raise UserError(f'{path}: 0 of {plural(self.total, "annotation")} can be learned: '
                        f'{count} {remedy}')


def usable_annotations(data: dict, problems: list[Problem], classes: tuple | None = None) -> Usable:
    """Count what can be learned.

    Args:
        data: COCO annotations.
        problems: What :func:`~.annotation_rules.annotation_problems` finds in them.
        classes: Names that the config takes; None for all of the file.
    """
    names = {category.get('id'): str(category.get('name')) for category in data['categories']}
    annotations = data.get('annotations', ())
    bad = {p.index: p.kind for p in problems if not p.of_image and p.treatment != KEPT}
    reasons = Counter()
    wanted = set(names.values() if classes is None else classes)
    by_class = dict.fromkeys((name for name in names.values() if name in wanted), 0)
    for index, annotation in enumerate(annotations):
        name = names.get(annotation.get('category_id'))
        if annotation.get('iscrowd'):
            reasons['crowd'] += 1
        elif index in bad:
            reasons[bad[index]] += 1
        elif name not in wanted:
            reasons['of other classes'] += 1
        else:
            by_class[name] += 1
    return Usable(len(annotations), len(data['images']), by_class, reasons)
