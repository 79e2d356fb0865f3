"""All that is known to be wrong, doubtful or twice in a data set, part by part."""
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..text import quoted
from .annotation_rules import KINDS, STOP, Problem, annotation_problems, category_name
from .coco_file import class_names
from .doubts import annotated_twice, learned_objects, unusual_for_class
from .formats import CocoData
from .image_rules import image_file_problems, listed_image_problems
from .kept_rules import unusual_annotations
from .pictures_twice import pictures_twice
from .repairs import Repairs, describe, names_alike
from .units import refuse_other_units
from .usable import Usable, not_measured, usable_annotations


@dataclass
class CheckedPart:
    """What was found in one part of a data set.

    Attributes:
        name: 'train', 'val' or 'test'.
        source: File or folder that it was read from.
        folder: Of its images; empty if they are not looked at.
        data: Its annotations, mended.
        notes: What was mended and lost, a line each.
        problems: What was found.
        usable (Usable): How much can be learned.
    """
    name: str
    source: str
    folder: str
    data: dict
    notes: list[str]
    problems: list[Problem]
    usable: Usable = field(repr=False)

    @property
    def stops(self) -> bool:
        """Whether training would stop at something."""
        return any(problem.treatment == STOP for problem in self.problems)

    def as_json(self) -> dict:
        """All of it in what JSON has, for programs."""
        def entry(problem):
            of = self.data['images' if problem.of_image else 'annotations'][problem.index]
            return dict(kind=problem.kind, treatment=problem.treatment, of='image'
                        if problem.of_image else 'annotation', id=of.get('id'),
                        index=problem.index, where=problem.where, what=problem.what)
        return dict(
            source=self.source, images=len(self.data['images']), annotations=self.usable.total,
            learnable=self.usable.by_class, not_learned=dict(self.usable.reasons),
            notes=self.notes, would_stop=self.stops,
            kinds={kind: dict(count=sum(p.kind == kind for p in self.problems),
                              treatment=KINDS[kind][0], effect=KINDS[kind][1])
                   for kind in KINDS if any(p.kind == kind for p in self.problems)},
            problems=[entry(problem) for problem in self.problems])


def check_part(name: str, part: CocoData, look_at_images: bool = True, need_masks: bool = True,
               upright: bool = True) -> CheckedPart:
    """Check one part.

    Args:
        name: 'train', 'val' or 'test'.
        part: As :func:`~.formats.open_data` gives it.
        look_at_images: Whether images are decoded, to find those that are damaged.
        need_masks: Whether an annotation without a mask is a problem.
        upright: Whether images are turned by their orientation tag when they are read.

    Raises:
        UserError: Something that training would misread.
    """
    folder = part.folder if look_at_images else ''
    notes = [line for line in [part.line()] if line]
    repairs = Repairs(part.data, part.source)
    if repairs.make(folder or None, upright).notes:
        notes.append(describe(part.source, repairs.notes))
    data = repairs.data if repairs.notes else part.data
    class_names(data, part.source)
    notes += [f'the classes {quoted(one)} and {quoted(other)} differ in case or spaces alone'
              for one, other in names_alike(data)]
    apart = refuse_other_units(data, part.source)
    notes += [apart] if apart else []
    problems = list(annotation_problems(data, need_masks))
    objects = learned_objects(data, problems)
    problems += unusual_annotations(data, problems)
    problems += annotated_twice(data, objects)
    problems += unusual_for_class(data, objects)
    problems += listed_image_problems(data, thorough=True)
    if folder:
        problems += image_file_problems(data, folder, upright=upright, thorough=True)
    return CheckedPart(name, part.source, folder, data, notes, problems,
                       usable_annotations(data, problems))


def check_between(parts: Mapping[str, CheckedPart],
                  look: bool = True) -> tuple[list[str], bool]:
    """Compare parts with each other: what is in two is added to the problems of the later one.

    Args:
        parts: By their names; those of which no images are looked at are left out.
        look: Whether images are compared; else only files.

    Returns:
        tuple[list[str], bool]: lines about classes that parts do not have in common, and whether
            training would stop at them.
    """
    seen = {name: part for name, part in parts.items() if part.folder}
    for name, problems in pictures_twice({name: (part.data, part.folder)
                                          for name, part in seen.items()}, look).items():
        parts[name].problems += problems
    first = next(iter(parts.values()))
    known = {category_name(category) for category in first.data['categories']}
    lines, stops = [], False
    for part in list(parts.values())[1:]:
        missing = {category['id']: category_name(category) for category in part.data['categories']
                   if category_name(category) not in known}
        counts = dict.fromkeys(missing.values(), 0)
        for annotation in part.data.get('annotations', ()):
            if annotation.get('category_id') in missing:
                counts[missing[annotation['category_id']]] += 1
        stops = stops or any(counts.values())
        lines += [f'{part.name} has {count} of the class {quoted(name)}, which {first.name} does '
                  'not have: training stops' for name, count in counts.items() if count]
        # also of a class that the part does not list
        lacking = [name for name, count in first.usable.by_class.items()
                   if count and not part.usable.by_class.get(name)]
        if lacking:
            lines.append(not_measured(f'{part.name} has', lacking))
    return lines, stops
