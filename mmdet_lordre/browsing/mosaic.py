"""Tiles side by side in one picture, with their names below them."""
import re

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .sections import Section

#: Pixels of a row, of the lines below it, and between tiles.
_ROW, _LINE, _GAP = 1480, 15, 8
#: Tiles in a row: of objects, of whole images, and of inputs with targets to be seen.
_OBJECTS, _IMAGES, _INPUTS = 6, 4, 2
#: Lines that a text may take.
_LINES = 2
_BACK, _TEXT = (255, 255, 255), (40, 46, 58)


def mosaic(section: Section) -> np.ndarray:
    """The tiles of a section in rows: (H, W, 3) uint8, RGB."""
    whole = max(max(tile.picture.shape) for tile in section.tiles) > _ROW // _OBJECTS
    columns = _INPUTS if section.group == 'network' else _IMAGES if whole else _OBJECTS
    side = _ROW // columns - _GAP
    font = ImageFont.load_default(11)
    texts = [[part for line in tile.lines for part in _wrapped(line, font, side)]
             for tile in section.tiles]
    pictures = [_fitted(tile.picture, side) for tile in section.tiles]
    places, y = [], _GAP
    for start in range(0, len(pictures), columns):
        row = range(start, min(start + columns, len(pictures)))
        places += [(y, _GAP + (at - start) * (side + _GAP)) for at in row]
        y += max(pictures[at].shape[0] + _LINE * len(texts[at]) for at in row) + 2 * _GAP
    width = min(columns, len(pictures)) * (side + _GAP) + _GAP
    sheet = np.full((y, width, 3), _BACK, np.uint8)
    for picture, (top, left) in zip(pictures, places, strict=True):
        sheet[top:top + picture.shape[0], left:left + picture.shape[1]] = picture
    drawn = Image.fromarray(sheet)
    draw = ImageDraw.Draw(drawn)
    for picture, lines, (top, left) in zip(pictures, texts, places, strict=True):
        for number, text in enumerate(lines):
            draw.text((left, top + picture.shape[0] + 1 + number * _LINE), text, _TEXT, font)
    return np.asarray(drawn)


def file_name(number: int, section: Section) -> str:
    """Name of the file of a mosaic: a number and plain letters, whatever the class is called."""
    plain = re.sub(r'[^a-z0-9]+', '_', section.title.lower()).strip('_')[:40]
    return f'{number:03d}_{section.group}{f"_{plain}" if plain else ""}.jpg'


def _fitted(picture, side):
    factor = side / max(picture.shape[:2])
    size = tuple(max(1, round(length * factor)) for length in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1
                      else cv2.INTER_CUBIC)


def _wrapped(text, font, side):
    """A text in lines of a width, cut off after the last that there is room for."""
    lines = []
    while text and len(lines) < _LINES:
        room = len(text)
        while room > 1 and font.getlength(text[:room]) > side:
            room = max(1, min(room - 1, int(room * side / font.getlength(text[:room]))))
        # between words, if there are any
        end = text.rfind(' ', 1, room + 1) if room < len(text) else room
        end = end if end > 0 else room
        lines.append(text[:end])
        text = text[end:].lstrip()
    if text:
        lines[-1] = f'{lines[-1][:-3]}...'
    return lines
