"""Frames of films and cameras as pictures of a source."""
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..text import plural, printable
from .cameras import Camera, camera_name, camera_of
from .films import Film
from .pictures import Picture
from .settings import Settings

#: Frames that are decoded ahead of the network.
_AHEAD = 4


class Frames:
    """The frames of films, one film after the other, or of a camera.

    Args:
        films: Films, or one camera.
        step: Every how many frames one is taken.

    Attributes:
        live: Whether it is a camera, which ends when it is stopped.
        said: What it is, in words.
    """

    moving, categories = True, None

    def __init__(self, films: Sequence[Film | Camera], step: int = 1):
        self.films, self.step, self.stopped = list(films), step, False
        self.live = any(film.live for film in films)
        self.said = str(films[0]) if self.live else ' '.join(
            printable(without_query(film.path), 80) for film in films[:9])

    def __len__(self) -> int:
        """Frames that will come, 0 where nobody knows."""
        counts = [-(-film.count // self.step) for film in self.films]
        return sum(counts) if all(counts) else 0

    def __iter__(self) -> Iterator[Picture]:
        index = 0
        for film in self.films:
            shots = film.shots(self.step)
            # a camera is not read ahead: its newest frame is taken when the network is free
            for number, time, pixels in shots if self.live else _ahead(shots, _AHEAD):
                if self.stopped:
                    return
                name = f'{film.name}/{number:06d}'
                yield Picture(name, index, file=f'{name}.jpg', pixels=pixels, film=film.name,
                              frame=number, time=time)
                index += 1

    def every(self, step: int) -> 'Frames':
        """The same with every ``step``-th frame."""
        return Frames(self.films, step)

    def stop(self) -> None:
        """No frame comes any more."""
        self.stopped = True
        for film in self.films:
            if film.live:
                film.stop()

    def film(self, name: str) -> Film | Camera:
        """The film of a name."""
        return next(film for film in self.films if film.name == name)

    def remarks(self) -> Iterator[str]:
        """What was lost, a line each."""
        for film in self.films:
            what = str(film) if film.live else printable(film.path, 200)
            if film.broken:
                yield f'{what}: {plural(film.broken, "part")} could not be decoded'
            if film.dropped:
                yield (f'{what}: {plural(film.dropped, "frame")} dropped that came while the '
                       'network was busy')
            if film.live and film.ended and not self.stopped:
                yield f'{what} ended: {film.ended}'


def _ahead(items: Generator[Any], count: int) -> Iterator[Any]:
    """The same items, computed in a thread, at most ``count`` of them ahead."""
    end = object()
    try:
        with ThreadPoolExecutor(1, 'film') as pool:
            waiting = deque(pool.submit(next, items, end) for _ in range(count))
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield item
    finally:
        items.close()


def frames_of(sources: Sequence[str | int]) -> Frames:
    """Films by path or address, or a camera by number or address.

    Raises:
        UserError: PyAV is missing, or one is no film.
    """
    taken, films = set(), []
    if len({os.path.realpath(str(source)) for source in sources}) < len(sources):
        raise UserError('a film is given twice')
    for source in sources:
        if camera_of(source) is not None and (isinstance(source, int) or '://' in source):
            films.append(Camera(source, camera_name(source)))
            continue
        stem = Path(without_query(source)).stem.strip('. ') or 'film'
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f'{stem}_{number}'
        taken.add(name.casefold())
        films.append(Film(source, name))
    return Frames(films)


def without_query(path: str) -> str:
    """An address without what may be a key."""
    return path.split('?')[0] if '://' in path else path


@contextmanager
def stoppable(source: Any) -> Iterator[None]:
    """Ctrl-C, or a signal to end, stops a film or camera: what is there is finished and written.

    A second Ctrl-C interrupts. For pictures, and outside of the main thread, nothing is changed.
    """
    if not source.moving or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}

    def stop(number: int, frame: object) -> None:
        source.stop()
        print('stopping: what is there is written; again to interrupt', file=sys.stderr)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def demand_film(source: Any, settings: Settings, counting: object, resume: bool,
                share: tuple[int, int]) -> None:
    """Refuse what films alone can do for pictures, and the other way round.

    Args:
        source: Of pictures, or of frames.
        settings: Of the prediction.
        counting: What is to be counted, if anything.
        resume: Whether to go on with earlier results.
        share: (part, of how many) of the pictures.

    Raises:
        UserError: Naming the option.
    """
    if source.moving:
        if resume:
            raise UserError('--resume is for pictures only: a film is always processed from its '
                            'first frame; choose another --out')
        if share[1] > 1:
            raise UserError('--shard and --launcher are for pictures: the frames of a film are '
                            'done in their order; start a process for each film instead')
        return
    if settings.tracking is not None:
        raise UserError(f'track is for films and cameras, and {source.said} is none')
    if counting is not None:
        raise UserError(f'--count-line and --count-zone are for films and cameras, and '
                        f'{source.said} is none')
