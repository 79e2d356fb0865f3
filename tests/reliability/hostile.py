"""Images and annotations that anyone's data set may hold, one kind an image."""
import math
from pathlib import Path

import numpy as np
from PIL import Image

from ..cli.tiny import IDS, NAMES, write_json

WIDTH, HEIGHT = 64, 48
SQUARE = [20, 10, 50, 10, 50, 40, 20, 40]


def photo(width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8))


def instance(polygon=SQUARE, **more):
    """An annotation of a polygon or of run lengths, without ids."""
    xs, ys = polygon[::2], polygon[1::2]
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    return dict(bbox=box, area=float(max(1, box[2] * box[3])), iscrowd=0,
                segmentation=[polygon]) | more


def rectangle(width, height):
    return [0, 0, width, 0, width, height, 0, height]


def _thousand():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 2, 2), (WIDTH - 9, HEIGHT - 9, 9, 9)))
        yield instance([x, y, x + w, y, x + w, y + h, x, y + h])


def _cut(picture, path):
    picture.resize((600, 400)).save(path, format='JPEG')
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])


def _turned(picture, path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def _deep(picture, path):
    Image.fromarray(np.asarray(picture.convert('L')).astype(np.uint16) * 257).save(path)


RUNS = dict(size=[HEIGHT, WIDTH], counts=[100, 30, HEIGHT * WIDTH - 130])

#: What training works with: name of the file, annotations, how the picture is written.
KEPT = {
    'nothing': ('nothing.png', [], None),
    'thousand': ('thousand.png', list(_thousand()), None),
    'no pixels': ('no pixels.png', [instance([30, 20] * 3, bbox=[30, 20, 2, 2]),
                                    instance(segmentation=dict(RUNS, counts=[HEIGHT * WIDTH]))],
                  None),
    'one pixel': ('one pixel.png', [instance([30, 20, 31, 20, 31, 21, 30, 21])], None),
    'outside': ('outside.png', [instance([-30, -20, 30, -20, 30, 20, -30, 20]),
                                instance([90, 60, 99, 60, 99, 70])], None),
    'wrong box': ('box.png', [instance(bbox=[0, 0, 400, 300]),
                              instance(bbox=[1, 1, 2, 2], area=1e9)], None),
    'crossing': ('crossing.png', [instance([5, 5, 55, 40, 55, 5, 5, 40])], None),
    'two parts': ('parts.png', [instance(segmentation=[[2, 2, 9, 2, 9, 9], SQUARE]),
                                instance(segmentation=RUNS)], None),
    'crowd only': ('crowd.png', [instance(segmentation=RUNS, iscrowd=1)], None),
    'whole image': ('whole.png', [instance(rectangle(WIDTH, HEIGHT))] * 3, None),
    'two by two': ('2x2.png', [instance(rectangle(2, 2))], photo(2, 2)),
    'a line': ('line.png', [instance(rectangle(700, 2))], photo(700, 2)),
    'a column': ('column.png', [instance(rectangle(2, 700))], photo(2, 700)),
    'gray': ('gray.png', [instance()], photo().convert('L')),
    'transparent': ('rgba.png', [instance()], photo().convert('RGBA')),
    'sixteen bits': ('deep.png', [instance()], _deep),
    'four inks': ('cmyk.jpg', [instance()], photo().convert('CMYK')),
    'turned': ('turned.jpg', [instance()], _turned),
    'names': ('\u00fc \u56fe #1 %s.png', [instance()], None),
}

#: What can be tested but not trained on.
TESTED = {
    'one by one': ('1x1.png', [instance(rectangle(1, 1))], photo(1, 1)),
    'a thin line': ('1xn.png', [instance(rectangle(700, 1))], photo(700, 1)),
    'a thin column': ('nx1.png', [instance(rectangle(1, 700))], photo(1, 700)),
}

#: What training stops at, or leaves out when asked to.
REFUSED = {
    'bad run lengths': ('rle.png', [instance(segmentation=dict(RUNS, size=[WIDTH, HEIGHT]))], None),
    'damaged run lengths': ('runs.png', [instance(segmentation=dict(RUNS, counts=[9]))], None),
    'not finite': ('nan.png', [instance(segmentation=[[math.nan, *SQUARE[1:]]]),
                               instance(bbox=[math.nan, 1, 5, 5])], None),
    'far away': ('far.png', [instance(segmentation=[[1e9, *SQUARE[1:]]])], None),
    'same id': ('same.png', [instance(id=1)], None),
    'no mask': ('mask.png', [instance(segmentation=[])], None),
    **TESTED,
    'image truncated': ('cut.jpg', [instance(rectangle(600, 400))], _cut),
    'image unreadable': ('text.png', [instance()], lambda picture, path: path.write_text('text')),
    'image missing': ('missing.png', [instance()], lambda picture, path: None),
    'of another size': ('size.png', [instance()], photo(WIDTH, HEIGHT + 1)),
}


def write_hostile(folder, cases, name='hostile.json'):
    """Write images and their annotations.

    Args:
        folder: where ``name`` and ``images/`` go.
        cases (dict): parts of ``KEPT`` and ``REFUSED``.

    Returns:
        str: path of the annotation file.
    """
    folder = Path(folder)
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (file_name, instances, picture) in enumerate(cases.values()):
        path = folder / 'images' / file_name
        size = (600, 400) if picture is _cut else (WIDTH, HEIGHT)
        if callable(picture):
            picture(photo(), path)
        else:
            (picture or photo()).save(path)
            size = picture.size if picture and file_name != 'size.png' else size
        images.append(dict(id=number + 1, file_name=file_name, width=size[0], height=size[1]))
        for entry in instances:
            annotations.append(dict(dict(id=len(annotations) + 1), image_id=number + 1,
                                    category_id=IDS[number % 3], **entry)
                               if 'id' not in entry else
                               dict(entry, image_id=number + 1, category_id=IDS[0]))
    return write_json(folder / name, dict(
        images=images, annotations=annotations,
        categories=[dict(id=i, name=n) for i, n in zip(IDS, NAMES, strict=True)]))
