"""The mosaics of a data set: which they are, and their tiles."""
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..datasets.annotation_rules import KINDS, category_name
from ..datasets.checking import CheckedPart
from ..datasets.doubts import learned_objects
from ..text import plural, printable
from .choose import (
    Shown,
    by_area,
    chosen_images,
    chosen_objects,
    crowded_images,
    doubtful,
    images_by_size,
)
from .tiles import Tiles

#: Tiles of all classes together: of many classes each has fewer.
_MOST = 1500
#: Kinds of problems that can be seen, the gravest first.
KINDS_SHOWN = [kind for kind in KINDS if kind not in (
    'crowd', 'image without instances', 'crowded image', 'extreme shape', 'not 8-bit color',
    'unknown image', 'image missing', 'image unreadable')]


@dataclass(frozen=True)
class Tile:
    """A picture and what stands below it.

    Attributes:
        picture (ndarray): (h, w, 3) uint8, RGB.
        lines: Printable text.
    """
    picture: np.ndarray
    lines: tuple


@dataclass(frozen=True)
class Section:
    """A mosaic.

    Attributes:
        group: 'pictures', 'classes', 'doubtful' or 'network'.
        title: Printable.
        note: A sentence about it.
        tiles: Its pictures.
    """
    group: str
    title: str
    note: str
    tiles: list


def sections_of(part: CheckedPart, tiles: Tiles, count: int = 24, seed: int = 0
                ) -> Iterator[Section]:
    """Mosaics of one part: images, classes, and what is doubtful.

    Args:
        part: As :func:`~mmdet_lordre.datasets.checking.check_part` gives it.
        tiles: Of the same part.
        count: Tiles of a mosaic.
        seed: For those that are drawn by lot.
    """
    data = part.data
    objects = learned_objects(data, part.problems)

    def section(group, title, note, shown):
        drawn = [tile for tile in (draw(part, tiles, one) for one in shown) if tile is not None]
        return Section(group, title, note, drawn) if drawn else None

    wanted = [
        ('pictures', 'Chosen at random', 'Images with all of their masks.',
         chosen_images(data, count, seed)),
        ('pictures', 'Most crowded', 'The images with the most objects.',
         crowded_images(objects, count)),
        ('pictures', 'Largest images', 'By pixels.', images_by_size(data, count // 2, True)),
        ('pictures', 'Smallest images', 'By pixels.', images_by_size(data, count // 2, False)),
        ('pictures', 'Largest objects', 'By the area of the mask.', by_area(objects, count, True)),
        ('pictures', 'Smallest objects', 'By the area of the mask.',
         by_area(objects, count, False)),
    ]
    each = max(4, min(2 * count, _MOST // max(1, len(data['categories']))))
    for label, category in enumerate(data['categories']):
        number = int((objects.label == label).sum())
        wanted.append(('classes', printable(category_name(category), 60), plural(number, 'object')
                       + (f', {each} of them chosen at random.' if number > each else '.'),
                       chosen_objects(objects, label, each, seed)))
    wanted += [('doubtful', kind[0].upper() + kind[1:], f'{_count(part, kind)} in all; '
                f'{KINDS[kind][1]}', doubtful(part.problems, kind, count))
               for kind in KINDS_SHOWN if _count(part, kind)]
    for one in wanted:
        found = section(*one)
        if found is not None:
            yield found


def draw(part: CheckedPart, tiles: Tiles, shown: Shown) -> Tile | None:
    """A tile with the names of what it shows, None for what cannot be drawn."""
    picture = tiles.picture(shown.index) if shown.of_image else tiles.object(shown.index)
    if picture is None:
        return None
    if shown.of_image:
        lines = [_name(part.data['images'][shown.index])]
    else:
        annotation = part.data['annotations'][shown.index]
        label = tiles.label_of(shown.index)
        name = 'no class' if label is None else category_name(part.data['categories'][label])
        area = annotation.get('area')
        size = f', {area:.0f} px' if type(area) in (int, float) and abs(area) < 1e12 else ''
        lines = [f'{printable(name, 40)}{size}',
                 f'{printable(annotation.get("id"), 20)} in '
                 f'{_name(part.data["images"][tiles.image_of(shown.index)])}']
    return Tile(picture, tuple(lines + [printable(shown.note, 200)] * bool(shown.note)))


def _count(part, kind):
    return sum(problem.kind == kind for problem in part.problems)


def _name(image):
    return printable(image.get('file_name'), 60)
