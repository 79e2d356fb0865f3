"""Which image files can be learned from, and what is unusual about others."""
import os
import time
import warnings
from collections.abc import Iterator, Sequence

import cv2
from PIL import Image, UnidentifiedImageError

from ..errors import UserError
from ..files import is_circle
from ..text import printable, quoted
from .annotation_rules import CROWDED, MOST_PIXELS, SMALLEST_SIDE, Problem, size_problem
from .file_names import Listing, path_inside, plain_name
from .pages import first_alone, page_count

_ORIENTATION = 0x0112
#: Its values that turn an image by a quarter.
_QUARTERS = 5, 6, 7, 8
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
#: Formats that OpenCV turns by their orientation tag, whatever it is told.
_ALWAYS_UPRIGHT = ('TIFF',)
#: What the tag does, by its value.
_TURNS = {2: 'mirrors it', 3: 'turns it upside down', 4: 'turns it upside down and mirrors it',
          **dict.fromkeys((5, 7), 'turns it by a quarter and mirrors it'),
          **dict.fromkeys((6, 8), 'turns it by a quarter')}
_TAIL = 65536
#: Headers that are read to see how images were annotated.
_LOOKED_AT = 200
#: Formats that OpenCV reads, whatever it was built with; of others it is asked.
_COMMON = {'JPEG', 'MPO', 'PNG', 'TIFF', 'BMP', 'PPM'}
#: What Pillow raises for files that are no images.
UNREADABLE = (Image.DecompressionBombError, UnidentifiedImageError, OSError, ValueError,
               SyntaxError, EOFError, IndexError, TypeError, KeyError)


def listed_image_problems(data: dict, training: bool = True,
                          thorough: bool = False) -> Iterator[Problem]:
    """What the annotation file says of its images, without opening one.

    Args:
        data: COCO annotations.
        training: Whether they shall be trained on.
        thorough: Say what is unusual, too.

    Yields:
        Problem: of images.
    """
    ids, names = set(), set()
    counts, annotated = {}, set()
    for annotation in data.get('annotations', ()) if thorough else ():
        annotated.add(annotation.get('image_id'))
        if not annotation.get('iscrowd'):
            counts[annotation.get('image_id')] = counts.get(annotation.get('image_id'), 0) + 1
    for index, image in enumerate(data['images']):
        where = _where(image)
        if image.get('id') in ids:
            yield Problem('duplicate image id', where,
                          f'two images have the id {quoted(image.get("id"))}', index, True)
        ids.add(image.get('id'))
        if problem := size_problem(image):
            yield Problem(problem[0], where, f'{where} {problem[1]}', index, True)
        elif training and min(image['width'], image['height']) < SMALLEST_SIDE:
            side = min(image['width'], image['height'])
            yield Problem('image too small', where, f'{where} has a side of {side} px', index, True)
        if not thorough:
            continue
        name = plain_name(image.get('file_name'))
        if name in names:
            yield Problem('file named twice', where, 'another entry has this file', index, True)
        names.add(name)
        count = counts.get(image.get('id'), 0)
        if not count:
            yield Problem('image without instances', where,
                          'it has no annotation other than crowds'
                          if image.get('id') in annotated else 'it has no annotation', index,
                          True)
        elif count >= CROWDED:
            yield Problem('crowded image', where, f'it has {count} instances', index, True)


def _where(image):
    return f'image {printable(image.get("file_name"), 120)}'


def image_file_problems(data: dict, folder: str, seconds: float | None = None,
                        upright: bool = True, thorough: bool = False, opencv: bool = True
                        ) -> Iterator[Problem]:
    """Look at the files: that all are there, and as many headers as the time allows.

    Args:
        data: COCO annotations.
        folder: Of the images.
        seconds: For the headers.
        upright: Whether images are turned by their orientation tag when they are read, as OpenCV
            does unless told otherwise.
        thorough: Decode every image, and say what is unusual.
        opencv: Whether OpenCV reads the images, as it does unless a config says otherwise.

    Yields:
        Problem: of images.

    Raises:
        UserError: An image without a file name.
    """
    images = data['images']
    for index, image in enumerate(images):
        if not isinstance(image.get('file_name'), str) or not image['file_name']:
            raise UserError(f'image {image.get("id")} (number {index}) has no file_name')
    listing = Listing(folder)
    missing = set()
    for index, image in enumerate(images):
        there = listing.look(image['file_name'])
        if not there:
            missing.add(index)
            path = listing.path(image['file_name'])
            kind, what = ('image unreadable', f'{path} is no file') if there is not None else (
                'image missing', f'{path} is a link that leads in a circle' if is_circle(path)
                else f'image missing on disk: {path}')
            yield Problem(kind, _where(image), printable(what, 250), index, True)
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
                              image.get('height'), upright, thorough, opencv)
        if found:
            yield Problem(found[0], _where(image), found[1], index, True)


def image_size(path: str, upright: bool = True) -> tuple[int, int] | None:
    """Width and height of an image as it will be read, None if its header cannot be.

    Args:
        path: Of a file.
        upright: Whether it is turned by its orientation tag.
    """
    stored, shown = _sizes(path)
    return shown if upright else stored


def _sizes(path):
    """(as it is read without its orientation tag, and with it), None where that is not known."""
    if not os.path.isfile(path):
        return None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                stored = _stored_size(opened)
                shown = stored[::-1] if opened.getexif().get(_ORIENTATION) in _QUARTERS else stored
                return shown if opened.format in _ALWAYS_UPRIGHT else stored, shown
    except UNREADABLE:
        return None, None


def _stored_size(opened):
    """Width and height of the pixels in a file."""
    if opened.format != 'TIFF':
        return opened.size
    # Pillow gives the size as the tag turns it, and older versions the stored one
    return tuple(int(opened.tag_v2[tag]) for tag in (_TIFF_WIDTH, _TIFF_HEIGHT))


def annotated_as_stored(parts: Sequence[tuple[dict, str]]) -> bool:
    """Whether images that a tag turns by a quarter were annotated as they are stored, not turned.

    Args:
        parts: (COCO annotations, folder of their images) of each data set.

    Returns:
        False, too, where no image is turned, or some were annotated in each way.
    """
    images = [(image, folder) for data, folder in parts for image in data['images']
              if isinstance(image.get('file_name'), str)]
    stored = False
    for image, folder in images[::-(-len(images) // _LOOKED_AT) or 1]:
        found, shown = _sizes(path_inside(folder, image['file_name']) or '')
        if found != shown:  # squares do not tell
            annotated = image.get('width'), image.get('height')
            if annotated == shown:
                return False
            stored |= annotated == found
    return stored


def image_problem(path: str, width: int, height: int, upright: bool = True,
                  thorough: bool = False, opencv: bool = True) -> tuple[str, str] | None:
    """(kind, sentence) for an image file, or None.

    Args:
        path: Of an existing file.
        width, height: What the annotation file says.
        upright, thorough, opencv: As for :func:`image_file_problems`.
    """
    # a pipe would be waited for, for ever
    if not os.path.isfile(path):
        return 'image unreadable', f'{path} is no file'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                size, mode, kind = _stored_size(opened), opened.mode, opened.format
                orientation = opened.getexif().get(_ORIENTATION, 1)
                turned = orientation in _QUARTERS
                pages = page_count(opened)
                ends = _has_end(path, kind)
                if not ends and kind == 'PNG':
                    raise OSError('truncated: a PNG file ends with its own mark')
                if thorough or not ends:
                    opened.load()
    except Image.DecompressionBombError:
        return 'image unreadable', f'the image {path} has too many pixels to be decoded'
    except UNREADABLE as error:
        text = str(error)
        if 'truncated' in text or 'Truncated' in text or 'broken data stream' in text:
            return 'image truncated', f'the image {path} ends early and cannot be decoded wholly'
        return 'image unreadable', f'the image {path} cannot be decoded'
    if size[0] * size[1] > MOST_PIXELS:
        return 'image unreadable', f'the image {path} has too many pixels to be decoded'
    if opencv and (why := _unknown_to_opencv(path, kind, mode)):
        return 'image unreadable', f'the image {path} {why}'
    always = kind in _ALWAYS_UPRIGHT
    upright |= always
    shown = size[::-1] if turned and upright else size
    if shown != (width, height):
        if turned and upright and size == (width, height):
            return ('image of another size', f'{path} is turned to {shown[0]}x{shown[1]} by its '
                    f'orientation tag, but annotated as {width}x{height}: '
                    + ('take the tag out, as OpenCV turns every TIFF file' if always else
                       'store it upright, or read it with '
                       "LoadImageFromFile(color_type='color_ignore_orientation')"))
        return ('image of another size', f'image {os.path.basename(path)} says {width}x{height} '
                f'(width x height), but {path} is {shown[0]}x{shown[1]}')
    # the size does not tell whether the annotations are upright
    hidden = upright and (orientation in (2, 3, 4) or (turned and size[0] == size[1]))
    if orientation in _TURNS and (hidden or thorough):
        return 'turned by its tag', f'its orientation tag {_TURNS[orientation]}'
    if pages > 1:
        return 'several pages', first_alone(pages)
    if not thorough:
        return None
    if mode != 'RGB':
        return 'not 8-bit color', f'its pixels are {mode}'
    if max(size) >= 20 * min(size) or min(size) < 16 or size[0] * size[1] > 16e6:
        return 'extreme shape', f'it is {size[0]}x{size[1]}'
    return None


def _unknown_to_opencv(path, kind, mode):
    """Why OpenCV cannot read what Pillow can, in words."""
    if kind == 'TIFF' and mode in ('I', 'F'):
        return ('has pixels of 32 bits, or with a sign, which OpenCV does not read: store it with '
                '8 or 16 bits, from 0 on')
    if kind not in _COMMON and not cv2.haveImageReader(path):
        return f'is a {kind} file, which OpenCV does not read: store it as PNG'
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
