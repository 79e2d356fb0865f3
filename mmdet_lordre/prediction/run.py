"""From a source to files: what ``lordre predict`` does."""
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from ..datasets.pages import first_alone, pages_of, several_pages
from ..errors import UserError
from ..text import agree, listed, plural, printable
from .cleanup import clean
from .counting import Counting
from .finishing import written
from .frames import Frames, demand_film, stoppable
from .journal import RunFolder
from .pictures import Picture
from .settings import Settings
from .sixteen_bits import few_levels, has_16_bits
from .sources import Source
from .thresholds import Thresholds
from .tiles import open_stream
from .tracking import tracked
from .writers import Context, writers_of


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        folder: Of the files.
        pictures: That were predicted now.
        objects: Found in them.
        left_out: Pictures that could not be read.
        before: Pictures that an earlier run had done.
        seconds: That it took, from the first picture on.
        joined: Whether the files of all pictures together were written: all shares are done.
        frames: Whether the pictures are frames of a film or camera.
        stopped: Whether it was ended before its source.
        tracks: Identities that objects have.
    """
    folder: Path
    pictures: int
    objects: int
    left_out: int
    before: int
    seconds: float
    joined: bool
    frames: bool = False
    stopped: bool = False
    tracks: int | None = None

    def __str__(self) -> str:
        what = 'frame' if self.frames else 'picture'
        text = f'{plural(self.objects, "mask" if self.tracks is not None else "object")} in ' \
               f'{plural(self.pictures, what)}'
        if self.tracks is not None:
            text = f'{plural(self.tracks, "object")}, {text}'
        if self.pictures and self.seconds:
            text += f' ({self.pictures / self.seconds:.3g} {what}s/s)'
        if self.before:
            text += f', {self.before} done before'
        if self.left_out:
            text += f', {self.left_out} left out'
        return f'{text}: {printable(self.folder)}'


def predict_files(model: nn.Module, source: Source | Frames, out: str | os.PathLike,
                  save: Sequence[str] = ('coco', ), settings: Settings | None = None, *,
                  resume: bool = False, share: tuple[int, int] = (1, 1), strict: bool = False,
                  simplify: float = 0, mm_per_pixel: float | None = None,
                  counting: Counting | None = None, quiet: bool = False) -> Summary:
    """Predict pictures and write the results into a folder.

    Args:
        model: From :func:`~mmdet_lordre.models.build_model`.
        source: From :func:`.sources.open_source`.
        out: The folder: new, empty, or that of the same run with ``resume``.
        save: Names of formats, see :data:`.writers.WRITERS`.
        settings: How to predict.
        resume: Go on with a run that was stopped.
        share: (number from 1 on, of how many): of several processes each takes one.
        strict: Stop at a picture that cannot be read.
        simplify: Pixels by which polygons may move to have fewer corners.
        mm_per_pixel: Side of a pixel for measurements.
        counting: What is counted in a film.
        quiet: No progress bar.

    Raises:
        UserError: The folder holds something else, nothing can be read, or a setting is wrong.
    """
    settings = settings or Settings()
    source = source.every(settings.every)
    demand_film(source, settings, counting, resume, share)
    meta = model.dataset_meta
    classes = tuple(meta.get('classes') or ())
    palette = meta.get('palette')
    context = Context(Path(out), classes, palette if isinstance(palette, (list, tuple)) else None,
                      *_categories(source, classes), simplify=simplify, mm_per_pixel=mm_per_pixel,
                      frames=source if source.moving else None,
                      tracked=settings.tracking is not None)
    if context.categories is not None and (lacking := context.lacking()):
        names = [category['name'] for category in lacking]
        print(f'{source.said} has no category {listed(names, 4)}, which the model finds: '
              + agree(len(names), 'it is', 'they are')
              + f' written with {agree(len(names), "an id of its own", "ids of their own")} (from '
              f'{lacking[0]["id"]} on)')
    writers = writers_of(save, context)
    tracking = settings.tracking
    stream = open_stream(model, settings, any(writer.needs_image for writer in writers)
                         or (tracking is not None and tracking.appearance))
    asked = _asked(model, source, save, settings, simplify, mm_per_pixel)
    if counting is not None:
        asked['counting'] = counting.asked()
    folder = RunFolder(out, asked, share, resume, resumable=not source.moving)
    todo = _Todo(source, folder)
    results = stream.run(todo, lambda result, picture: clean(result, settings))
    if tracking is not None:
        results = tracked(results, tracking, settings.lowest_scores(classes),
                          lambda film: float(source.film(film).rate) / source.step)
    if counting is not None:
        results = counting.follow(results, folder.folder)
    count, paged, deep = _Count(), [], None
    started = time.perf_counter()
    try:
        with _progress(len(source), share, quiet, source.moving) as (advance, say), \
                _closing(writers), stoppable(source), \
                closing(written(results, writers, settings.workers, source.live)) as finished:
            for result in finished:
                if result.error is not None:
                    named = result.path or result.file or result.name
                    line = f'{printable(named, 200)}: {result.error}'
                    count.first = count.first or line
                    if strict:
                        raise UserError(line)
                    say(f'left out: {line}')
                elif not source.moving and result.path and (pages := pages_of(result.path)) > 1:
                    paged.append(f'{result.path}: {first_alone(pages)}')
                if deep is None and not source.moving and result.path \
                        and has_16_bits(result.path):
                    deep = result.path
                count.add(result)
                folder.add(result)
                advance(todo.passed)
        seconds = time.perf_counter() - started
        if count.left_out and not count.pictures and not todo.before:
            raise UserError(f'none of the {plural(count.left_out, "picture")} could be predicted; '
                            f'{count.first}')
        joined = folder.finish()
    except KeyboardInterrupt:
        remedy = '' if source.moving else '; continue with --resume'
        done = plural(count.pictures + todo.before, 'picture')
        raise KeyboardInterrupt(f'interrupted: {done} done{remedy}') from None
    finally:
        folder.close()
    if joined:
        with folder.joining():
            for writer in writers:
                writer.finish(folder.results)
            if counting is not None:
                counting.write(folder.folder)
    if paged:
        print(several_pages(paged))
    if deep and (line := few_levels(deep, model.cfg)):
        print(f'warning: {line}')
    if source.moving:
        for remark in source.remarks():
            print(remark)
        if strict and any(film.broken for film in source.films):
            raise UserError(f'{source.said}: parts of it could not be decoded (--strict); what '
                            f'could be is in {out}')
    return Summary(Path(out), count.pictures, count.objects, count.left_out, todo.before, seconds,
                   joined, source.moving, source.moving and source.stopped,
                   None if tracking is None else len(count.tracks))


@dataclass
class _Count:
    """What went by."""
    pictures: int = 0
    objects: int = 0
    left_out: int = 0
    first: str | None = None  # what is wrong with the first that was left out
    tracks: set = field(default_factory=set)

    def add(self, result):
        if result.error is not None:
            self.left_out += 1
            return
        self.pictures += 1
        self.objects += len(result)
        if result.track_ids is not None:
            self.tracks.update((result.film, number) for number in result.track_ids.tolist())


@contextmanager
def _closing(writers):
    """Close all writers at the end; after an error, what they say about it is not said."""
    try:
        yield
    except BaseException:
        for writer in writers:
            with suppress(Exception):
                writer.close()
        raise
    with ExitStack() as stack:  # one that cannot be closed does not keep the others open
        for writer in reversed(writers):
            stack.callback(writer.close)


class _Todo:
    """The pictures of this share that are not done, and how many of the source have passed."""

    def __init__(self, source: Source | Frames, folder: RunFolder):
        self.source, self.folder, self.live = source, folder, source.live
        self.passed = self.before = 0

    def __iter__(self) -> Iterator[Picture]:
        for picture in self.source:
            self.passed = picture.index + 1
            if not self.folder.is_mine(picture.index):
                continue
            if picture.name in self.folder.done:
                self.before += 1
                continue
            yield picture


def _asked(model, source, save, settings, simplify, mm_per_pixel) -> dict[str, Any]:
    """What makes the files what they are; batches and threads do not."""
    how = dataclasses.asdict(settings)
    for name in ('batch', 'workers'):
        del how[name]
    given = settings.thresholds
    if given is not None and not isinstance(given, Thresholds):
        how['thresholds'] = settings.lowest_scores(
            tuple(model.dataset_meta.get('classes') or ())).tolist()
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return dict(source=source.said, model=digest.hexdigest()[:16],
                checkpoint=os.path.basename(str(getattr(model, 'checkpoint', ''))),
                classes=list(model.dataset_meta.get('classes') or ()), save=sorted(set(save)),
                **how, simplify=simplify, mm_per_pixel=mm_per_pixel)


def _categories(source: Source, classes: tuple[str, ...]):
    """COCO ids of the labels and the categories, where the source is a COCO file."""
    if source.categories is None:
        return None, None
    ids = {category['name']: category['id'] for category in source.categories}
    free = max([0, *(i for i in ids.values() if isinstance(i, int))]) + 1
    found = []
    for name in classes:
        if name not in ids:
            ids[name] = free
            free += 1
        found.append(ids[name])
    return found, source.categories


@contextmanager
def _progress(total: int, share: tuple[int, int], quiet: bool, frames: bool = False,
              ) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """A bar with pictures a second; a line to say something beside it."""
    if quiet:
        yield lambda passed: None, print
        return
    console = Console(soft_wrap=True)
    which = f' (share {share[0]} of {share[1]})' if share[1] > 1 else ''
    bar = Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
                   TextColumn('{task.fields[rate]}'), TimeRemainingColumn(), console=console)
    started, first = time.perf_counter(), None
    unit = 'frames/s' if frames else 'pictures/s'

    def advance(passed: int) -> None:
        nonlocal first
        first = passed if first is None else first
        done = passed - first
        rate = done / max(time.perf_counter() - started, 1e-6) / share[1]
        bar.update(task, completed=passed, rate=f'{rate:.3g} {unit}' if done else '')

    with bar:
        task = bar.add_task(f'Predicting{which}', total=total or None, rate='')
        yield advance, lambda line: console.print(line, markup=False, highlight=False)
