"""Where pictures come from: files, folders, patterns, lists, COCO files, arrays, films, cameras."""
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..datasets.coco_file import class_names, find_images, forget_annotations, read_annotations
from ..datasets.file_names import path_inside
from ..datasets.repairs import Repairs
from ..errors import UserError
from ..files import is_circle
from ..text import plural, printable
from .cameras import camera_of
from .films import FILM_ENDINGS, is_film
from .frames import Frames, frames_of
from .pictures import IMAGE_ENDINGS, Picture, passed_over, pixels_of

_PATTERN = frozenset('*?[')
_ENDINGS = (*IMAGE_ENDINGS, *FILM_ENDINGS)


class Source:
    """Pictures in an order that is the same every time.

    Args:
        parts: (entries, root): for each picture its path, or an array, or (path, image id, name),
            whose path is None where no file can be meant; and the folder that names are relative
            to.
        said: What it is, in words.
        categories: COCO categories, where it is a COCO file.
    """

    live = moving = False

    def __init__(self, parts: Sequence[tuple[Sequence[Any], str | None]], said: str,
                 categories: list[dict] | None = None):
        self.parts, self.said, self.categories = list(parts), said, categories

    def __len__(self) -> int:
        return sum(len(entries) for entries, _ in self.parts)

    def __iter__(self) -> Iterator[Picture]:
        taken = set()
        for index, (entry, root) in enumerate(self._entries()):
            if isinstance(entry, np.ndarray):
                yield Picture(_free(f'picture_{index:06d}', '', taken), index, pixels=entry)
                continue
            path, image_id, named = entry if isinstance(entry, tuple) else (entry, None, None)
            file = named or _relative(path, root)
            stem, ending = os.path.splitext(file)
            yield Picture(_free(stem, ending, taken), index, path, file.replace(os.sep, '/'),
                          image_id=image_id)

    def _entries(self) -> Iterator[tuple[Any, str | None]]:
        return ((entry, root) for entries, root in self.parts for entry in entries)

    def every(self, step: int) -> 'Source':
        """The same: a film has frames that can be passed over, pictures are all meant.

        Raises:
            UserError: ``step`` is not 1.
        """
        if step != 1:
            raise UserError(f'every: {step} is for films and cameras, and {self.said} is none')
        return self


def _without_id(entry):
    """An entry of a COCO file among others, whose images may have the same ids."""
    return (entry[0], None, entry[2]) if isinstance(entry, tuple) else entry


class Iterated(Source):
    """Pictures that come one after the other, each taken when the network is nearly there.

    Args:
        items: Of what :func:`open_source` takes; there may be no end of them.
        recursive: Also folders in folders.
    """

    def __init__(self, items: Iterable, recursive: bool = False):
        super().__init__([], f'a {type(items).__name__}')
        self.items, self.recursive = items, recursive

    def _entries(self) -> Iterator[tuple[Any, str | None]]:
        for item in self.items:
            part = open_source(item, self.recursive)
            if not isinstance(part, Source):
                raise UserError(f'{part.said} is a film or a camera, and comes out of {self.said}: '
                                'give it itself')
            # pictures are taken ahead of the network, and who gives them may reuse the memory
            yield from ((entry.copy() if isinstance(entry, np.ndarray) else _without_id(entry),
                         root) for entry, root in part._entries())


def _relative(path: str, root: str | None) -> str:
    if '://' in path:
        path = path.split('?')[0].split('#')[0].split('://')[1]
        return path.rsplit('/', 1)[-1] or 'picture'
    if root is not None:
        inside = os.path.relpath(os.path.abspath(path), root)
        if not inside.startswith(os.pardir):
            return inside
    return path


def open_source(source: Any, recursive: bool = False, images: str | None = None,
                without: str | None = None) -> Source | Frames:
    """The pictures that are meant.

    Args:
        source: A picture, a folder, a pattern (``photos/*.jpg``), a list file (``.txt``, a path a
            line, relative to it), a COCO file (``.json``), an http(s) address of a picture, an
            array or a picture of Pillow, or a list, a generator or another series of any of these;
            or films; or a camera: its number, or an address (``rtsp://...``). An address is opened
            only where it is given here: one in a list file or a COCO file is not.
        recursive: Also folders in folders.
        images: Folder of the pictures of a COCO file.
        without: A folder that is not looked into: results are written there.

    Raises:
        UserError: There is nothing of that name, or no picture in it; or it is pictures and films.
    """
    camera = camera_of(source)
    if camera is not None and not (isinstance(source, str) and os.path.exists(source)):
        return frames_of([camera])
    found = _open(source, recursive, images, without)
    paths = [entry for entries, _ in found.parts for entry in entries if isinstance(entry, str)]
    films = [path for path in paths if _is_film(path)]
    if not films:
        return found
    if len(films) < len(found):
        raise UserError(f'{printable(films[0], 80)} is a film, but pictures are given as well: '
                        'process them in separate runs')
    return frames_of(films)


def _is_film(path: str) -> bool:
    if '://' in path:
        return path.lower().split('?')[0].endswith(FILM_ENDINGS)
    return is_film(path)


def _open(source: Any, recursive: bool, images: str | None, without: str | None) -> Source:
    if isinstance(source, np.ndarray) and source.ndim == 4:
        source = list(source)
    if isinstance(source, (list, tuple)):
        if not source:
            raise UserError('the list of pictures is empty')
        if any(camera_of(one) is not None and not os.path.exists(str(one)) for one in source):
            raise UserError('a camera is a source of its own: give it alone')
        parts = [_open(one, recursive, images, without) for one in source]
        if any(isinstance(part, Iterated) for part in parts):
            return Iterated(source, recursive)
        several = len(parts) > 1
        return Source([(list(map(_without_id, entries)) if several else entries, root)
                       for part in parts for entries, root in part.parts],
                      ' '.join(part.said for part in parts) if len(parts) < 9
                      else plural(len(parts), 'source'),
                      parts[0].categories if len(parts) == 1 else None)
    if not isinstance(source, (str, os.PathLike)):
        # tensors and pictures can be arrays, and the order of a set is nobody's
        if isinstance(source, Iterable) and not hasattr(source, '__array__') and not isinstance(
                source, (bytes, bytearray, memoryview, Mapping, Set)):
            return Iterated(source, recursive)
        return Source([([pixels_of(source)], None)], 'an array')
    path = os.fspath(source)
    said = printable(path, 80)
    if path.lower().startswith(('http://', 'https://')):
        return Source([([path], None)], said)
    if os.path.isdir(path):
        others: list[str] = []
        found = list(_pictures_in(path, recursive, without and os.path.abspath(without), others))
        other = passed_over(others, _ENDINGS)
        films = [name for name in found if name.lower().endswith(FILM_ENDINGS)]
        if 0 < len(films) < len(found):
            print(f'left out: {plural(len(films), "film")} among the pictures of {said}; give '
                  f'films by name, such as {printable(films[0], 80)}')
            found = [name for name in found if not name.lower().endswith(FILM_ENDINGS)]
        if not found:
            deeper = '' if recursive else '; recursive looks into folders in it, too'
            raise UserError(f'no pictures and no films in {said} (looked for '
                            f'{", ".join(IMAGE_ENDINGS)}, .mp4, .mov, .mkv, ...{deeper})'
                            + (f'; {other}' if other else ''))
        if other:
            print(f'{said}: {other}')
        return Source([(found, os.path.abspath(path))], said)
    if os.path.isfile(path):
        kinds: dict[str, Callable] = {'.txt': _listed, '.json': _of_coco}
        read = kinds.get(os.path.splitext(path)[1].lower())
        if read is not None:
            return read(path, images, said)
        return Source([([path], os.path.dirname(os.path.abspath(path)))], said)
    if _PATTERN & set(path):
        found = sorted(p for p in glob.iglob(path, recursive=True)
                       if p.lower().endswith(_ENDINGS)
                       and (os.path.isfile(p) or not os.path.exists(p)))
        if not found:
            raise UserError(f'no picture and no film fits {said}')
        fixed = []
        for part in Path(path).parts[:-1]:
            if _PATTERN & set(part):
                break
            fixed.append(part)
        return Source([(found, os.path.abspath(os.path.join(*fixed) if fixed else '.'))], said)
    raise UserError(f'{said} is a link that leads in a circle: give the file itself'
                    if is_circle(path) else f'no such picture, film, folder or file: {said}')


def _pictures_in(folder: str, recursive: bool, without: str | None,
                 others: list[str]) -> Iterator[str]:
    """Paths, folder by folder in the order of names; names of other files go into ``others``."""
    try:
        with os.scandir(folder) as entries:
            names, folders = [], []
            for entry in entries:
                # a link that leads nowhere, or in a circle, is named where it is read
                broken = entry.is_symlink() and not os.path.exists(entry.path)
                if entry.name.lower().endswith(_ENDINGS) and (broken or entry.is_file()):
                    names.append(entry.name)
                elif recursive and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file():
                    others.append(entry.name)
    except OSError as error:
        raise UserError(f'{printable(folder, 80)} cannot be read: {error.strerror}') from error
    for name in sorted(names):
        yield os.path.join(folder, name)
    for name in sorted(folders):
        path = os.path.join(folder, name)
        if os.path.abspath(path) != without:
            yield from _pictures_in(path, recursive, without, others)


def _listed(path: str, images: str | None, said: str) -> Source:
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{said} cannot be read as a list of pictures: {error}') from error
    names = [line for line in lines if line and not line.startswith('#')]
    if not names:
        raise UserError(f'{said} lists no pictures: a path a line is expected')
    for name in names:
        if '://' in name:
            raise UserError(f'{said}: {printable(name, 80)}: addresses in a list are not fetched; '
                            'give one as the source to fetch it')
    paths = []
    for name in names:
        near = os.path.join(folder, name)
        paths.append(near if os.path.exists(near) or not os.path.exists(name) else name)
    return Source([(paths, folder)], said)


def _of_coco(path: str, images: str | None, said: str) -> Source:
    data = read_annotations(path)
    folder = find_images(data, path, images)
    # the files are looked for as for training; results keep the names by which the file has them
    found = Repairs(dict(images=[dict(image, id=image.get('id')) for image in data['images']],
                         categories=[]), said)
    found.names(folder)
    entries = []
    for image, mended in zip(data['images'], found.data['images'], strict=True):
        name = mended['file_name']
        if '://' in name:
            raise UserError(f'{said}: image {printable(image.get("id"), 40)} has no file_name that '
                            f'is a path: {printable(name, 80)}')
        entries.append((path_inside(folder, name), image.get('id'),
                        image.get('file_name') or name))
    if found.notes:
        print(f'{said}: {"; ".join(found.notes)}')
    categories = data['categories'] or None  # a list of pictures alone has none
    if categories:
        class_names(data, path)  # each of them has a name and an id of its own
    forget_annotations()
    return Source([(entries, os.path.abspath(folder))], said, categories)


def _free(stem: str, ending: str, taken: set) -> str:
    """A name that no other picture has, and that cannot lead out of a folder."""
    parts = [part for part in PurePosixPath(stem.replace('\\', '/')).parts
             if part not in ('/', '..', '.') and not part.endswith(':')]
    stem = '/'.join(part.replace('\0', '') for part in parts) or 'picture'
    name, number = stem, 1
    # names that differ in case alone are one file on some systems
    while (key := hash(name.casefold())) in taken:
        number += 1
        name = f'{stem}_{ending[1:]}' if number == 2 and ending else f'{stem}_{number}'
    taken.add(key)
    return name
