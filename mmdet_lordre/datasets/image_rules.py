"""Which image files can be learned from, and what is unusual about others."""
import os
import time
import warnings

from PIL import Image, UnidentifiedImageError

from ..errors import UserError
from .annotation_rules import CROWDED, MOST_PIXELS, SMALLEST_SIDE, Problem

_ORIENTATION = 0x0112
#: What the tag does, by its value.
_TURNS = {2: 'mirrors it', 3: 'turns it upside down', 4: 'turns it upside down and mirrors it',
          **dict.fromkeys((5, 7), 'turns it by a quarter and mirrors it'),
          **dict.fromkeys((6, 8), 'turns it by a quarter')}
_TAIL = 65536


def listed_image_problems(data, training=True, thorough=False):
    """What the annotation file says of its images, without opening one.

    Args:
        data (dict): COCO annotations.
        training (bool): whether they shall be trained on.
        thorough (bool): say what is unusual, too.

    Yields:
        Problem: of images.

    Raises:
        UserError: an image without a file name.
    """
    ids, names = set(), set()
    counts = {}
    for annotation in data.get('annotations', ()) if thorough else ():
        if not annotation.get('iscrowd'):
            counts[annotation.get('image_id')] = counts.get(annotation.get('image_id'), 0) + 1
    for index, image in enumerate(data['images']):
        name = image.get('file_name')
        if image.get('id') in ids:
            yield Problem('duplicate image id', f'image {name}',
                          f'two images have the id {image.get("id")}', index, True)
        ids.add(image.get('id'))
        sides = [side for side in (image.get('width'), image.get('height'))
                 if isinstance(side, (int, float))]
        if training and sides and min(sides) < SMALLEST_SIDE:
            yield Problem('image too small', f'image {name}',
                          f'image {name} has a side of {min(sides)} px', index, True)
        if len(sides) == 2 and sides[0] * sides[1] > MOST_PIXELS:
            yield Problem('too large', f'image {name}', f'image {name} says {sides[0]}x{sides[1]}, '
                          'more pixels than can be decoded', index, True)
        if not thorough:
            continue
        if name in names:
            yield Problem('file named twice', f'image {name}', 'another entry has this file',
                          index, True)
        names.add(name)
        count = counts.get(image.get('id'), 0)
        if not count:
            yield Problem('image without instances', f'image {name}',
                          'it has no annotation other than crowds', index, True)
        elif count >= CROWDED:
            yield Problem('crowded image', f'image {name}', f'it has {count} instances', index,
                          True)


def image_file_problems(data, folder, seconds=None, upright=True, thorough=False):
    """Look at the files: that all are there, and as many headers as the time allows.

    Args:
        data (dict): COCO annotations.
        folder (str): of the images.
        seconds (float, optional): for the headers.
        upright (bool): whether images are turned by their orientation tag when they are read,
            as OpenCV does unless told otherwise.
        thorough (bool): decode every image, and say what is unusual.

    Yields:
        Problem: of images.

    Raises:
        UserError: an image without a file name.
    """
    images = data['images']
    for index, image in enumerate(images):
        if not isinstance(image.get('file_name'), str) or not image['file_name']:
            raise UserError(f'image {image.get("id")} (number {index}) has no file_name')
    missing = set(_missing(folder, [image['file_name'] for image in images]))
    for index in sorted(missing):
        path = os.path.join(folder, images[index]['file_name'])
        yield Problem('image missing', f'image {images[index]["file_name"]}',
                      f'image missing on disk: {path}', index, True)
    # spread over the file, so that a time limit does not leave out its end
    step, count = 7919, len(images)
    order = [i * step % count for i in range(count)] if count and count % step else range(count)
    end = None if seconds is None else time.monotonic() + seconds
    for index in order:
        if end is not None and time.monotonic() > end:
            break
        if index in missing:
            continue
        image = images[index]
        found = image_problem(os.path.join(folder, image['file_name']), image.get('width'),
                              image.get('height'), upright, thorough)
        if found:
            yield Problem(found[0], f'image {image["file_name"]}', found[1], index, True)


def image_problem(path, width, height, upright=True, thorough=False):
    """(kind, sentence) for an image file, or None.

    Args:
        path (str): of an existing file.
        width, height (int): what the annotation file says.
        upright, thorough: as for :func:`image_file_problems`.
    """
    # a pipe would be waited for, for ever
    if not os.path.isfile(path):
        return 'image unreadable', f'{path} is no file'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                size, mode = opened.size, opened.mode
                orientation = opened.getexif().get(_ORIENTATION, 1)
                turned = orientation in (5, 6, 7, 8)
                ends = _has_end(path, opened.format)
                if not ends and opened.format == 'PNG':
                    raise OSError('truncated: a PNG file ends with its own mark')
                if thorough or not ends:
                    opened.load()
    except Image.DecompressionBombError:
        return 'image unreadable', f'the image {path} has too many pixels to be decoded'
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError,
            TypeError, KeyError) as error:
        text = str(error)
        if 'truncated' in text or 'Truncated' in text or 'broken data stream' in text:
            return 'image truncated', f'the image {path} ends early and cannot be decoded wholly'
        return 'image unreadable', f'the image {path} cannot be decoded'
    if size[0] * size[1] > MOST_PIXELS:
        return 'image unreadable', f'the image {path} has too many pixels to be decoded'
    shown = size[::-1] if turned and upright else size
    if shown != (width, height):
        if turned and upright and size == (width, height):
            return ('image of another size', f'{path} is turned to {shown[0]}x{shown[1]} by its '
                    f'orientation tag, but annotated as {width}x{height}: store it upright, or '
                    "read it with LoadImageFromFile(color_type='color_ignore_orientation')")
        return ('image of another size', f'image {os.path.basename(path)} says {width}x{height} '
                f'(width x height), but {path} is {shown[0]}x{shown[1]}')
    if not thorough:
        return None
    if orientation in _TURNS:
        return 'turned by its tag', f'its orientation tag {_TURNS[orientation]}'
    if mode != 'RGB':
        return 'not 8-bit colour', f'its pixels are {mode}'
    if max(size) >= 20 * min(size) or min(size) < 16 or size[0] * size[1] > 16e6:
        return 'extreme shape', f'it is {size[0]}x{size[1]}'
    return None


def _has_end(path, kind):
    """Whether a file's last bytes are what ends its format, where that can be told cheaply."""
    if kind not in ('JPEG', 'PNG'):
        return True
    with open(path, 'rb') as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        tail = file.read()
    return (b'\xff\xd9' if kind == 'JPEG' else b'IEND') in tail


def _missing(folder, names):
    """Indices of names that are no files; one listing for each folder, not one call a file."""
    listings = {}
    for index, name in enumerate(names):
        place, base = os.path.split(os.path.join(folder, name))
        if place not in listings:
            try:
                listings[place] = set(os.listdir(place or '.'))
            except OSError:
                listings[place] = set()
        if base not in listings[place]:
            yield index
