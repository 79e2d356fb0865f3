"""One picture of a source, and its pixels."""
import os
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ExifTags, ImageOps

from ..errors import UserError
from ..files import reason
from ..text import agree, listed, plural, printable

#: Files that are read as pictures when a folder is given.
IMAGE_ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
#: Of other pictures, which are counted and not read.
_OTHER_ENDINGS = frozenset((
    '.avif', '.jp2', '.j2k', '.jxl', '.heic', '.heif', '.jfif', '.jpe', '.tga', '.gif', '.pbm',
    '.pnm', '.exr', '.hdr', '.psd', '.ico', '.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2',
    '.raf', '.dcm', '.svs', '.ndpi'))
#: Bytes of a picture that is fetched, and seconds that a server may be silent.
_MOST_BYTES, _SECONDS = 2**28, 30
#: Attributes that say where a picture comes from; a result has them, too.
ORIGIN = ('name', 'index', 'path', 'image_id', 'file', 'film', 'frame', 'time')


class BrokenPictureError(Exception):
    """A picture that cannot be read: the message says why."""


@dataclass(frozen=True)
class Picture:
    """A picture that is still to be read.

    Attributes:
        name: Relative to the source, without ending, with ``/``; nothing else of the source has
            it.
        index: Place in the source.
        path: Of the file, or its address; None for an array, and where there can be no file.
        pixels: uint8 (height, width, 3), BGR, of a picture that is no file.
        file: Name with its ending, as the source has it.
        image_id: In a COCO file.
        film: Name of the film or camera that it is a frame of.
        frame: Number of the frame in the film, from 1 on.
        time: Seconds from the beginning of the film.
    """
    name: str
    index: int
    path: str | None = None
    file: str | None = None
    pixels: np.ndarray | None = None
    image_id: int | str | None = None
    film: str | None = None
    frame: int | None = None
    time: float | None = None

    @property
    def origin(self) -> dict:
        """What a result keeps of it."""
        return {name: getattr(self, name) for name in ORIGIN}

    def load(self) -> np.ndarray | None:
        """The pixels, where they need no file or are read in a way of their own."""
        return self.pixels

    def data(self) -> bytes:
        """What the file holds.

        Raises:
            BrokenPictureError: It cannot be read.
        """
        if self.path is None:
            raise BrokenPictureError('no such file in the folder of the pictures')
        if '://' in self.path:
            return _fetch(self.path)
        try:
            with open(self.path, 'rb') as file:
                return file.read()
        except OSError as error:
            raise BrokenPictureError(reason(error)) from error


def pixels_of(array: object) -> np.ndarray:
    """A picture that a program hands over, as (height, width, 3), BGR.

    Args:
        array: An array as OpenCV reads files: uint8 or uint16, gray or BGR, with or without alpha;
            or a picture of Pillow, which is turned upright as its file would be.

    Raises:
        UserError: Another type or shape, or a picture of Pillow that cannot be decoded.
    """
    if hasattr(array, 'convert') and hasattr(array, 'mode'):
        array = _of_pillow(array)
    elif hasattr(array, 'detach'):  # a tensor, wherever it is
        array = array.detach().cpu()
        array = array.numpy() if not array.is_floating_point() else array.float().numpy()
    elif not hasattr(array, '__array__') and not hasattr(array, '__array_interface__'):
        raise UserError('a picture is an array (height, width, 3) of type uint8, a picture of '
                        f'Pillow or a path, not a {type(array).__name__}'
                        + (': decode what a file holds by PIL.Image.open(io.BytesIO(data))'
                           if isinstance(array, (bytes, bytearray, memoryview)) else ''))
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder('='))  # OpenCV takes bytes as they are
    if array.dtype not in (np.uint8, np.uint16):
        raise UserError('a picture must be of type uint8, 0 to 255, or uint16, not '
                        f'{array.dtype}')
    if array.size and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)):
        return cv2.cvtColor(array.reshape(array.shape[:2]), cv2.COLOR_GRAY2BGR)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or not array.size:
        planes = array.ndim in (3, 4) and array.shape[-3] in (1, 3, 4)
        raise UserError(
            f'a picture must have the shape (height, width, 3), not {array.shape}'
            + (': colors come last, as blue, green and red' if planes else ''))
    return np.ascontiguousarray(array[..., :3])


def _of_pillow(picture):
    try:
        if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode[0] not in 'IF':  # Pillow's are RGB
            return np.asarray(picture.convert('RGB'))[..., ::-1]
        # whose conversion would make white of everything from 255 on
        array = np.asarray(picture)
    except OSError as error:  # Pillow decodes here, and not where a file is opened
        raise UserError(f'a picture of Pillow cannot be decoded: {printable(error, 120)}; take '
                        'another file') from error
    if array.dtype.kind == 'i' and array.size and array.min() >= 0 and array.max() < 2**16:
        array = array.astype(np.uint16)  # PNG files of 16 bits
    return array


def passed_over(names: Iterable[str], looked_at: Sequence[str]) -> str:
    """A line on pictures of other endings than those that are looked at; empty for none.

    Args:
        names: Of all files of a folder.
        looked_at: Endings in small letters.
    """
    found = Counter(os.path.splitext(name)[1].lower() for name in names)
    counts = [(ending, count) for ending, count in found.most_common()
              if ending in _OTHER_ENDINGS and ending not in looked_at]
    count = sum(count for _, count in counts)
    if not count:
        return ''
    return (f'{plural(count, "picture")} with other endings {agree(count, "is", "are")} not looked '
            f'at ({listed([f"{ending} {number}" for ending, number in counts])}): give '
            f'{agree(count, "it", "them")} by name, or as PNG')


def _fetch(address: str) -> bytes:
    request = urllib.request.Request(address, headers={'User-Agent': 'mmdet_lordre'})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            data = response.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise BrokenPictureError(f'the server answers {error.code} {error.reason}') from error
    except (OSError, ValueError) as error:
        why = getattr(error, 'reason', error)
        raise BrokenPictureError(printable(why, 120)) from error
    if len(data) > _MOST_BYTES:
        raise BrokenPictureError(f'it has more than {_MOST_BYTES >> 20} MiB')
    return data
