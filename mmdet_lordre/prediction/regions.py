"""Parts of a picture: read from the file where its format allows, else from memory."""
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from ..errors import UserError
from ..text import plural
from .pictures import BrokenPictureError, Picture
from .preparation import Preparation, high_bits

#: Bytes of decoded parts of a file that are kept for the next tile.
_KEPT = 2**28
#: Pixels of a TIFF file below which it is simply read.
_SMALL = 16_000_000
#: How a TIFF file may say what its numbers mean to be read by parts: gray (0 is white, or black),
#: RGB, and YCbCr, which the decoders of JPEG turn into RGB. OpenCV knows palettes and CMYK, too.
_PHOTOMETRICS = 0, 1, 2, 6
#: Compressions (none, LZW, Deflate, PackBits, LZMA, Zstandard) that leave YCbCr as it is.
_AS_STORED = 1, 5, 8, 32773, 32946, 34925, 50000
_ORIENTATION = 274
#: Rows that are read at once for a smaller picture of the whole.
_BAND = 1024


class Regions(Protocol):
    """A picture that gives parts of itself.

    Attributes:
        size: (height, width) in pixels.
    """
    size: tuple[int, int]

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels of a part, (height, width, 3), BGR."""

    def close(self) -> None:
        """Close the file."""


class InMemory:
    """A picture that is decoded as a whole.

    Args:
        pixels: (height, width, channels).
    """

    def __init__(self, pixels: np.ndarray):
        self.pixels, self.size = pixels, pixels.shape[:2]

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """A view."""
        return self.pixels[y:y + height, x:x + width]

    def close(self) -> None:
        """There is no file."""


class TiledTIFF:
    """A TIFF file, of which only the tiles or strips that are needed are decoded.

    Args:
        path: Of the file.
        level: Of a pyramid, 0 for the largest.
        scale: Makes 8 bits of 16, if not by leaving out the lower ones.

    Raises:
        BrokenPictureError: It is no picture of 1, 3 or 4 interleaved channels in 8 or 16 bits, or
            its colors are of another kind than gray, RGB or YCbCr, or a tag turns it.
        UserError: There is no such level.
    """

    def __init__(self, path: str, level: int = 0,
                 scale: Callable[[np.ndarray], np.ndarray] | None = None):
        import tifffile
        self.scale = scale
        try:
            self.file = tifffile.TiffFile(path)
            levels = self.file.series[0].levels
        except Exception as error:  # tifffile has many kinds
            raise BrokenPictureError(f'it cannot be decoded ({str(error)[:120]})') from error
        if level >= len(levels):
            self.file.close()
            raise UserError(f'{path} has {plural(len(levels), "level")}: level {level} is not '
                            'among them')
        self.levels, self.page = levels, levels[level].pages[0]
        page = self.page
        if (tag := page.tags.get(_ORIENTATION)) is not None and tag.value != 1:
            self.file.close()
            raise BrokenPictureError('a TIFF file that its orientation tag turns or mirrors cannot '
                                     'be read by parts, nor by levels: store it upright')
        self.size = (page.imagelength, page.imagewidth)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()
        if int(page.photometric) not in _PHOTOMETRICS or (
                page.photometric == 6 and int(page.compression) in _AS_STORED):
            self.file.close()
            kind = getattr(page.photometric, 'name', str(page.photometric))
            raise BrokenPictureError(f'a TIFF file of colors of the kind {kind} cannot be read by '
                                     'parts, nor by levels: save it as RGB')
        if page.dtype not in (np.uint8, np.uint16) or page.samplesperpixel not in (1, 3, 4) \
                or (page.samplesperpixel > 1 and page.planarconfig != 1):
            self.file.close()
            raise BrokenPictureError(f'a TIFF file of {page.samplesperpixel} channels of '
                                     f'{page.dtype} in this order cannot be read by parts')

    @property
    def _segment(self):
        """(height, width) of the tiles or strips."""
        page = self.page
        return (page.tilelength, page.tilewidth) if page.is_tiled else (
            min(page.rowsperstrip, page.imagelength), page.imagewidth)

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Pixels of a part, decoded from the segments that it meets."""
        rows, columns = self._segment
        across = -(-self.size[1] // columns)
        pixels = np.zeros((height, width, 3), np.uint8)
        for row in range(y // rows, -(-(y + height) // rows)):
            for column in range(x // columns, -(-(x + width) // columns)):
                part = self._decoded(row * across + column)
                top, left = max(y, row * rows), max(x, column * columns)
                bottom = min(y + height, row * rows + part.shape[0])
                right = min(x + width, column * columns + part.shape[1])
                pixels[top - y:bottom - y, left - x:right - x] = part[
                    top - row * rows:bottom - row * rows,
                    left - column * columns:right - column * columns]
        return pixels

    def _decoded(self, index: int) -> np.ndarray:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
            page, file = self.page, self.file.filehandle
            rows, columns = self._segment
            if not page.databytecounts[index]:
                part = np.zeros((rows, columns, 1), page.dtype)
            else:
                file.seek(page.dataoffsets[index])
                data = file.read(page.databytecounts[index])
                try:
                    part = page.decode(data, index, jpegtables=page.jpegtables)[0]
                except Exception as error:
                    raise BrokenPictureError(f'a part of it cannot be decoded '
                                             f'({str(error)[:120]})') from error
                part = part.reshape(part.shape[-3:]) if part.ndim > 3 else part
            part = _as_bgr((self.scale or high_bits)(part), page)
            self._kept[index] = part
            self._bytes += part.nbytes
            while self._bytes > _KEPT and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            return part

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _as_bgr(part, page):
    if part.ndim == 2 or part.shape[2] == 1:
        part = part.reshape(part.shape[:2])
        if page.photometric == 0:  # white is 0
            part = 255 - part
        return cv2.cvtColor(part, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(part[..., 2::-1])


def open_regions(picture: Picture, prepare: Preparation, level: int = 0) -> Regions:
    """A picture, to be read part by part.

    Args:
        picture: What to open.
        prepare: Reads what has no parts.
        level: Of a picture pyramid.

    Raises:
        BrokenPictureError: It cannot be read.
        UserError: There is no such level, or tifffile is needed and not installed.
    """
    path = picture.path
    tiff = path is not None and picture.pixels is None and '://' not in path \
        and os.path.splitext(path)[1].lower() in ('.tif', '.tiff', '.svs', '.ndpi')
    if tiff and (prepare.color == 'color' or prepare.scale):
        try:
            import tifffile  # noqa: F401
        except ImportError as error:
            if level:
                raise UserError('levels of a pyramid are read by tifffile: pip install '
                                "'mmdet_lordre[tiles]'") from error
        else:
            try:
                regions = TiledTIFF(path, level, prepare.scale)
            except BrokenPictureError:
                if level:
                    raise
            else:
                if level or regions.size[0] * regions.size[1] > _SMALL:
                    return regions
                regions.close()
    elif level:
        raise UserError(f'{path or picture.name}: only TIFF files have levels')
    return InMemory(prepare.read(picture))


def overview(regions: Regions, side: int) -> np.ndarray:
    """The whole picture, made smaller until its longer side has at most ``side`` pixels."""
    height, width = regions.size
    scale = min(1.0, side / max(height, width))
    if isinstance(regions, InMemory) or scale == 1:
        whole = regions.read(0, 0, height, width)
        return whole if scale == 1 else cv2.resize(
            whole, (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_AREA)
    # band by band: each band becomes a number of whole rows
    rows = max(1, round(height * scale))
    per_band = max(1, int(_BAND * scale))
    bands = []
    for top in range(0, rows, per_band):
        bottom = min(rows, top + per_band)
        y1, y2 = round(top * height / rows), round(bottom * height / rows)
        bands.append(cv2.resize(regions.read(y1, 0, y2 - y1, width),
                                (max(1, round(width * scale)), bottom - top),
                                interpolation=cv2.INTER_AREA))
    return np.concatenate(bands)
