"""Pictures of the results, and the objects cut out."""
import os

import cv2
import numpy as np

from ...errors import UserError
from ...visualization import draw_results
from ..pictures import Picture
from ..result import Result
from .base import Writer, write_whole
from .png import file_part, png_bytes

#: Rows whose colors are changed at once.
_ROWS = 1024


class Pictures(Writer):
    """``pictures/NAME.jpg`` (or ``.png``, where the picture is no JPEG): the objects drawn."""

    name = 'pictures'
    needs_image = True

    def write(self, result: Result, picture: Picture) -> None:
        drawn = draw_results(shown(result.image)[..., ::-1], result.instances(),
                             self.context.classes, self.context.palette)
        jpeg = os.path.splitext(result.file or '')[1].lower() in ('.jpg', '.jpeg')
        ending = '.jpg' if jpeg and max(drawn.shape) < 65500 else '.png'
        path = self.context.path('pictures', result.name + ending)
        # of a large picture there is no room for another copy
        for top in range(0, len(drawn), _ROWS):
            band = drawn[top:top + _ROWS]
            band[:] = band[..., ::-1].copy()
        ok, data = cv2.imencode(ending, drawn)
        if not ok:
            raise UserError(f'OpenCV cannot write {path}')
        write_whole(path, data.tobytes())


class CutOuts(Writer):
    """``cutouts/NAME/0001_CLASS.png``: each object in its bounds, all else transparent."""

    name = 'cutouts'
    needs_image = True

    def write(self, result: Result, picture: Picture) -> None:
        names = result.names
        for number, crop in enumerate(result.crops(), 1):
            height, width = crop.bitmap.shape
            if not height:
                continue
            part = shown(result.image[crop.y:crop.y + height, crop.x:crop.x + width])
            pixels = np.dstack([part, crop.bitmap * 255])
            name = f'{number:04d}_{file_part(names[number - 1])}.png'
            write_whole(self.context.path('cutouts', result.name, name), png_bytes(pixels))


def shown(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any kind as uint8 (height, width, 3) that can be looked at."""
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255 / max(high - low, 1e-6))).astype(
            np.uint8)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return cv2.cvtColor(pixels.reshape(pixels.shape[:2]), cv2.COLOR_GRAY2BGR)
    return pixels[..., :3]
