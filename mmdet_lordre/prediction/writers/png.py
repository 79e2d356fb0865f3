"""PNG files of masks."""
import csv
import re

import cv2
import numpy as np

from ...errors import UserError
from ...files import atomic_write
from ..result import Result
from .base import Results, Writer, write_whole

_LARGEST_ID = 65535


def png_bytes(pixels: np.ndarray, *options: int) -> bytes:
    """An array as a PNG file.

    Raises:
        UserError: OpenCV cannot write it.
    """
    ok, data = cv2.imencode('.png', pixels, list(options))
    if not ok:
        raise UserError(f'OpenCV cannot write a PNG file of the shape {pixels.shape}')
    return data.tobytes()


class InstancePNG(Writer):
    """``png/NAME.png``: 16 bit, 0 for background, else the number or identity of the object.

    The numbers are those of ``png/instances.csv``, which says what they are. Where objects lie
    over each other the surest one is shown.
    """

    name = 'png'

    def write(self, result: Result) -> None:
        numbers = result.numbers
        if max(numbers, default=0) > _LARGEST_ID:
            raise UserError(f'{result.path or result.name}: object {max(numbers)}, and 16 bits '
                            f'tell {_LARGEST_ID} apart: leave out --save png')
        pixels = np.zeros(result.size, np.uint16)
        for place in reversed(range(len(result))):
            y, x, bitmap = result.crop(place)
            number = numbers[place]
            window = pixels[y:y + bitmap.shape[0], x:x + bitmap.shape[1]]
            window[bitmap > 0] = number
        write_whole(self.context.path('png', f'{result.name}.png'), png_bytes(pixels))

    def finish(self, results: Results) -> None:
        path = self.context.path('png', 'instances.csv')
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8', newline='') as file:
            rows = csv.writer(file)
            rows.writerow(['picture', 'id', 'class', 'score'])
            for result in results():
                rows.writerows(
                    [result.name, number, name, f'{score:.6f}'] for number, name, score in
                    zip(result.numbers, result.names, result.scores.tolist(), strict=True))


class MaskPNG(Writer):
    """``masks/NAME/0001_CLASS.png``: one PNG of black and white for each object."""

    name = 'masks'

    def write(self, result: Result) -> None:
        for number, name, crop in zip(result.numbers, result.names, result.crops()):
            pixels = np.zeros(result.size, np.uint8)
            pixels[crop.y:crop.y + crop.bitmap.shape[0],
                   crop.x:crop.x + crop.bitmap.shape[1]] = crop.bitmap * 255
            write_whole(self.context.path('masks', result.name,
                                          f'{number:04d}_{file_part(name)}.png'),
                        png_bytes(pixels, cv2.IMWRITE_PNG_BILEVEL, 1))


def file_part(name: str) -> str:
    """A class name as part of a file name."""
    return re.sub(r'[^\w.-]+', '_', name).strip('._')[:60] or 'object'
