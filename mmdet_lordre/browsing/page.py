"""Mosaics as files, and all of them in one HTML page."""
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from ..datasets.annotation_rules import KINDS, category_name
from ..datasets.checking import CheckedPart
from ..datasets.doubts import learned_objects
from ..errors import UserError
from ..files import atomic_write
from ..pages import bar_chart, thumbnail, write_page
from ..text import printable
from .mosaic import file_name, mosaic
from .sections import Section

TEMPLATES = Path(__file__).parent / 'templates'
PAGE = 'index.html'
#: Groups of sections, and their names.
GROUPS = {'pictures': 'Pictures', 'classes': 'Classes', 'doubtful': 'Doubtful',
          'network': 'What the network is given'}
#: Bytes of a tile in the page by its longer side in pixels: objects, images, inputs.
_BYTES = ((300, 9_000), (600, 30_000), (10**6, 90_000))
#: Bars of the chart of classes.
_BARS = 40


def write_all(folder: str, title: str, parts: Mapping[str, CheckedPart], between: Iterable[str],
              sections: Iterable[Section], version: str) -> tuple[str, list[str]]:
    """Write a page and its mosaics into a new folder.

    Args:
        folder: That is not there, or empty.
        title: Of the page.
        parts: What is known of each part.
        between: Lines about what parts have in common.
        sections: Drawn one by one.
        version: Of this package.

    Returns:
        tuple[str, list[str]]: path of the page, and those of the mosaics.

    Raises:
        UserError: The folder has files, or cannot be written.
    """
    refuse_used(folder)
    files, shown = [], []
    with _whole(folder, files):
        for number, section in enumerate(sections, 1):
            files.append(os.path.join(folder, file_name(number, section)))
            _write_picture(files[-1], mosaic(section))
            # what is in the page is small: pictures do not add up
            shown.append(dict(
                group=section.group, title=section.title, note=section.note,
                wide=max(max(tile.picture.shape) for tile in section.tiles) > 300,
                tiles=[dict(lines=tile.lines, address=thumbnail(
                    tile.picture, max(tile.picture.shape[:2]),
                    next(size for side, size in _BYTES if max(tile.picture.shape[:2]) <= side)))
                       for tile in section.tiles]))
        groups = [(name, text) for name, text in GROUPS.items()
                  if any(section['group'] == name for section in shown)]
        page = os.path.join(folder, PAGE)
        write_page(page, 'browse.html', TEMPLATES, title=title, sections=shown, groups=groups,
                   parts=[_figures(part) for part in parts.values()], between=list(between),
                   version=version, written=time.strftime('%Y-%m-%d %H:%M'))
    return page, files


@contextmanager
def _whole(folder: str, files: list[str]) -> Iterator[None]:
    """A folder to fill with files, which are taken out again if the block raises."""
    try:
        os.makedirs(folder, exist_ok=True)
        yield
    except BaseException as error:
        for path in files:
            with suppress(OSError):
                os.remove(path)
        with suppress(OSError):
            os.rmdir(folder)
        if isinstance(error, OSError):
            raise UserError(f'{folder} cannot be written: {error.strerror or error}') from error
        raise


def refuse_used(folder: str) -> None:
    """Refuse a folder that has files already.

    Raises:
        UserError: It is a file, or not empty.
    """
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise UserError(f'{folder} already exists: choose another --out')


def _write_picture(path: str, picture: np.ndarray) -> None:
    data = cv2.imencode('.jpg', np.ascontiguousarray(picture[..., ::-1]),
                        [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    with atomic_write(path) as name:
        # tofile says nothing of a full disk
        Path(name).write_bytes(data.tobytes())


def _figures(part: CheckedPart) -> dict:
    """What the page says of a part."""
    data = part.data
    objects = learned_objects(data, part.problems)
    counts = np.bincount(objects.image, minlength=len(data['images']))
    sides = np.sqrt(np.maximum(objects.area, 0))
    classes = []
    for label, category in enumerate(data['categories']):
        own = sides[objects.label == label]
        classes.append(dict(
            name=printable(category_name(category), 60), objects=len(own),
            images=len(np.unique(objects.image[objects.label == label])),
            sides=[float(f(own)) if len(own) else None for f in (np.median, np.min, np.max)]))
    order = sorted(classes, key=lambda row: -row['objects'])[:_BARS]
    found = {kind: sum(p.kind == kind for p in part.problems) for kind in KINDS}
    return dict(
        name=part.name, source=part.source, images=len(data['images']),
        annotations=part.usable.total, learnable=part.usable.count, notes=part.notes,
        median_count=f'{np.median(counts):g}', most=int(counts.max()),
        side=f'{np.median(sides):.0f}' if len(sides) else '\N{EN DASH}',
        problems=[(kind, count, KINDS[kind][1]) for kind, count in found.items() if count],
        class_chart=bar_chart([row['name'] for row in order], [row['objects'] for row in order],
                              'objects of each class', digits=0), classes=classes)
