"""Where YOLO looks for the labels of an image, and names for which that is not where they lie."""
import posixpath
import re
from collections.abc import Iterable, Iterator

from .folder import IMAGES, Folder


def label_name(image: str) -> tuple[str, bool]:
    """Name of the text file of an image, and whether a folder images says so.

    YOLO puts ``labels`` in the place of the last folder ``images``.

    Args:
        image: Its name, with ``/``.
    """
    stem = posixpath.splitext(image)[0]
    head, found, tail = f'/{stem}'.rpartition('/images/')
    return (f'{head}/labels/{tail}.txt'.lstrip('/'), True) if found else (f'{stem}.txt', False)


def written_name(name: str) -> str:
    """A name to write below ``images/`` and ``labels/``, without a folder ``images`` of its own.

    No two names become one: ``images`` becomes ``images_``, which itself becomes ``images__``.

    Args:
        name: Of an image, with ``/``.
    """
    *folders, base = name.split('/')
    return '/'.join([*(f'{folder}_' if re.fullmatch('images_*', folder) else folder
                       for folder in folders), base])


def renamed_line(name: str) -> str:
    """What to say where :func:`written_name` changed one name or more.

    Args:
        name: The first of them.
    """
    return ('folders called images are written as images_, as YOLO looks for labels beside the '
            f'last folder images of a path: {name} is {written_name(name)}')


def label_folders(images: Iterable[str]) -> list[str]:
    """Folders ``labels`` in which labels of images may lie, by any folder ``images``."""
    found = set()
    for place in {posixpath.dirname(image) for image in images}:
        words = place.split('/')
        found.update('/'.join([*words[:i], 'labels']) for i, word in enumerate(words)
                     if word == 'images')
    return sorted(found)


def images_of(label: str) -> Iterator[str]:
    """Names of the images that a text file could belong to, by YOLO's rule."""
    stem = posixpath.splitext(label)[0]
    words = stem.split('/')
    for i, word in enumerate(words[:-1]):
        name = '/'.join([*words[:i], 'images', *words[i + 1:]])
        if word == 'labels' and label_name(f'{name}.jpg')[0] == label:
            for small in IMAGES:
                yield from (f'{name}{small}', f'{name}{small.upper()}')


def has_image(label: str, folder: Folder) -> bool:
    """Whether there is an image that a text file belongs to."""
    return any(folder.kind(name) == 'file' for name in images_of(label))
