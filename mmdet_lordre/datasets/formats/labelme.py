"""LabelMe: a JSON file for each image, with polygons, rectangles, circles and masks."""
import math
import posixpath

from ...errors import UserError
from ...text import plural, printable, quoted
from .coco_data import Builder, CocoData, checked_size, refuse_boxes_alone
from .folder import IMAGES, Folder
from .image_names import ImageNames
from .options import Options, part_of_folders
from .pieces import Grouped, corners, rectangle
from .reading import packed_mask, read_json
from .run_lengths import ellipse, rle_of_crop

NAME = 'LabelMe'
#: Labels with a meaning of their own: what is painted over, and what is no object.
_BACKGROUND, _IGNORED = '_background_', '__ignore__'
#: Kinds of shapes that are boxes: turned ones are X-AnyLabeling's, with four corners.
_RECTANGLES = 'rectangle', 'rotation'
#: Files that are looked at to tell the format.
_LOOKS = 5


def is_labelme(data: object) -> bool:
    """Whether a JSON file is one of LabelMe's."""
    return isinstance(data, dict) and isinstance(data.get('shapes'), list) \
        and ('imagePath' in data or 'imageData' in data or 'version' in data)


def recognize(folder: Folder) -> bool:
    """Whether a folder holds LabelMe's files."""
    for _, name in zip(range(_LOOKS), folder.walk('', ('.json',))):
        try:
            if is_labelme(read_json(folder.join(name))):
                return True
        except UserError:
            continue
    return False


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts of a folder; folders called train, val and test in it are parts.

    Args:
        folder: That holds the files.
        options: ``images`` says where the images are.
        file: Name of the only file to read.

    Raises:
        UserError: Shapes that make no sense, or rectangles alone.
    """
    images = Folder(options.images) if options.images else folder
    builder = Builder(NAME, folder.join(file or ''), images.path)
    counts = dict(rectangles=0, others=0, embedded=0, joined=0, unknown=0)
    files = []
    for name in [file] if file else folder.walk('', ('.json',)):
        data = read_json(folder.join(name))
        if not is_labelme(data):
            counts['unknown'] += 1
            continue
        # the image itself, as text, is not kept
        files.append((name, dict(data, imageData=bool(data.get('imageData')))))
    matched = ImageNames(images, [(_said(name, data), posixpath.dirname(name)
                                   if images is folder else '') for name, data in files])
    for index, (name, data) in enumerate(files):
        path, part = folder.join(name), part_of_folders(name) or 'train'
        image = _image(builder, part, matched, index, data, path, counts)
        for thing in _objects(data['shapes'], image, path, builder, counts):
            thing.put(builder, part, image)
    refuse_boxes_alone(builder.source, counts['rectangles'], counts['others'])
    if counts['rectangles']:
        builder.note(f'{plural(counts["rectangles"], "rectangle")} taken as masks')
    for note in matched.notes():
        builder.note(note)
    # LabelMe writes no file for a picture that nobody has opened
    known = set(matched.found)
    places = {posixpath.dirname(found) for found in matched.found if found}
    alone = [] if file else [name for place in sorted(places)
                             for name in images.files(place, IMAGES)
                             if name not in known]
    if alone:
        builder.note(f'{plural(len(alone), "image")} without a JSON file left out '
                     f'({printable(alone[0], 60)})')
    if counts['joined']:
        builder.note(f'{plural(counts["joined"], "object")} of several shapes with one group_id')
    if counts['unknown']:
        builder.note(f'{plural(counts["unknown"], "JSON file")} of another kind not read')
    if counts['embedded']:
        builder.note(f'{plural(counts["embedded"], "image")} in the JSON files alone (imageData): '
                     'write them to files, with labelme_export_json for example')
    return builder.finish()


def _said(name, data):
    """What a file calls its image."""
    said = data.get('imagePath')
    return said if isinstance(said, str) and said else posixpath.basename(name)


def _image(builder, part, matched, index, data, path, counts):
    """The image that a file is about."""
    # it may have been renamed together with its annotations
    found = matched.found[index] or matched.beside(
        index, posixpath.splitext(posixpath.basename(path))[0])
    counts['embedded'] += found is None and data['imageData']
    width, height = data.get('imageWidth'), data.get('imageHeight')
    if width is not None and height is not None:
        width, height = checked_size(width, height, path)
    return builder.image(part, found or matched.lost_name(index), width, height)


def _objects(shapes, image, path, builder, counts):
    """Objects of an image; the shapes of one label and group_id are one."""
    grouped = Grouped()
    for index, shape in enumerate(shapes):
        where = f'{path}, shape {index}'
        if not isinstance(shape, dict) or not isinstance(shape.get('label'), (str, int)):
            raise UserError(f'{where} has no label: {quoted(shape)}')
        label, kind = str(shape['label']), shape.get('shape_type') or 'polygon'
        if label == _IGNORED:
            builder.lose(f'shapes labeled {_IGNORED}')
            continue
        if kind not in ('polygon', *_RECTANGLES, 'circle', 'mask'):
            builder.lose(f'shapes of the kind {quoted(kind, 20)}, which have no area')
            continue
        if image['width'] is None:
            continue
        points = corners(shape.get('points'), where)
        drawn = _drawn(shape, kind, points, image, where)
        if label == _BACKGROUND:
            # painted over what was drawn before it
            for thing in grouped.objects:
                thing.cut.append(drawn)
            continue
        counts['rectangles' if kind in _RECTANGLES else 'others'] += 1
        group = shape.get('group_id')
        thing = grouped.object(label, group if isinstance(group, (int, str)) else None)
        (thing.masks if isinstance(drawn, dict) else thing.polygons).append(drawn)
    counts['joined'] += grouped.joined
    return grouped.objects


def _drawn(shape, kind, points, image, where):
    """A polygon or run lengths of a shape."""
    height, width = image['height'], image['width']
    if kind in ('polygon', 'rotation'):
        return points
    if not all(map(math.isfinite, points)) or len(points) < 4:
        raise UserError(f'{where}: a {kind} of the points {quoted(points)}')
    if kind == 'rectangle':
        xs, ys = points[::2], points[1::2]
        return rectangle(min(xs), min(ys), max(xs), max(ys))
    if kind == 'circle':
        x, y, rim_x, rim_y = points[:4]
        radius = math.hypot(rim_x - x, rim_y - y)
        try:
            return ellipse(x, y, radius, radius, 0, height, width)
        except ValueError as error:
            raise UserError(f'{where}: {error}') from error
    try:
        mask = packed_mask(shape.get('mask') or '', zipped=False)
    except ValueError as error:
        raise UserError(f'{where}: its mask cannot be read: {error}') from error
    return rle_of_crop(mask, int(points[0]), int(points[1]), height, width)
