"""Pages of image files: training and prediction read the first one alone."""
import os
import struct
import warnings
from collections.abc import Sequence

from PIL import Image

from ..text import plural, printable

#: Formats that may hold several pages or frames; JPEG files of phones (MPO) hold previews beside
#: their picture, which are no pages.
_FORMATS = ('TIFF', 'PNG', 'WEBP', 'GIF', 'AVIF')
_ENDINGS = ('.tif', '.tiff', '.png', '.webp', '.gif', '.avif')
#: Directories of a TIFF file that are followed: a hostile one has millions.
_MOST = 10_000
_SUBFILE, _REDUCED_OR_MASK = 254, 0b101


def page_count(opened: Image.Image) -> int:
    """Pages or frames of an image file, by its headers; levels of a pyramid are none.

    Args:
        opened: As Pillow opens the file, not decoded.
    """
    if opened.format not in _FORMATS:
        return 1
    if opened.format == 'TIFF':
        return _tiff_pages(opened.filename)
    return getattr(opened, 'n_frames', 1)


def pages_of(path: str) -> int:
    """Pages or frames of a file, 1 for what is no such file.

    Args:
        path: Of the file, or an address, which is not opened.
    """
    if not path.lower().endswith(_ENDINGS) or not os.path.isfile(path):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                return page_count(opened)
    except Exception:  # Pillow raises many kinds; whoever reads the picture says what is wrong
        return 1


def first_alone(pages: int) -> str:
    """What happens to a file of several pages, in words."""
    return f'{pages} pages or frames, only the first is read'


def several_pages(firsts: Sequence[str]) -> str:
    """The line on all such files.

    Args:
        firsts: 'NAME: ' and :func:`first_alone` of each, one at least.
    """
    return (f'{plural(len(firsts), "image")} with several pages or frames '
            f'({printable(firsts[0], 200)}): to use the others, store each as a file of its own')


def _tiff_pages(path):
    """Pages by the directories of a TIFF file, without reading what they describe."""
    pages, seen = 0, set()
    try:
        with open(path, 'rb') as file:
            head = file.read(16)
            order = '<' if head[:2] == b'II' else '>'
            big = struct.unpack_from(f'{order}H', head, 2)[0] == 43
            number, size, offset = (f'{order}{form}' for form in (
                ('Q', '20s', 'Q') if big else ('H', '12s', 'I')))
            place, = struct.unpack_from(offset, head, 8 if big else 4)
            while place and place not in seen and len(seen) < _MOST:
                seen.add(place)
                file.seek(place)
                entries, = _read(file, number)
                # tags are in order, and this is the lowest of all
                tag, _, entry = struct.unpack(f'{order}H2s{"16s" if big else "8s"}',
                                              *_read(file, size))
                kind, = struct.unpack_from(f'{order}I', entry, 8 if big else 4)
                pages += tag != _SUBFILE or not kind & _REDUCED_OR_MASK
                file.seek((entries - 1) * struct.calcsize(size), os.SEEK_CUR)
                place, = _read(file, offset)
    except (OSError, ValueError, OverflowError, struct.error):  # damaged beyond what is counted
        pass
    return max(1, pages)


def _read(file, form):
    return struct.unpack(form, file.read(struct.calcsize(form)))
