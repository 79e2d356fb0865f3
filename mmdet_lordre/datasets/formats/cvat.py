"""CVAT's own XML, "CVAT for images 1.1": polygons, masks and ellipses."""
import math
from xml.etree.ElementTree import Element

import numpy as np

from ...errors import UserError
from ...text import plural, quoted
from .coco_data import Builder, CocoData, checked_size, refuse_boxes_alone
from .folder import Folder
from .image_names import ImageNames
from .options import Options, part_of
from .pieces import Grouped
from .reading import xml_elements, xml_root
from .run_lengths import ellipse, rle_of_crop

NAME = 'CVAT XML'
_ROOT = 'annotations'


def files_of(folder: Folder) -> list[str]:
    """CVAT's files right in a folder."""
    return [name for name in folder.files('', ('.xml',)) if xml_root(folder.join(name)) == _ROOT]


def recognize(folder: Folder) -> bool:
    """Whether a folder holds an export of CVAT."""
    return bool(files_of(folder))


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts of an export: subsets of a project that are called so, else one.

    Args:
        folder: That holds it.
        options: ``images`` says where the images are.
        file: Name of the XML file.

    Raises:
        UserError: Tracks of a video, boxes alone, or shapes that make no sense.
    """
    names = [file] if file else files_of(folder)
    if len(names) > 1:
        raise UserError(f'{folder.path} has several exports of CVAT ({", ".join(names)}): give one '
                        'of the files')
    path = folder.join(names[0])
    images = Folder(options.images) if options.images else folder
    builder, labels = Builder(NAME, path, images.path), {}
    matched = ImageNames(images, [(element.get('name') or '', '')
                                  for element in xml_elements(path, ('image',))])
    number = 0
    counts = dict(box=0, shapes=0, joined=0)
    for element in xml_elements(path, ('meta', 'image', 'track')):
        if element.tag == 'track':
            raise UserError(f'{path} holds tracks of a video ("CVAT for video"): export the task '
                            'as "CVAT for images 1.1"')
        if element.tag == 'meta':
            labels.update(dict.fromkeys(
                name.text or '' for parent in element.iter('labels') for name in
                parent.findall('label/name')))
        else:
            file = matched.found[number] or matched.lost_name(number)
            _read_image(element, path, builder, file, counts)
            number += 1
    refuse_boxes_alone(path, counts['box'], counts['shapes'], 'boxes')
    if counts['box']:
        builder.note(f'{plural(counts["box"], "object")} with a box and no mask')
    for note in matched.notes():
        builder.note(note)
    if counts['joined']:
        builder.note(f'{plural(counts["joined"], "object")} of several shapes in one group')
    builder.list_classes(labels)
    return builder.finish()


def _read_image(element: Element, path, builder, file, counts):
    name = element.get('name') or ''
    where = f'{path}, image {quoted(name, 80)}'
    part = part_of(element.get('subset') or '') or 'train'
    width, height = checked_size(element.get('width'), element.get('height'), where)
    image = builder.image(part, file, width, height)
    grouped = Grouped()
    for shape in element:
        label = shape.get('label') or ''
        group = shape.get('group_id')
        if shape.tag == 'box':
            x1, y1, x2, y2 = (_number(shape, key, where) for key in ('xtl', 'ytl', 'xbr', 'ybr'))
            counts['box'] += 1
            builder.add(part, image, label, None, box=[x1, y1, x2 - x1, y2 - y1])
            continue
        if shape.tag not in ('polygon', 'mask', 'ellipse'):
            builder.lose(f'shapes of the kind {quoted(shape.tag, 20)}, which have no area')
            continue
        counts['shapes'] += 1
        thing = grouped.object(label, group if group not in (None, '', '0') else None)
        if shape.tag == 'polygon':
            thing.polygons.append(_polygon(shape, where))
        else:
            thing.masks.append((_mask if shape.tag == 'mask' else _ellipse)(shape, image, where))
    counts['joined'] += grouped.joined
    for thing in grouped.objects:
        thing.put(builder, part, image)


def _number(shape, key, where):
    try:
        value = float(shape.get(key))
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{where}: {key} of a {shape.tag} is {quoted(shape.get(key))}')
    return value


def _polygon(shape, where):
    try:
        return [float(value) for pair in (shape.get('points') or '').split(';') if pair.strip()
                for value in pair.split(',')]
    except ValueError:
        raise UserError(f'{where}: the points of a polygon are {quoted(shape.get("points"))}, not '
                        'x,y;x,y;...') from None


def _ellipse(shape, image, where):
    x, y, rx, ry = (_number(shape, key, where) for key in ('cx', 'cy', 'rx', 'ry'))
    angle = _number(shape, 'rotation', where) if shape.get('rotation') else 0
    try:
        return ellipse(x, y, rx, ry, math.radians(angle), image['height'], image['width'])
    except ValueError as error:
        raise UserError(f'{where}: {error}') from error


def _mask(shape, image, where):
    """Run lengths of a box, row by row, the first of background."""
    left, top, width, height = (int(_number(shape, key, where))
                                for key in ('left', 'top', 'width', 'height'))
    try:
        counts = np.array([int(value) for value in (shape.get('rle') or '').split(',')], np.int64)
    except (ValueError, OverflowError):
        counts = np.array([-1])
    if width < 1 or height < 1 or width * height > image['width'] * image['height'] \
            or counts.min() < 0 or counts.max() > width * height \
            or counts.sum() != width * height:
        raise UserError(f'{where}: the run lengths of a mask do not fill its box of '
                        f'{width}x{height} px')
    mask = np.repeat(np.arange(len(counts)) % 2, counts).reshape(height, width)
    return rle_of_crop(mask, left, top, image['height'], image['width'])
