"""VGG Image Annotator: projects and exports of version 2 (and 1), projects of version 3."""
import posixpath
from collections import Counter
from collections.abc import Iterator

from ...errors import UserError
from ...text import listed, plural, printable, quoted
from ..coco_file import read_json_file
from .coco_data import Builder, CocoData, refuse_boxes_alone
from .folder import Folder
from .image_names import ImageNames
from .options import Options, part_of_folders
from .pieces import Pieces, rectangle
from .run_lengths import ellipse

NAME = 'VGG Image Annotator'
#: Attributes that are the class, where there are several.
_CLASSES = ('class', 'label', 'category', 'name', 'type', 'object', 'class_name', 'classname')
_SHAPES = {2: 'rect', 3: 'circle', 4: 'ellipse', 7: 'polygon'}
_NONE = ('', 'undefined', 'unknown')


def is_via(data: object) -> bool:
    """Whether a JSON file is VIA's."""
    if not isinstance(data, dict) or not data:
        return False
    if '_via_img_metadata' in data or {'project', 'file', 'view', 'metadata'} <= data.keys():
        return True
    first = next(iter(data.values()))
    return isinstance(first, dict) and 'filename' in first and 'regions' in first


def files_of(folder: Folder) -> list[str]:
    """VIA's files in a folder and the folders right in it (the balloons have one in each)."""
    found = []
    for place in ('', *folder.folders()):
        for name in folder.files(place, ('.json',))[:5]:
            try:
                if is_via(read_json_file(folder.join(name))):
                    found.append(name)
            except UserError:
                continue
    return found


def recognize(folder: Folder) -> bool:
    """Whether a folder holds VIA's files."""
    return bool(files_of(folder))


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts of a folder: those of VIA's files in folders called so, else one.

    Args:
        folder: That holds the file.
        options: ``images`` says where the images are, ``class_name`` what regions without
            attributes are.
        file: Name of the only file to read.

    Raises:
        UserError: No image is found, nothing tells which attribute is the class, or rectangles
            alone.
    """
    names = [file] if file else files_of(folder)
    images = Folder(options.images) if options.images else folder
    builder = Builder(NAME, folder.join(names[0] if len(names) == 1 else ''), images.path)
    kinds, missing = Counter(), []
    read_files = []
    for name in names:
        path = folder.join(name)
        data = read_json_file(path)
        pictures = list((_pictures3 if 'metadata' in data else _pictures2)(data, path))
        read_files.append((name, path, pictures))
    attribute = _class_attribute([region for _, _, pictures in read_files
                                  for _, regions in pictures for region in regions], builder)
    matched = ImageNames(images, [
        (said, posixpath.dirname(name) if images is folder else '')
        for name, _, pictures in read_files for said, _ in pictures])
    files = iter(matched.found)
    for name, path, pictures in read_files:
        for said, regions in pictures:
            found = next(files)
            if found is None:
                missing.append(said)
                continue
            part = part_of_folders(name) or 'train'
            image = builder.image(part, found)
            if image['width'] is not None:
                for shape, attributes in regions:
                    _add(builder, part, image, shape, attributes, attribute, options, kinds, path)
    if missing and not builder.parts:
        raise UserError(f'{builder.source}: none of its images is found in {images.path} (the '
                        f'first is {quoted(missing[0])}): say where with --train-images / '
                        '--val-images (--images)')
    if matched.guessed:
        builder.note(matched.notes()[0])
    if missing:
        builder.note(f'{plural(len(missing), "image")} not found, left out with all regions '
                     f'({printable(missing[0], 60)})')
    refuse_boxes_alone(builder.source, kinds['rect'], kinds.total() - kinds['rect'])
    if kinds['rect']:
        builder.note(f'{plural(kinds["rect"], "rectangle")} taken as masks')
    return builder.finish()


def _pictures2(data, path) -> Iterator[tuple[str, list]]:
    """(file name, regions) of versions 1 and 2; a region is (shape, attributes)."""
    entries = data.get('_via_img_metadata', data)
    if not isinstance(entries, dict):
        raise UserError(f'{path}: _via_img_metadata is no dictionary')
    for entry in entries.values():
        if not isinstance(entry, dict) or not isinstance(entry.get('filename'), str):
            raise UserError(f'{path}: an image has no filename: {quoted(entry)}')
        regions = entry.get('regions') or []
        found = []
        for region in regions.values() if isinstance(regions, dict) else regions:
            shape = region.get('shape_attributes') if isinstance(region, dict) else None
            if not isinstance(shape, dict):
                raise UserError(f'{path}: a region of {printable(entry["filename"], 60)} has no '
                                f'shape_attributes: {quoted(region)}')
            found.append((shape, region.get('region_attributes') or {}))
        yield entry['filename'], found


def _pictures3(data, path) -> Iterator[tuple[str, list]]:
    """The same of version 3."""
    try:
        attributes, files = data.get('attribute') or {}, data['file']
        regions = {str(vid): [] for vid in data['view']}
        for entry in data['metadata'].values():
            if len(entry['xy']) > 1 and not entry['z']:
                values = {attributes[key]['aname']: _value3(attributes[key], value)
                          for key, value in (entry.get('av') or {}).items() if key in attributes}
                regions[str(entry['vid'])].append((_shape3(entry['xy']), values))
        for vid, view in data['view'].items():
            file = files[str(view['fid_list'][0])]
            yield file.get('fname') or file['src'], regions[str(vid)]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f'{path} is no project of VIA 3: {type(error).__name__}: '
                        f'{printable(error, 60)}') from error


def _value3(attribute, value):
    options = attribute.get('options')
    return (options or {}).get(value) or value if isinstance(value, str) else value


def _shape3(xy):
    name, numbers = _SHAPES.get(xy[0], f'shape {xy[0]}'), xy[1:]
    if name == 'polygon':
        return dict(name=name, all_points_x=numbers[::2], all_points_y=numbers[1::2])
    keys = dict(rect=('x', 'y', 'width', 'height'), circle=('cx', 'cy', 'r'),
                ellipse=('cx', 'cy', 'rx', 'ry')).get(name, ())
    return dict(zip(keys, numbers), name=name)


def _class_attribute(regions, builder):
    """Name of the attribute that says the class; None where there is none."""
    used = Counter(name for _, attributes in regions for name, value in attributes.items()
                   if _text(value))
    if len(used) > 1:
        usual = [name for word in _CLASSES for name in used if name.strip().lower() == word]
        if not usual:
            raise UserError(f'{builder.source}: the regions have the attributes {listed(used)}, '
                            'and nothing says which one is the class: call it "class"')
        builder.note(f'classes read from the attribute {quoted(usual[0])}, not from '
                     f'{listed([name for name in used if name != usual[0]])}')
        return usual[0]
    return next(iter(used), None)


def _text(value):
    """A value of an attribute as text; '' for none, None for several."""
    if isinstance(value, dict):  # of a check box
        chosen = [key for key, on in value.items() if on]
        return chosen[0] if len(chosen) == 1 else None if chosen else ''
    text = str(value).strip() if isinstance(value, (str, int)) else ''
    return '' if text.lower() in _NONE else text


def _add(builder, part, image, shape, attributes, attribute, options, kinds, path):
    kind = str(shape.get('name'))
    name = options.class_name if attribute is None else _text(attributes.get(attribute, ''))
    if not name:
        builder.lose(f'regions without one value of the attribute {quoted(attribute)}')
        return
    if kind not in _SHAPES.values():
        builder.lose(f'regions of the kind {quoted(kind, 20)}, which have no area')
        return
    kinds[kind] += 1
    thing, height, width = Pieces(name), image['height'], image['width']
    try:
        if kind == 'polygon':
            pairs = zip(shape['all_points_x'], shape['all_points_y'], strict=True)
            thing.polygons.append([value for pair in pairs for value in pair])
        elif kind == 'rect':
            x, y = shape['x'], shape['y']
            thing.polygons.append(rectangle(x, y, x + shape['width'], y + shape['height']))
        else:
            rx, ry = (shape['r'],) * 2 if kind == 'circle' else (shape['rx'], shape['ry'])
            thing.masks.append(ellipse(shape['cx'], shape['cy'], rx, ry,
                                       shape.get('theta', 0), height, width))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f'{path}: a {kind} of {printable(image["file_name"], 60)} is '
                        f'{quoted(shape, 120)}') from error
    thing.put(builder, part, image)
