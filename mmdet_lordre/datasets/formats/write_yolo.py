"""Writes YOLO segmentation, as Ultralytics reads it."""
import os
import posixpath
from collections import Counter

import yaml
from pycocotools import mask as mask_api

from ...masks.runs import filled_runs
from ...text import printable
from .coco_data import CocoData
from .output import Images, begin_of, objects_with_masks, parts_of, write_text
from .run_lengths import outlines
from .yolo_labels import renamed_line, written_name


def write(parts: dict[str, CocoData], folder: str, copy: bool, lost: Counter) -> None:
    """Write ``data.yaml``, ``images/PART`` and ``labels/PART``.

    Args:
        parts: Annotations whose categories are the same, in the same order.
        folder: An empty one.
        copy: Whether images are copied.
        lost: Counts what cannot be said.

    Raises:
        UserError: An image that cannot be copied.
    """
    categories = next(iter(parts.values())).data['categories']
    numbers = {category['id']: number for number, category in enumerate(categories)}
    begins = {part: begin_of(data.data, part) for part, data in parts.items()}
    names = [image['file_name'].replace('\\', '/')[begins[part]:]
             for part, data in parts.items() for image in data.data['images']]
    changed = [name for name in names if written_name(name) != name]
    if changed:
        print(renamed_line(printable(changed[0], 120)))
    for part, data in parts.items():
        target = os.path.join(folder, 'images', part) if copy else None
        for name, image, annotations in Images(data, target, written_name, part):
            lines = []
            for annotation, encoded in objects_with_masks(annotations, image, lost):
                polygon = one_polygon(annotation, encoded, lost)
                if polygon:
                    sides = (image['width'], image['height']) * (len(polygon) // 2)
                    lines.append(' '.join([str(numbers[annotation['category_id']]), *(
                        f'{value / side:.12g}' for value, side in zip(polygon, sides))]))
            stem = posixpath.splitext(name)[0]
            write_text(os.path.join(folder, 'labels', part, *f'{stem}.txt'.split('/')),
                       ''.join(f'{line}\n' for line in lines))
    said = {part: f'images/{part}' for part in parts}
    said.setdefault('val', said.get('test', 'images/train'))  # which Ultralytics demands
    said['names'] = {number: category['name'] for number, category in enumerate(categories)}
    write_text(os.path.join(folder, 'data.yaml'),
               yaml.safe_dump(said, sort_keys=False, allow_unicode=True))


def one_polygon(annotation: dict, encoded: dict, lost: Counter) -> list[float]:
    """An object as a single polygon within the image; its parts are joined by lines without width.

    Args:
        annotation: With a segmentation.
        encoded: Its run lengths.
        lost: Counts holes.
    """
    height, width = encoded['size']
    parts = [outer for outer, _ in parts_of(annotation, encoded)]
    if isinstance(annotation['segmentation'], list):
        inside = all(0 <= x <= width and 0 <= y <= height for part in parts
                     for x, y in zip(part[::2], part[1::2]))
        joined = _joined(parts)
        if inside and (len(parts) == 1 or _draws(joined, encoded)):
            return joined
    found = outlines(encoded)
    holes = sum(len(holes) for _, holes in found)
    if holes:
        lost['holes (YOLO has none: they are filled)'] += holes
        # with what lies in them, which a second line around it would cut out again
        found = outlines(_union([outer for outer, _ in found], height, width))
    if not found:
        lost['objects without a pixel'] += 1
    return _joined([outer for outer, _ in found])


def _union(polygons, height, width):
    drawn = mask_api.frPyObjects([list(map(float, one)) for one in polygons], height, width)
    union = mask_api.merge(drawn)
    return dict(union, counts=union['counts'].decode())


def _draws(polygon, encoded):
    """Whether a polygon draws a mask exactly."""
    drawn = mask_api.frPyObjects([list(map(float, polygon))], *encoded['size'])[0]
    return all((a.shape == b.shape and (a == b).all())
               for a, b in zip(filled_runs(drawn), filled_runs(encoded)))


def _joined(parts):
    """One closed line around all polygons, which goes to each and back where it came from."""
    joined = list(parts[0]) if parts else []
    for part in parts[1:]:
        a, b = _nearest(joined, part)
        # there, around the part, and back
        around = part[2 * b:] + part[:2 * b] + part[2 * b:2 * b + 2]
        # along the axes: pycocotools rounds a slanting line differently there and back
        turn = [part[2 * b], joined[2 * a + 1]]
        joined = joined[:2 * a + 2] + turn + around + turn + joined[2 * a:]
    return joined


def _nearest(one, other):
    """Indices of the points of two polygons that are closest to each other, roughly."""
    x, y = sum(other[::2]) / (len(other) // 2), sum(other[1::2]) / (len(other) // 2)
    a = _closest(one, x, y)
    return a, _closest(other, one[2 * a], one[2 * a + 1])


def _closest(polygon, x, y):
    return min(range(len(polygon) // 2),
               key=lambda i: (polygon[2 * i] - x) ** 2 + (polygon[2 * i + 1] - y) ** 2)
