"""Pictures of the results, and the objects cut out."""
import os

import cv2
import numpy as np

from ...errors import UserError
from ...visualization import draw_results
from ...visualization.frames import draw_frame, track_color
from ...visualization.labels import percent
from ...visualization.palette import class_palette
from ..result import Result
from .base import Context, Writer, write_whole
from .png import file_part, png_bytes

#: Rows whose colors are changed at once.
_ROWS = 1024


class Pictures(Writer):
    """``pictures/NAME.jpg`` (or ``.png``, where the picture is no JPEG): the objects drawn."""

    name = 'pictures'
    needs_image = True

    def write(self, result: Result) -> None:
        if result.film is not None:
            drawn = drawn_frame(result, self.context)
        else:
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

    def write(self, result: Result) -> None:
        for number, name, crop in zip(result.numbers, result.names, result.crops()):
            height, width = crop.bitmap.shape
            if not height:
                continue
            part = shown(result.image[crop.y:crop.y + height, crop.x:crop.x + width])
            pixels = np.dstack([part, crop.bitmap * 255])
            write_whole(self.context.path('cutouts', result.name,
                                          f'{number:04d}_{file_part(name)}.png'),
                        png_bytes(pixels))


def drawn_frame(result: Result, context: Context) -> np.ndarray:
    """A frame with its objects, RGB: colors of identities, or else of classes."""
    if result.track_ids is None:
        palette = context.palette or class_palette(max(1, len(context.classes)))
        colors = [tuple(palette[label % len(palette)]) for label in result.labels.tolist()]
        texts = [percent(score) for score in result.scores.tolist()]
    else:
        colors = [track_color(number) for number in result.track_ids.tolist()]
        texts = [f'#{number}' for number in result.track_ids.tolist()]
    return draw_frame(shown(result.image)[..., ::-1], list(result.crops()), result.names, texts,
                      colors, result.marks)


def shown(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any kind as uint8 (height, width, 3) that can be looked at."""
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255 / max(high - low, 1e-6))).astype(
            np.uint8)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return cv2.cvtColor(pixels.reshape(pixels.shape[:2]), cv2.COLOR_GRAY2BGR)
    return pixels[..., :3]
