"""Supervisely: bitmaps and polygons with holes, in projects of data sets."""
import posixpath

from ...errors import UserError
from ...text import plural, printable, quoted
from .coco_data import Builder, CocoData, checked_size, refuse_boxes_alone
from .folder import IMAGES, Folder
from .image_names import ImageNames
from .options import Options, part_of
from .pieces import Grouped, corners, rectangle
from .reading import packed_mask, read_json
from .run_lengths import rle_of_crop

NAME = 'Supervisely'
_META = 'meta.json'


def data_sets(folder: Folder, sub: str = '', depth: int = 6) -> list[str]:
    """Folders that have ``ann`` and ``img`` in them."""
    found = [sub] if all(folder.is_folder(posixpath.join(sub, name)) for name in ('ann', 'img')) \
        else []
    for name in folder.folders(sub) if depth and not found else ():
        found += data_sets(folder, name, depth - 1)
    return found


def recognize(folder: Folder) -> bool:
    """Whether a folder holds a project, or a data set of one."""
    found = data_sets(folder)
    return bool(found) and next(folder.walk(posixpath.join(found[0], 'ann'), ('.json',)),
                                None) is not None


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts of a project: data sets called train, val and test, others are for training.

    Args:
        folder: The project.
        options: ``images`` is refused: images lie in ``img``.
        file: Not used.

    Raises:
        UserError: Objects that make no sense, or rectangles alone.
    """
    if options.images is not None:
        raise UserError('the images of Supervisely data lie in img/ beside ann/: leave out the '
                        'folder of images')
    builder = Builder(NAME, folder.path, folder.path)
    listed = _classes(folder)
    counts = dict(rectangle=0, others=0, joined=0)
    files = [(place, name) for place in data_sets(folder)
             for name in folder.files(posixpath.join(place, 'ann'), ('.json',))]
    matched = ImageNames(folder, [(posixpath.basename(name)[:-len('.json')],
                                   posixpath.join(place, 'img')) for place, name in files])
    for index, (place, name) in enumerate(files):
        part = part_of(posixpath.basename(place)) or 'train'
        file = matched.found[index] or matched.lost_name(index)
        _read_image(folder, file, name, builder, part, counts)
    for note in matched.notes():
        builder.note(note)
    known = set(matched.found)
    alone = [name for place in data_sets(folder)
             for name in folder.files(posixpath.join(place, 'img'), IMAGES) if name not in known]
    if alone:
        builder.note(f'{plural(len(alone), "image")} without a JSON file left out '
                     f'({printable(alone[0], 60)})')
    refuse_boxes_alone(folder.path, counts['rectangle'], counts['others'])
    if counts['rectangle']:
        builder.note(f'{plural(counts["rectangle"], "rectangle")} taken as masks')
    if counts['joined']:
        builder.note(f'{plural(counts["joined"], "object")} of several figures of one instance')
    builder.list_classes(listed)
    return builder.finish()


def _classes(folder):
    """Names of the classes in ``meta.json``."""
    if not folder.is_file(_META):
        return []
    meta = read_json(folder.join(_META))
    classes = meta.get('classes') if isinstance(meta, dict) else None
    titles = [entry.get('title') for entry in classes or [] if isinstance(entry, dict)]
    return list(dict.fromkeys(title for title in titles if isinstance(title, str)))


def _read_image(folder, file, name, builder, part, counts):
    path = folder.join(name)
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get('objects'), list):
        raise UserError(f'{path} has no list "objects"')
    size = data.get('size') or {}
    width, height = checked_size(size.get('width'), size.get('height'), path)
    image = builder.image(part, file, width, height)
    grouped = Grouped()
    for index, entry in enumerate(data['objects']):
        where = f'{path}, object {index}'
        if not isinstance(entry, dict) or not isinstance(entry.get('classTitle'), str):
            raise UserError(f'{where} has no classTitle')
        kind = entry.get('geometryType') or entry.get('type') or (
            'bitmap' if entry.get('bitmap') else 'polygon')
        kind = 'bitmap' if kind == 'alpha_mask' else kind
        if kind not in ('bitmap', 'polygon', 'rectangle'):
            builder.lose(f'figures of the kind {quoted(kind, 20)}, which have no area')
            continue
        counts['rectangle' if kind == 'rectangle' else 'others'] += 1
        group = entry.get('instance')
        thing = grouped.object(entry['classTitle'], group if isinstance(group, str) else None)
        if kind == 'bitmap':
            thing.masks.append(_bitmap(entry, image, where))
            continue
        points = entry.get('points') if isinstance(entry.get('points'), dict) else {}
        outer = corners(points.get('exterior'), where)
        if kind == 'rectangle':
            if len(outer) != 4:
                raise UserError(f'{where}: a rectangle of {plural(len(outer) // 2, "point")}')
            outer = rectangle(*outer)
        holes = [corners(hole, where) for hole in points.get('interior') or []]
        if not holes:
            thing.polygons.append(outer)
        else:
            # a hole is one of its own figure, not of the others of the instance
            thing.add_with_holes(outer, holes, image)
    counts['joined'] += grouped.joined
    for thing in grouped.objects:
        thing.put(builder, part, image)


def _bitmap(entry, image, where):
    bitmap = entry.get('bitmap') if isinstance(entry.get('bitmap'), dict) else {}
    try:
        x, y = (int(value) for value in bitmap.get('origin') or ())
        mask = packed_mask(bitmap.get('data') or '', zipped=True)
    except (ValueError, TypeError) as error:
        raise UserError(f'{where}: its bitmap cannot be read: {error}') from error
    return rle_of_crop(mask, x, y, image['height'], image['width'])
