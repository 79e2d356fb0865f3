"""Where on Earth a picture is, as its TIFF tags or its world file say."""
import os
from typing import NamedTuple

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

#: TIFF tags, and the keys of the coordinate systems in them.
_SCALE, _TIE, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
_GEOGRAPHIC, _PROJECTED, _RASTER_TYPE = 2048, 3072, 1025
_WORLD_FILES = {'.tif': '.tfw', '.tiff': '.tfw', '.jpg': '.jgw', '.jpeg': '.jgw', '.png': '.pgw',
                '.bmp': '.bpw'}


class Georeference(NamedTuple):
    """From pixels to the coordinates of a map.

    Attributes:
        matrix: (2, 3): x, y = matrix @ (column, row, 1), where (0, 0) is the outer corner of the
            first pixel.
        epsg: Code of the coordinate system, None where it is not said.
        size: (height, width) of the picture, where the file says it.
    """
    matrix: np.ndarray
    epsg: int | None
    size: tuple[int, int] | None = None

    def apply(self, points: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Points of the map from points of the picture.

        Args:
            points: (n, 2) x, y in pixels.
            size: (height, width) of the level that they are of, where it is not the largest.
        """
        if size is not None and self.size is not None and size != self.size:
            points = points * (self.size[1] / size[1], self.size[0] / size[0])
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]


def georeference_of(path: str | os.PathLike | None) -> Georeference | None:
    """That of a picture; None where neither the file nor a world file beside it says any."""
    if path is None or '://' in os.fspath(path):
        return None
    path = os.fspath(path)
    stem, ending = os.path.splitext(path)
    if ending.lower() in ('.tif', '.tiff'):
        found = _from_tags(path)
        if found is not None:
            return found
    names = [stem + _WORLD_FILES[ending.lower()]] if ending.lower() in _WORLD_FILES else []
    for name in [*names, stem + '.wld', path + 'w']:
        if os.path.isfile(name):
            return _from_world_file(name)
    return None


def _from_tags(path):
    try:
        # not Image.open, which refuses large pictures: only tags are read here
        image = TiffImageFile(path)
    except Exception:  # whoever decodes the picture says what is wrong with it
        return None
    with image:
        tags, size = getattr(image, 'tag_v2', {}), image.size[::-1]
        scale, tie, matrix, keys = (tags.get(t) for t in (_SCALE, _TIE, _MATRIX, _KEYS))
    if matrix is not None and len(matrix) == 16:
        matrix = np.array([[matrix[0], matrix[1], matrix[3]], [matrix[4], matrix[5], matrix[7]]],
                          float)
    elif scale is not None and tie is not None and len(tie) >= 6 and len(scale) >= 2:
        (column, row, _, x, y), (sx, sy) = tie[:5], scale[:2]
        matrix = np.array([[sx, 0, x - column * sx], [0, -sy, y + row * sy]], float)
    else:
        return None
    said = _keys(keys)
    if said.get(_RASTER_TYPE) == 2:  # coordinates are of the middle of pixels
        matrix[:, 2] -= matrix[:, :2] @ (0.5, 0.5)
    epsg = said.get(_PROJECTED) or said.get(_GEOGRAPHIC)
    return Georeference(matrix, epsg if epsg and 1024 <= epsg < 32767 else None, size)


def _keys(values):
    """Keys of the directory that hold their value themselves."""
    values = list(values or ())
    return {values[i]: values[i + 3] for i in range(4, len(values) - 3, 4) if values[i + 1] == 0}


def _from_world_file(path):
    try:
        with open(path, encoding='ascii') as file:
            a, d, b, e, c, f = (float(line) for line in file.read(4096).split())
    except (OSError, ValueError):
        return None
    matrix = np.array([[a, b, c], [d, e, f]])
    matrix[:, 2] -= matrix[:, :2] @ (0.5, 0.5)  # it tells the middle of the first pixel
    return Georeference(matrix, None)
