"""What the writers of all formats share: a new folder, copies of images, outlines of objects."""
import os
import posixpath
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...errors import UserError
from ...files import UNFINISHED, reason
from ...text import printable, quoted
from ..annotation_rules import encode_segmentation
from .coco import NAME as COCO
from .coco_data import CocoData
from .folder import Folder
from .run_lengths import outlines


@contextmanager
def new_folder(path: str) -> Iterator[str]:
    """A folder that is there with all that is written into it, or not at all.

    Args:
        path: It must not be there, or be empty.

    Yields:
        Another name, under which it is filled.

    Raises:
        UserError: There is something already, or it cannot be written.
    """
    path = os.path.abspath(path)
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)
                                  or os.listdir(path)):
        raise UserError(f'{path} already exists and is not overwritten: choose another name')
    unfinished = f'{path}{UNFINISHED}'
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(unfinished)
    except FileExistsError:
        raise UserError(f'{unfinished} is left over from an interrupted conversion, unless '
                        'another one is still running: remove it') from None
    except OSError as error:
        raise UserError(f'{path} cannot be written: {reason(error)}') from error
    try:
        yield unfinished
        with suppress(FileNotFoundError):
            os.rmdir(path)
        os.rename(unfinished, path)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {reason(error)}') from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


class Images:
    """The images of a part on their way into a new folder.

    Args:
        part: Annotations, and the folder that their images are in. Links are followed for the
            images of a COCO file, as training does.
        target: Where they are copied to; None to copy nothing.
        rename: Makes of a name the one to write, which no other name becomes.
        name: Of the part, where its folders are written before the names.
    """

    def __init__(self, part: CocoData, target: str | None,
                 rename: Callable[[str], str] = lambda name: name, name: str | None = None):
        data = part.data
        self.data, self.target, self.source = data, target, part.source
        self._rename = rename
        self._begin = begin_of(data, name) if name else 0
        self._folder = Folder(part.folder)
        self._linked = part.format == COCO
        self._stems: dict[str, str] = {}
        self._objects: dict[int, list[dict]] = {}
        for annotation in data.get('annotations', ()):
            self._objects.setdefault(annotation['image_id'], []).append(annotation)

    def __iter__(self) -> Iterator[tuple[str, dict, list[dict]]]:
        """(name within the target, entry, annotations) of every image, copied.

        Raises:
            UserError: A name that leads out of the folder, an image that is not there, or two whose
                annotations would have one name.
        """
        for image in self.data['images']:
            name = self._folder.within(image['file_name'])
            if name is None:
                raise UserError(f'{self.source}: the name {quoted(image["file_name"], 120)} leads '
                                f'out of the folder of images, {self._folder.path}: give the '
                                'folder that all names are in, with --images')
            stem = posixpath.splitext(name)[0].lower()
            if stem in self._stems:
                raise UserError(f'{self.source}: {quoted(self._stems[stem])} and {quoted(name)} '
                                'would have one file of annotations: rename one of the images')
            self._stems[stem] = name
            new = self._rename(name[self._begin:])
            if self.target is not None:
                path = self._folder.join(name)
                if not (os.path.isfile(path) if self._linked else self._folder.is_file(name)):
                    raise UserError(f'image missing on disk: {path}')
                copy = os.path.join(self.target, *new.split('/'))
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(path, copy)
            yield new, image, self._objects.get(image['id'], [])


def begin_of(data: dict, part: str) -> int:
    """Characters at the beginning of all names that an earlier conversion put there.

    Without them names do not grow each time that data are converted.

    Args:
        data: Annotations of a part.
        part: Its name.
    """
    names = [image['file_name'].replace('\\', '/') for image in data['images']]
    return next((len(begin) for begin in (f'images/{part}/', f'{part}/')
                 if names and all(name.startswith(begin) for name in names)), 0)


def objects_with_masks(annotations: list[dict], image: dict, lost: Counter
                       ) -> Iterator[tuple[dict, dict]]:
    """(annotation, run lengths) of the objects that a format without crowds can say.

    Args:
        annotations: Of the image.
        image: Its entry.
        lost: Counts what is left out.
    """
    for annotation in annotations:
        encoded = encode_segmentation(annotation.get('segmentation'), image)
        if annotation.get('iscrowd'):
            lost['crowd regions'] += 1
        elif encoded is None:
            lost['objects without a mask'] += 1
        else:
            yield annotation, encoded


def parts_of(annotation: dict, encoded: dict) -> list[tuple[list[float], list[list[float]]]]:
    """(outline, holes) of the parts of an object: its own polygons, or those of its pixels."""
    segmentation = annotation['segmentation']
    if isinstance(segmentation, list):
        return [(polygon, []) for polygon in segmentation]
    return outlines(encoded)


def write_text(path: str, text: str) -> None:
    """Write a file in a folder that is made."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def safe_name(name: str) -> str:
    """A name of a class as a name of a folder."""
    plain = ''.join('_' if c in '/\\:*?"<>|' or not c.isprintable() else c for c in name)
    return printable(plain.strip(' .'), 100) or '_'
