"""COCO annotation files: read once, their classes, their images, and cleaned copies."""
import codecs
import difflib
import functools
import gc
import gzip
import hashlib
import json
import os
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import ANNOTATIONS, NO_LIMITS, atomic_write, is_circle, reason, refuse_large
from ..text import printable, quoted
from .annotation_rules import category_name, check_structure
from .file_names import IMAGES_OPTIONS, base_names, leads_out

#: Key of a converted file that holds the path of what it was converted from.
SOURCE = 'converted_from'
#: The lists of a COCO file.
_LISTS = ('images', 'categories', 'annotations')
#: Entries that are written at once.
_PIECE = 10_000


def read_annotations(path: str | Path) -> dict:
    """A COCO annotation file as a dictionary, not to be changed: it is kept for the next call.

    Raises:
        UserError: No such file, not JSON, without ``images`` and ``categories``, or without any
            image.
    """
    path = _readable(path)
    status = os.stat(path)
    return _parse(path, status.st_mtime_ns, status.st_size)


def read_json_file(path: str | Path) -> Any:
    """What a JSON file, also a gzipped one, holds; not to be changed: it is kept for the next call.

    Raises:
        UserError: No such file, or not JSON.
    """
    path = _readable(path)
    status = os.stat(path)
    return _load(path, status.st_mtime_ns, status.st_size)


def _readable(path):
    path = str(path)
    if os.path.isdir(path):
        raise UserError(f'{path} is a folder: give the annotation file in it (.json)')
    if '://' in path:
        raise UserError(f'{path}: annotations are not downloaded: give a file')
    if not os.path.exists(path):
        raise UserError(f'no such annotation file: {path}')
    if not os.path.isfile(path):  # a pipe would be waited for, for ever
        raise UserError(f'{path} is no ordinary file: give the annotation file (.json)')
    refuse_large(path, ANNOTATIONS)
    return path


@functools.lru_cache(maxsize=2)
def _parse(path: str, changed: int, size: int) -> dict:
    data = _load(path, changed, size)
    if isinstance(data, dict) and data.get('annotations') is None:
        data = {key: value for key, value in data.items() if key != 'annotations'}
    for key in ('images', 'categories'):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise UserError(f'{path} is not a COCO annotation file: it has no list "{key}"'
                            + (_but(data, key) if isinstance(data, dict) else ''))
    if 'annotations' not in data and (but := _but(data, 'annotations')):
        raise UserError(f'{path} has no list "annotations"{but}')
    check_structure(data, path)
    if not data['images']:
        raise UserError(f'{path} lists no images: nothing to learn from or to test on')
    return data


def _but(data, key):
    """The key that is there in place of another, as the end of a sentence."""
    near = [name for name in data if name not in _LISTS
            and difflib.get_close_matches(name.lower(), [key], cutoff=0.85)]
    return f', but "{printable(near[0], 40)}": rename that' if near else ''


@functools.lru_cache(maxsize=2)
def _load(path: str, _changed: int, _size: int) -> Any:
    collecting = gc.isenabled()
    gc.disable()  # nothing is garbage yet, and there are millions of objects to look at
    try:
        if path.lower().endswith('.gz'):
            text = _unpacked(path).decode('utf-8-sig')
        else:
            with open(path, encoding='utf-8-sig') as file:
                text = file.read()
        data = json.loads(text)
        _refuse_lists_twice(text, path)
        return data
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f'{path} cannot be read: '
                        f'{getattr(error, "strerror", None) or error}') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} {_not_json(error)}') from error
    finally:
        if collecting:
            gc.enable()


def _refuse_lists_twice(text, path):
    """JSON takes the last of two lists of one name, without a word."""
    # to count words takes a fiftieth of the time of reading; to look at keys, as much again
    if all(text.count(f'"{name}"') < 2 for name in _LISTS):
        return
    keys = []

    def look(pairs):  # the outermost dictionary ends last
        keys[:] = [key for key, _ in pairs]
    json.loads(text, object_pairs_hook=look)
    twice = next((name for name in _LISTS if keys.count(name) > 1), None)
    if twice is not None:
        raise UserError(f'{path} has two lists "{twice}", of which only the last would be read: '
                        'make them one')


def _not_json(error):
    if isinstance(error, UnicodeDecodeError):
        marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
        if error.object[:2] in marks:
            return 'is not JSON in UTF-8, but in UTF-16: save it again in UTF-8'
        return f'is not JSON in UTF-8 ({error.reason} at byte {error.start}): save it again'
    if isinstance(error, RecursionError):
        return 'is not JSON of annotations: it is nested too deeply; export them again'
    if getattr(error, 'msg', '') == 'Extra data':
        return (f'is not JSON: a second value begins in line {error.lineno} (JSON Lines, or two '
                'files in one?): make it one dictionary')
    return f'is not JSON: {error}'


def _unpacked(path):
    """Bytes of a gzipped file; JSON is packed to a tenth, so what grows far more is none."""
    limit = min(ANNOTATIONS, max(2**28, 100 * os.path.getsize(path)))
    with gzip.open(path) as file:
        if os.environ.get(NO_LIMITS):
            return file.read()
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UserError(f'{path} refused: unpacked it has more than {limit / 2**30:.3g} GiB; set '
                        f'{NO_LIMITS}=1 to read it anyway')
    return data


def forget_annotations() -> None:
    """Free what :func:`read_annotations` keeps: COCO's own file takes gigabytes."""
    _parse.cache_clear()
    _load.cache_clear()


def class_names(data: dict, path: str) -> tuple[str, ...]:
    """Names of the categories in the order of the file, which is the order of the labels.

    Args:
        data: A COCO file.
        path: Its path, for the message.

    Raises:
        UserError: No categories, one without a name, or two of one name or id.
    """
    names = [category_name(category) for category in data['categories']]
    ids = [category.get('id') for category in data['categories']]
    if not names:
        raise UserError(f'{path}: "categories" is empty: no class to learn')
    if None in names:
        wrong = data['categories'][names.index(None)]
        raise UserError(f'{path}: the name of category {quoted(wrong.get("id"))} is '
                        f'{quoted(wrong["name"]) if "name" in wrong else "missing"}: give it one '
                        'as text')
    for what, values in (('a name', names), ('an id', ids)):
        seen = set()
        twice = next((v for v in values if v in seen or seen.add(v)), None)
        if twice is not None or None in values:
            said = 'one has none' if twice is None else f'twice: {quoted(twice)}'
            remedy = _take_out(data, names, twice) if values is names and twice is not None else ''
            raise UserError(f"{path}: every category needs {what} of its own; {said}{remedy}")
    return tuple(names)


def _take_out(data, names, twice):
    """What to do about a name that several categories have, one of them without annotations."""
    ids = [category.get('id') for category, name in zip(data['categories'], names, strict=True)
           if name == twice]
    used = {annotation.get('category_id') for annotation in data.get('annotations', ())}
    idle = [one for one in ids if one not in used]
    if not 0 < len(idle) < len(ids):
        return ''
    return (f': take the one of id {quoted(idle[0])} out of "categories", which no annotation has '
            "(Roboflow's first one is a heading)")


def find_images(data: dict, ann_path: str | Path, folder: str | None = None) -> str:
    """The folder that the file names of an annotation file are relative to.

    Without ``folder`` the usual places are tried: beside the annotations, ``images/``, ``img/``,
    ``data/`` (FiftyOne's) and the folder that carries the annotation file's name
    (``annotations/instances_x.json`` with ``x/``).

    Args:
        data: A COCO file.
        ann_path: Its path.
        folder: Where the images are, if that was said.

    Raises:
        UserError: No such folder, or none of the first images is in any of the places, which are
            named.
    """
    if folder is not None and not os.path.isdir(folder):
        raise UserError(f'{folder}: images are not downloaded: give a folder'
                        if '://' in str(folder) else f'no such folder of images: {folder}')
    ann_path = Path(ann_path)
    names = [image['file_name'] for image in data['images'][:20]
             if isinstance(image.get('file_name'), str) and image['file_name']]
    if folder is not None:
        places = [Path(folder)]
    else:
        stem = ann_path.name.removesuffix('.gz').removesuffix('.json')
        short = stem.removeprefix('instances_').removesuffix('_annotations')
        places = [base / sub for base in (ann_path.parent, ann_path.parent.parent)
                  for sub in dict.fromkeys(('', 'images', f'images/{short}', short, stem,
                                            f'{short}/images', 'JPEGImages', 'img', 'imgs',
                                            'data'))]
    # single images that are missing are found, and said, where all files are looked at
    for candidates in (lambda name: [name], base_names, _in_other_form):
        found = [sum(any(os.path.isfile(os.path.join(place, c)) for c in candidates(name)
                         if not leads_out(place, c)) for name in names) for place in places]
        if not names or max(found):
            return str(places[found.index(max(found))])
    circle = next((path for path in (os.path.join(place, names[0]) for place in places)
                   if is_circle(path)), None)
    if circle is not None:
        raise UserError(f'{ann_path}: its image {printable(circle, 200)} is a link that leads in a '
                        'circle: put the file there')
    missing = printable(names[0], 80)
    if os.path.isabs(names[0]) and os.path.isfile(names[0]):
        raise UserError(f'{ann_path} names its images by their whole paths ({missing!r}): say '
                        f'which folder they are in, / for any, with {IMAGES_OPTIONS}')
    if folder is not None:
        raise UserError(f'{places[0]} has no image of {ann_path}: no {missing!r}, for one; '
                        'give the folder that its file names start from')
    raise UserError(f'the images of {ann_path} were not found: no {missing!r} in '
                    f'{", ".join(str(p) for p in places[:4])}, ...; say where with '
                    f'{IMAGES_OPTIONS}')


def _in_other_form(name):
    """With the ending in another case, or the accents in the other of their two forms."""
    names = (name, *base_names(name))
    return [root + form for root, ending in map(os.path.splitext, names)
            for form in (ending.upper(), ending.lower())] + [
        unicodedata.normalize(form, name) for form in ('NFC', 'NFD') for name in names]


def source_of(data: dict, path: str) -> str:
    """What to call a COCO file in messages: what it was converted from, which people can mend.

    Args:
        data: What it holds.
        path: Its path.
    """
    source = data.get(SOURCE)
    return source if isinstance(source, str) and source else path


def clean_name(ann_file: str, folder: str) -> str:
    """Path of the clean copy of an annotation file in a folder.

    Annotation files of one name in several folders (``train/_annotations.coco.json`` and
    ``valid/_annotations.coco.json``) have copies of their own.
    """
    path = os.path.abspath(ann_file)
    stem = os.path.splitext(os.path.basename(path))[0]
    digest = hashlib.sha1(path.encode(errors='surrogateescape')).hexdigest()[:8]
    return os.path.join(os.path.abspath(folder), f'{stem}-{digest}.json')


def write_annotations(data: dict, path: str) -> str:
    """Write annotations, whole or not at all; returns the path.

    Args:
        data: A COCO file.
        path: Where it goes; folders are made.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
            file.writelines(_pieces(data))
    except OSError as error:
        raise UserError(f'{path} cannot be written: {reason(error)}') from error
    except RecursionError as error:
        raise UserError(f'{path} cannot be written: its entries are nested too deeply') from error
    return path


def _pieces(data: dict) -> Iterator[str]:
    """JSON of annotations, part by part: ``json.dump`` goes through every number in Python."""
    separator = '{'
    for key, value in data.items():
        yield f'{separator}{json.dumps(key)}: '
        if isinstance(value, list):
            pieces = (value[start:start + _PIECE] for start in range(0, len(value), _PIECE))
            yield '['
            for number, piece in enumerate(pieces):
                yield (', ' if number else '') + json.dumps(piece)[1:-1]
            yield ']'
        else:
            yield json.dumps(value)
        separator = ', '
    yield '}'
