"""Where labels go in a picture: beside what they name, over nothing that is to be seen."""
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Share of a label that may lie on other objects, and of an object that its own label may cover.
_ON_OTHERS, _ON_OWN = 0.08, 0.12
#: Pixels of the longer side of the map in which room is sought.
_MAP = 2048
#: Names are written beside objects if that many of them have room for it.
_MOST = 0.6
#: Rows of a legend.
MOST_ROWS = 4


def percent(score: float) -> str:
    """A score as labels have it: those of PolarMask, which can exceed 1, up to 100."""
    return f'{min(100, 100 * float(score)):.0f}'


@dataclass
class Label:
    """What is written beside an object.

    Attributes:
        name: Of its class.
        score: In words, '' without.
        color: (R, G, B) of the object.
        y: Top of its bounds in the picture.
        x: Left side of its bounds.
        bitmap: Its pixels inside the bounds, smaller than in the picture by a whole factor.
    """
    name: str
    score: str
    color: tuple
    y: int
    x: int
    bitmap: np.ndarray

    @property
    def text(self) -> str:
        """Name and score."""
        return f'{self.name} {self.score}'.strip()


def font_size(size: Sequence[int]) -> int:
    """Of the labels of a picture (height, width)."""
    return int(np.clip(min(size[:2]) / 36, 11, 28))


def draw_labels(image: np.ndarray, texts: Sequence[str], positions: Sequence[tuple],
                colors: Sequence[tuple]) -> np.ndarray:
    """Small labels, each kept inside the image and off the ones before it.

    Args:
        image: (H, W, 3) uint8, RGB.
        texts: One line each.
        positions: (x, y) in pixels of the image, top left of the label.
        colors: Of the background.

    Returns:
        ndarray: a new image.
    """
    image = np.array(image)
    taken = []
    for text, (x, y), color in zip(texts, positions, colors, strict=True):
        picture, _ = _pill(text, tuple(color), font_size(image.shape))
        h, w = picture.shape[:2]
        x = int(np.clip(x, 0, max(0, image.shape[1] - w)))
        y = int(np.clip(y - h, 0, max(0, image.shape[0] - h)))
        for _ in range(6):
            if not any(x < a + c and a < x + w and y < b + d and b < y + h
                       for a, b, c, d in taken) or y + 2 * h > image.shape[0]:
                break
            y += h
        taken.append((x, y, w, h))
        _paste(image, text, color, font_size(image.shape), y, x)
    return image


def place_labels(image: np.ndarray, labels: Sequence[Label], factor: int = 1) -> bool:
    """Write labels into an image where there is room.

    Args:
        image: (H, W, 3) uint8, RGB; changed in place.
        labels: The most important first.
        factor: By which the image is larger than the labels' bitmaps.

    Returns:
        Whether every object has its name beside it.
    """
    if not labels:
        return True
    room = _Room(image.shape[:2], labels, factor)
    size = font_size(image.shape)
    full = room.places([label.text for label in labels], size)
    found = sum(place is not None for place in full)
    if found < _MOST * len(labels) and any(label.score for label in labels):
        # few names fit: scores alone, smaller, all in one way
        texts, size = [label.score for label in labels], max(9, round(0.75 * size))
        places, complete = room.anew().places(texts, size), False
    else:
        texts, places = [label.text for label in labels], full
        complete = found == len(labels)
        short = [label.score if place is None else '' for label, place in zip(labels, full)]
        for i, place in enumerate(room.places(short, size)):
            if place is not None:
                texts[i], places[i] = short[i], place
    for label, text, place in zip(labels, texts, places):
        if place is not None:
            _paste(image, text, label.color, size, *place)
    return complete


def add_legend(image: np.ndarray, entries: Sequence[tuple[str, tuple, int]],
               most_rows: int = MOST_ROWS) -> np.ndarray:
    """The image with names below it.

    Args:
        image: (H, W, 3) uint8, RGB.
        entries: Name, color and number of objects of each class.
        most_rows: What has no room in them is counted.

    Returns:
        A taller image; its height depends on the rows alone.
    """
    size = font_size(image.shape)
    font, height, gap = ImageFont.load_default(size), _row_height(size), size
    rows, x = [[]], gap // 2
    for number, (name, color, count) in enumerate(entries):
        text = f'{name}  {count}'
        width = int(font.getlength(text)) + 2 * gap + size
        if rows[-1] and x + width > image.shape[1]:
            if len(rows) == most_rows:
                rows[-1].append((x, None, f'+ {len(entries) - number}'))
                break
            rows, x = [*rows, []], gap // 2
        rows[-1].append((x, color, text))
        x += width
    strip = Image.new('RGB', (image.shape[1], legend_height(image.shape, len(rows))),
                      (255, 255, 255))
    draw = ImageDraw.Draw(strip)
    for number, row in enumerate(rows):
        middle = 2 + height * number + height // 2
        for x, color, text in row:
            if color is not None:
                box = (x, middle - size // 2, x + size, middle - size // 2 + size)
                draw.rounded_rectangle(box, radius=2, fill=tuple(color))
            draw.text((x + size + size // 2, middle), text, font=font, fill=(0, 0, 0), anchor='lm')
    room = image.base if isinstance(image.base, np.ndarray) else image
    total = len(image) + strip.height
    if room.ndim == 3 and room.dtype == image.dtype and len(room) >= total \
            and np.shares_memory(room[:1], image[:1]) and room.shape[1:] == image.shape[1:]:
        room[len(image):total] = np.asarray(strip)
        return room[:total]
    return np.concatenate([image, np.asarray(strip)])


def legend_height(size: Sequence[int], rows: int) -> int:
    """Pixels of a legend below a picture (height, width)."""
    return _row_height(font_size(size)) * rows + 4


def _row_height(font: int) -> int:
    return round(1.7 * font)


class _Room:
    """A map of what is covered, by objects and by labels."""

    def __init__(self, size, labels, factor):
        self.size, self.labels, self.factor = size, labels, factor
        self.step = max(1, -(-max(size) // _MAP))
        shape = [-(-side // self.step) for side in size]
        self.objects = np.zeros(shape, np.int32)
        for number in range(len(labels), 0, -1):
            label = labels[number - 1]
            bitmap = label.bitmap
            height, width = (-(-side * factor // self.step) for side in bitmap.shape)
            small = cv2.resize(bitmap, (max(1, width), max(1, height)),
                               interpolation=cv2.INTER_NEAREST) > 0
            y, x = max(0, label.y // self.step), max(0, label.x // self.step)
            window = self.objects[y:y + small.shape[0], x:x + small.shape[1]]
            window[small[:window.shape[0], :window.shape[1]]] = number
        self.taken = np.zeros(shape, bool)
        self.areas = np.bincount(self.objects.ravel(), minlength=len(labels) + 1)

    def anew(self):
        """The same without labels."""
        self.taken[:] = False
        return self

    def places(self, texts, size):
        """(y, x) for each text, None where there is no room or no text."""
        return [self._place(i, text, size) if text else None for i, text in enumerate(texts)]

    def _place(self, i, text, size):
        label = self.labels[i]
        height, width = _pill(text, tuple(label.color), size)[0].shape[:2]
        top, left = label.y, label.x
        bottom = top + label.bitmap.shape[0] * self.factor
        right = left + label.bitmap.shape[1] * self.factor
        middle_y, middle_x = (top + bottom - height) // 2, (left + right - width) // 2
        for y, x in ((top - height, left), (bottom, left), (top - height, right - width),
                     (bottom, right - width), (top - height, middle_x), (bottom, middle_x),
                     (middle_y, right), (middle_y, left - width), (top, right),
                     (top, left - width), (top + 2, left + 2), (middle_y, middle_x)):
            # a name may be moved along the border, not away from its object
            x = min(max(x, 0), self.size[1] - width) if -width < x < self.size[1] else x
            if y < 0 or x < 0 or y + height > self.size[0] or x + width > self.size[1]:
                continue
            place = (slice(y // self.step, -(-(y + height) // self.step)),
                     slice(x // self.step, -(-(x + width) // self.step)))
            if self.taken[place].any():
                continue
            under = self.objects[place]
            own = np.count_nonzero(under == i + 1)
            others = np.count_nonzero(under) - own
            if others <= _ON_OTHERS * under.size and own <= _ON_OWN * self.areas[i + 1]:
                self.taken[place] = True
                return y, x
        return None


@functools.lru_cache(maxsize=4096)
def _pill(text, color, size):
    """A label as RGB (h, w, 3) and coverage (h, w, 1) from 0 to 1."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    w, h = round(right - left) + 6, round(bottom - top) + 5
    light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
    picture = Image.new('RGB', (w, h), color)
    ImageDraw.Draw(picture).text((3 - left, 2 - top), text, font=font,
                                 fill=(0, 0, 0) if light else (255, 255, 255))
    shape = Image.new('L', (w, h), 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, w - 1, h - 1), radius=3, fill=255)
    return np.asarray(picture), np.asarray(shape)[..., None] / 255


def _paste(image, text, color, size, y, x):
    picture, shape = _pill(text, tuple(color), size)
    window = image[y:y + picture.shape[0], x:x + picture.shape[1]]
    picture, shape = (part[:window.shape[0], :window.shape[1]] for part in (picture, shape))
    window[...] = (window * (1 - shape) + picture * shape).astype(np.uint8)
