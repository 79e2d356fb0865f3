"""COCO annotation files: read once, their classes, their images, and cleaned copies."""
import functools
import json
import os
from pathlib import Path

from ..errors import UserError
from ..files import ANNOTATIONS, atomic_write, refuse_large
from .annotation_rules import check_structure, cleaned


def read_annotations(path):
    """A COCO annotation file as a dictionary, not to be changed: it is kept for the next call.

    Raises:
        UserError: no such file, not JSON, or without ``images`` and ``categories``.
    """
    path = str(path)
    if not os.path.isfile(path):
        raise UserError(f'no such annotation file: {path}')
    refuse_large(path, ANNOTATIONS)
    status = os.stat(path)
    return _parse(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2)
def _parse(path, _changed, _size):
    try:
        with open(path, encoding='utf-8') as file:
            data = json.load(file)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f'{path} is not JSON: {error}') from error
    for key in ('images', 'categories'):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise UserError(f'{path} is not a COCO annotation file: it has no list "{key}"')
    check_structure(data, path)
    return data


def forget_annotations():
    """Free what :func:`read_annotations` keeps: COCO's own file takes gigabytes."""
    _parse.cache_clear()


def class_names(data, path):
    """Names of the categories in the order of the file, which is the order of the labels.

    Raises:
        UserError: no categories, or two of one name or id.
    """
    names = [str(category.get('name', '')) for category in data['categories']]
    ids = [category.get('id') for category in data['categories']]
    if not names:
        raise UserError(f'{path}: "categories" is empty: no class to learn')
    for what, values in (('name', names), ('id', ids)):
        twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
        if twice is not None or None in values or '' in values:
            raise UserError(f'{path}: every category needs a {what} of its own; '
                            f'{"missing" if twice is None else f"twice: {twice!r}"}')
    return tuple(names)


def find_images(data, ann_path, folder=None):
    """The folder that the file names of an annotation file are relative to.

    Without ``folder`` the usual places are tried: beside the annotations, ``images/``,
    and the folder that carries the annotation file's name (``annotations/instances_x.json``
    with ``x/``).

    Raises:
        UserError: none of the first images is in any of the places, which are named.
    """
    ann_path = Path(ann_path)
    names = [image['file_name'] for image in data['images'][:20] if image.get('file_name')]
    if folder is not None:
        places = [Path(folder)]
    else:
        stem = ann_path.stem
        short = stem.removeprefix('instances_').removesuffix('_annotations')
        places = [base / sub for base in (ann_path.parent, ann_path.parent.parent)
                  for sub in dict.fromkeys(('', 'images', f'images/{short}', short, stem,
                                            f'{short}/images', 'JPEGImages'))]
    # single images that are missing are found, and said, where all files are looked at
    found = [sum((place / name).is_file() for name in names) for place in places]
    if not names or max(found):
        return str(places[found.index(max(found))])
    missing = next((n for n in names if not (places[0] / n).is_file()), '')
    if folder is not None:
        raise UserError(f'{places[0] / missing}: no such image (file_name {missing!r} of '
                        f'{ann_path})')
    raise UserError(f'the images of {ann_path} were not found: no {missing!r} in '
                    f'{", ".join(str(p) for p in places[:4])}, ...; say where with '
                    '--train-images / --val-images (--images)')


def write_clean(data, problems, ann_file, folder):
    """Write a copy of an annotation file without some entries; returns its path."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(os.path.abspath(folder), os.path.basename(ann_file))
    with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
        json.dump(cleaned(data, problems), file)
    return path
