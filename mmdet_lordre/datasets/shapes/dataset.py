"""Write the data set to disk: all of it or nothing."""
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2

from .annotate import annotations, categories
from .scene import make_scene

GENERATOR = 'mmdet_lordre shapes'
VERSION = 3  # counts up when the same seed gives other pictures
SPLITS = ('train', 'val')
# Color at full resolution: at 128 pixels a halved one would smear the edges.
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92,
         cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class ExistingDataError(ValueError):
    """The folder holds something other than the data set asked for."""


def make_dataset(out: str | os.PathLike, train: int = 2000, val: int = 200, size: int = 128,
                 seed: int = 0, workers: int = 1, overwrite: bool = False,
                 progress: Callable[[int, int], object] | None = None) -> bool:
    """Make the data set in ``out``, or find it there.

    It is made in a folder beside ``out`` and moved at the end: what ``out`` names is complete.

    Args:
        out: Folder to make: ``train/*.jpg``, ``val/*.jpg``, ``annotations/*.json``.
        train: Number of training images.
        val: Number of validation images.
        size: Side of the images in pixels, at least 64.
        seed: Not negative; the first n images of a seed do not depend on the numbers.
        workers: Processes that draw.
        overwrite: Replace another shapes data set in ``out``.
        progress: Called with (images done, images in all).

    Returns:
        True if it was made, False if the same was there already.

    Raises:
        ExistingDataError: ``out`` holds something else.
        ValueError: A number out of range.
    """
    out = Path(out)
    wanted = _parameters(train, val, size, seed)
    if out.is_symlink():
        out = out.resolve()
    if out.exists() and _same(out, wanted, overwrite):
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'{out.name}.partial-', dir=out.parent))
    part.chmod(0o755)
    try:
        _write(part, wanted, workers, progress)
        _move(part, out, overwrite)
    except OSError:
        # Another run may have finished the same meanwhile.
        if out.is_dir() and any(out.iterdir()) and _same(out, wanted, False):
            return False
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def _parameters(train, val, size, seed):
    for name, value, least in (('train', train, 1), ('val', val, 1), ('size', size, 64),
                               ('seed', seed, 0)):
        if value < least:
            raise ValueError(f'{name} is {value}: it must be at least {least}')
    return dict(generator=GENERATOR, version=VERSION, train=train, val=val, size=size, seed=seed)


def _same(out, wanted, overwrite):
    """True if ``out`` holds what is wanted, False if it is free (or may be overwritten)."""
    if not out.is_dir():
        raise ExistingDataError(f'{out} is a file: name a folder')
    if not any(out.iterdir()):
        return False
    found = [_read_info(out / 'annotations' / f'{split}.json') for split in SPLITS]
    if any(info is None or info.get('generator') != GENERATOR for info in found):
        raise ExistingDataError(
            f'{out} is not empty and holds no shapes data set: name another folder')
    if all(info == dict(wanted, split=split) for info, split in zip(found, SPLITS, strict=True)):
        missing = [split for split in SPLITS
                   if len(list((out / split).glob('*.jpg'))) != wanted[split]]
        if not missing:
            return True
        if not overwrite:
            raise ExistingDataError(
                f'{out} lacks images in {" and ".join(missing)}/: make it again with --overwrite')
    elif not overwrite:
        other = ', '.join(f'{key} {found[0].get(key)} instead of {value}'
                          for key, value in wanted.items() if found[0].get(key) != value)
        raise ExistingDataError(
            f'{out} holds shapes made otherwise ({other or "its two parts differ"}): '
            'name another folder, or replace them with --overwrite')
    return False


def _read_info(path):
    try:
        with open(path) as file:
            return json.load(file)['info']
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder, wanted, workers, progress):
    (folder / 'annotations').mkdir()
    done, total = 0, wanted['train'] + wanted['val']
    with _mapper(workers) as each:
        for number, split in enumerate(SPLITS):
            (folder / split).mkdir()
            images, marks = [], []
            draw = partial(_draw, str(folder), split, number, wanted['size'], wanted['seed'])
            for index, found in enumerate(each(draw, range(wanted[split]))):
                images.append(dict(id=index + 1, file_name=_file_name(index),
                                   width=wanted['size'], height=wanted['size']))
                for mark in found:
                    mark['id'] = len(marks) + 1
                    marks.append(mark)
                done += 1
                if progress is not None:
                    progress(done, total)
            with open(folder / 'annotations' / f'{split}.json', 'w') as file:
                json.dump(dict(info=dict(wanted, split=split), licenses=[],
                               categories=categories(), images=images, annotations=marks),
                          file, separators=(',', ':'))


def _file_name(index):
    return f'{index:06d}.jpg'


def _draw(folder, split, number, size, seed, index):
    """Draw one image into its file and return its annotations."""
    cv2.setNumThreads(1)  # the processes share out the cores already
    scene = make_scene(size, seed, number, index)
    path = os.path.join(folder, split, _file_name(index))
    if not cv2.imwrite(path, scene.image, _JPEG):
        raise OSError(f'{path} could not be written')
    return annotations(scene, index + 1, 1)


class _mapper:
    """``map`` in this process, or in order over several."""

    def __init__(self, workers):
        # not forked: threads of this process (OpenCV, torch) hang in a copy of it
        self.pool = multiprocessing.get_context('spawn').Pool(workers) if workers > 1 else None

    def __enter__(self):
        return map if self.pool is None else partial(self.pool.imap, chunksize=16)

    def __exit__(self, *error):
        if self.pool is not None:
            self.pool.terminate()
            self.pool.join()


def _move(part, out, overwrite):
    if not out.is_dir():
        os.rename(part, out)
    elif overwrite and any(out.iterdir()):
        old = part.with_name(part.name + '-old')
        os.rename(out, old)
        os.rename(part, out)
        shutil.rmtree(old)
    else:
        out.rmdir()  # empty, or another run has just filled it: then this raises
        os.rename(part, out)
