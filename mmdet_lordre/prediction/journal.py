"""The folder of a prediction: what was asked for, what is done, and who does what.

``run.json`` says what was asked for. ``progress/`` has a file for each share of the work with a
line for each picture that is done, written after the picture's own files: a run that was killed
goes on after the last whole line. Joined files are made of these lines when all shares are done.
"""
import heapq
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import UserError
from ..files import atomic_write
from ..masks import RLEMasks
from ..text import quoted
from .pictures import ORIGIN
from .result import Result

try:
    import fcntl
except ImportError:  # not on Windows: nobody looks whether a share is being worked at
    fcntl = None

_RUN, _PROGRESS = 'run.json', 'progress'


class RunFolder:
    """The output folder.

    Args:
        folder: Made if it is not there.
        asked: What is asked for, as JSON can hold it; equal for all shares.
        share: (number from 1 on, of how many).
        resume: Go on with what is there.
        resumable: Whether that is possible.

    Raises:
        UserError: The folder holds something else, another run, or the same share.
    """

    def __init__(self, folder: str | os.PathLike, asked: dict[str, Any],
                 share: tuple[int, int] = (1, 1), resume: bool = False, resumable: bool = True):
        self.folder, self.share, self.asked = Path(folder), share, dict(asked, shares=share[1])
        self.progress = self.folder / _PROGRESS
        self._file: BinaryIO | None = None
        self.done: set[str] = set()
        self._claim(resume, resumable)

    def _claim(self, resume, resumable):
        run = self.folder / _RUN
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not run.exists() and any(self.folder.iterdir()):
                raise UserError(f'{self.folder} is not empty and holds no results of a prediction: '
                                'choose another --out')
            if not run.exists():
                with suppress(FileExistsError):  # another share was first
                    self._write_run(run)
            self._compare(run)
            self.progress.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f'--out {self.folder}: there is a file of that name') from error
        name = self.progress / f'{self.share[0]}-of-{self.share[1]}.jsonl'
        if name.exists() and not resume:
            remedy = 'continue with --resume, or choose' if resumable else 'choose'
            raise UserError(f'{self.folder} already has results: {remedy} another --out')
        self._file = open(name, 'a+b')  # noqa: SIM115 - open while it runs
        if fcntl is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._file.close()
                raise UserError(f'another process works at {name}: wait for its end, or give each '
                                'a --shard of its own') from error
        self.done = self._whole_lines()

    def _write_run(self, run):
        mine = run.with_name(f'.{_RUN}.{os.getpid()}')
        try:
            mine.write_text(json.dumps(self.asked, indent=1) + '\n', encoding='utf-8')
            os.link(mine, run)  # fails where another was first
        except (PermissionError, NotImplementedError):  # no such links on this file system
            os.replace(mine, run)
        finally:
            mine.unlink(missing_ok=True)

    def _compare(self, run):
        try:
            before = json.loads(run.read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise UserError(f'{run} cannot be read: {error}') from error
        now = json.loads(json.dumps(self.asked))
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                raise UserError(
                    f'{self.folder} holds results of another run: {key} was '
                    f'{quoted(before.get(key), 80)} and is now {quoted(now.get(key), 80)}; choose '
                    'another --out')

    def _whole_lines(self) -> set[str]:
        """Names of the pictures that are done; a line that was cut off is taken away."""
        names, end, file = set(), 0, self._file
        file.seek(0)  # a second handle would, when it is closed, take the lock with it
        for line in file:
            if not line.endswith(b'\n'):
                break
            end += len(line)
            try:
                names.add(json.loads(line)['name'])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f'{file.name} is damaged at byte {end - len(line)}: delete what '
                                'comes after it, and continue with --resume') from error
        self._file.truncate(end)
        return names

    def is_mine(self, index: int) -> bool:
        """Whether a picture belongs to this share."""
        return index % self.share[1] == self.share[0] - 1

    def add(self, result: Result) -> None:
        """Note that a picture is done."""
        line = json.dumps(record_of(result), separators=(',', ':')) + '\n'
        self._file.write(line.encode())
        self._file.flush()

    def finish(self) -> bool:
        """Note that the share is done; returns whether all shares are."""
        self.close()
        mark = self.progress / f'{self.share[0]}-of-{self.share[1]}.done'
        with atomic_write(mark) as name:
            Path(name).write_text('done\n')
        return not self.missing()

    def missing(self) -> list[int]:
        """Numbers of the shares that are not done."""
        return [number for number in range(1, self.share[1] + 1)
                if not (self.progress / f'{number}-of-{self.share[1]}.done').exists()]

    def close(self) -> None:
        """Let others work at this share."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def results(self) -> Iterator[Result]:
        """All pictures of all shares that are done, in their order, one by one."""
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, encoding='utf-8')) for path in sorted(
                self.progress.glob(f'*-of-{self.share[1]}.jsonl'))]
            classes = tuple(self.asked['classes'])
            lines = heapq.merge(*(map(json.loads, file) for file in files),
                                key=lambda record: (record['index'], record['name']))
            for record in lines:
                yield result_of(record, classes)

    @contextmanager
    def joining(self) -> Iterator[None]:
        """Be the only one that writes the joined files; wait for another who does."""
        with open(self.progress / 'joining', 'a') as file:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.lockf(file, fcntl.LOCK_EX)
            yield


def record_of(result: Result) -> dict:
    """A result as a line of JSON."""
    record = dict(size=list(result.size), **{
        name: value for name in ORIGIN if (value := getattr(result, name)) is not None
        or name in ('path', 'image_id', 'file')})
    if result.error is not None:
        return dict(record, error=result.error)
    counts = [rle['counts'] for rle in result.masks]
    if result.track_ids is not None:
        record['track_ids'] = result.track_ids.tolist()
    return dict(record, labels=result.labels.tolist(), scores=result.scores.tolist(),
                counts=[c.decode() if isinstance(c, bytes) else c for c in counts])


def result_of(record: dict, classes: tuple[str, ...]) -> Result:
    """The other way."""
    size = tuple(record['size'])
    origin = {name: record.get(name) for name in ORIGIN}
    if 'error' in record:
        return Result.broken(error=record['error'], **origin)
    masks = RLEMasks([dict(size=list(size), counts=counts.encode())
                      for counts in record['counts']], size)
    tracks = record.get('track_ids')
    return Result(size=size, masks=masks, scores=np.array(record['scores'], np.float32),
                  labels=np.array(record['labels'], np.int64), classes=classes,
                  track_ids=None if tracks is None else np.array(tracks, np.int64), **origin)
