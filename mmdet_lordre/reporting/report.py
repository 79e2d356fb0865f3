"""A report: numbers, thresholds and the page, in one folder."""
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..datasets.coco_file import read_annotations, source_of
from ..datasets.repairs import describe
from ..errors import UserError
from ..files import atomic_write, reason
from ..pages import write_page
from ..text import listed, plural, printable, quoted
from . import page
from .advice import advice
from .compare import Difference, differences
from .examples import Examples
from .findings import missed_by_size, suspicious
from .inputs import Annotated, annotated_of, make_table, read_results
from .measure import RESAMPLES, Measured, measured
from .mended import folder_of, open_part
from .numbers import differences_as_json, numbers_of, plain
from .run_log import RunLog, read_run
from .sources import NUMBERS, PAGE, THRESHOLDS, Source, ceilings_of, config_text, own_folder
from .table import MAX_DETS


@dataclass
class Options:
    """How a report is made.

    Attributes:
        iou: From which on a detection finds an object.
        score: Lowest score that is shown; None takes the best of each class.
        resamples: Of the images, for the intervals.
        max_dets: Detections of a class in an image that count; None takes those of the run's
            evaluator, else COCO's 100.
        facts: What else the page says of the run, by name.
    """
    iou: float = 0.5
    score: float | None = None
    resamples: int = RESAMPLES
    max_dets: int | None = None
    facts: dict[str, str] = field(default_factory=dict)


def write_report(folder: str, sources: Sequence[Source], ann: str | None = None,
                 images: str | None = None, options: Options | None = None,
                 say: Callable[[str], None] = lambda line: None) -> str:
    """Write ``report.html``, ``report.json`` and ``thresholds.json``.

    Args:
        folder: For these files; it is made. Files that no report has written stop it.
        sources: The model, and others that it is compared with.
        ann: Annotations of any format, a file or a folder; by default those that the first source
            names.
        images: Their folder; by default looked for near the annotations. Where there are no
            images, the page has outlines on plain ground.
        options: See there.
        say: Takes a line about what is being done.

    Returns:
        Path of the page.

    Raises:
        UserError: Files that cannot be read or do not belong together.
    """
    options = options or Options()
    own_folder(folder)
    version = _version()
    first = sources[0]
    log = read_run(first.run) if first.run else None
    values: dict[str, Any] = dict(
        title=first.name, written=time.strftime('%Y-%m-%d %H:%M'), version=version,
        facts={**_facts(first, log), **options.facts}, ceilings=ceilings_of(first),
        run=page.run_charts(log) if log else None, config=config_text(first), model=None,
        comparisons=[], together={}, advice=[],
        names={}, examples=[], confusion=None, classes=[])
    numbers: dict[str, Any] = dict(written_by=f'mmdet_lordre {version}', name=first.name,
                                   written=values['written'], facts=values['facts'],
                                   ceilings=values['ceilings'])
    if log:
        numbers['run'] = plain(dict(
            starts=log.starts, seconds=log.seconds, iterations=log.last_step,
            training={k: vars(v) for k, v in log.training.items()},
            validation={k: vars(v) for k, v in log.validation.items()}))
    os.makedirs(folder, exist_ok=True)
    if first.results is not None:
        ann = ann or first.origin.get('ann')
        if ann is None:
            raise UserError(f'{first.results}: give the annotations that these results are for '
                            'with --ann FILE.json')
        annotated, shown = _read_truth(first, ann, images, say)
        _models(values, numbers, sources, annotated, shown, options, log, say)
        _write_json(os.path.join(folder, THRESHOLDS), numbers['models'][0]['thresholds'])
    _write_json(os.path.join(folder, NUMBERS), numbers)
    path = os.path.join(folder, PAGE)
    write_page(path, 'report.html', page.TEMPLATES, **values)
    return path


def _models(values, numbers, sources, annotated, folder, options, log, say):
    max_dets = sources[0].max_dets or MAX_DETS
    if options.max_dets is not None:
        most = options.max_dets
        max_dets = (10, 100, most) if most > 100 else (1, min(10, most), most)
    first, *others = (_measured(source, annotated, options, max_dets, say) for source in sources)
    examples = Examples(first.table, folder)
    missed = missed_by_size(first.table, first.confusion)
    doubts = suspicious(first.table, first.errors, first.scores)
    model = page.model_values(first, missed, doubts, examples)
    values.update(
        model=model, confusion=page.confusion_data(first, examples), iou=options.iou,
        error_chart=page.error_chart(model['errors']), score=options.score,
        classes=[printable(name) for name in annotated.classes],
        advice=advice(first, missed, doubts, log.rising() if log else None,
                      _only(values['ceilings']), 'TiledValLoop' in values['config']),
        data=_data_facts(annotated))
    numbers['data'] = plain(values['data'])
    numbers['models'] = [numbers_of(one, missed_by_size(one.table, one.confusion),
                                    suspicious(one.table, one.errors, one.scores))
                         for one in (first, *others)]
    numbers['advice'] = values['advice']
    compared = [(other.name, differences(first, other)) for other in others]
    numbers['comparisons'] = [dict(first=first.name, second=name, rows=differences_as_json(rows))
                              for name, rows in compared]
    values['comparisons'] = [_comparison(name, rows, other)
                             for (name, rows), other in zip(compared, others)]
    values['together'] = page.together([first, *others], [
        (source.name, log if source is sources[0] else read_run(source.run))
        for source in sources if source.run]) if others else {}
    say(f'{first.name}: {plural(len(examples.wanted), "picture")} of objects to draw')
    values['examples'] = examples.drawn()
    used = {example['p'] for example in values['examples']}
    used.update(*(cell[-1] for cell in values['confusion']['cells']))
    values['names'] = {p: printable(first.table.pictures[p].name, 120) for p in sorted(used)}
    if examples.unread:
        say(f'{plural(len(examples.unread), "image")} could not be read, or not at the size '
            f'that the annotations say, and only outlines are drawn: {listed(examples.unread, 3)}')
    values['data']['unread'] = len(examples.unread)
    values['data']['pictures'] = folder is not None


def _comparison(name: str, rows: list[Difference], other: Measured) -> dict[str, Any]:
    real = [row for row in rows[3:] if row.real]
    return dict(name=name, rows=page.difference_rows(rows), real=len(real),
                boundary=other.boundary.summary()['mAP'])


def _measured(source: Source, annotated: Annotated, options: Options,
              max_dets: tuple[int, int, int], say: Callable[[str], None]) -> Measured:
    if source.results is None:
        raise UserError(f'{source.name} has no results to compare: write them with lordre test '
                        'CONFIG CHECKPOINT --json-out PREFIX, and give that file')
    results = read_results(source.results)
    if not results:
        say(f'{source.results}: nothing was found in any image')
    table = make_table(annotated, results, source.results, say, max_dets)
    if line := table.limit_line():
        say(f'{source.name}: {line}')
    return measured(source.name, table, options.iou, options.score, options.resamples, say)


def _read_truth(source: Source, ann: str, images: str | None, say: Callable[[str], None]
                ) -> tuple[Annotated, str | None]:
    """The annotations, and the folder of their images if there is one."""
    # the results of a run are those of its validation, others those of a test
    part = open_part(ann, images, ('val', 'test') if source.run else ('test', 'val'), say)
    near = source.origin.get('images') if source.origin.get('ann') == ann else None
    folder = folder_of(part, images or near, images is not None)
    path = source_of(part.data, str(part.ann_file or part.source))
    annotated = annotated_of(part.data, path, source.classes, folder)
    _demand_its_images(source, part.data, ann)
    if annotated.repairs:
        say(describe(path, annotated.repairs))
    if annotated.left_out:
        say(annotated.left_out_line())
    return annotated, folder


def _demand_its_images(source: Source, data: dict, ann: str) -> None:
    """Refuse results of a run for other annotations, whose images have the same numbers."""
    own = source.origin.get('ann')
    if not own or own == ann or not os.path.isfile(own):
        return
    names = _base_names(read_annotations(own))
    other = next((name for number, name in _base_names(data).items()
                  if names.get(number, name) != name), None)
    if other is not None:
        raise UserError(f'{ann}: {quoted(other)} is another image than that of its number in '
                        f'{own}, which the results of {source.name} are for: evaluate with lordre '
                        'test ... --json-out PREFIX, and report on that file')


def _base_names(data):
    """{id: file name without folders} of images."""
    return {image['id']: os.path.basename(str(image.get('file_name')))
            for image in data['images']}


def _facts(source: Source, log: RunLog | None) -> dict[str, str]:
    facts = {}
    if source.run:
        facts['work folder'] = source.run
    for key in ('model', 'trained_on', 'config', 'checkpoint', 'device', 'seed', 'versions'):
        if source.origin.get(key):
            facts[key.replace('_', ' ')] = source.origin[key]
    if source.results and not source.run:
        facts['results'] = source.results
    if log:
        started = [f'{s[:4]}-{s[4:6]}-{s[6:8]} {s[9:11]}:{s[11:13]}' for s in log.starts]
        facts['begun'] = started[0]
        if len(started) > 1:
            facts['resumed'] = listed(started[1:], 5)
        facts['iterations'] = f'{log.last_step:g}'
        if log.seconds:
            hours, rest = divmod(round(log.seconds), 3600)
            facts['time of training'] = (f'{hours} h {rest // 60} min' if hours else
                                         f'{rest // 60} min {rest % 60} s')
        if log.damaged:
            facts['damaged lines of the log'] = str(log.damaged)
    return facts


def _data_facts(annotated: Annotated) -> dict[str, Any]:
    truth = annotated.truth
    repairs = dict(repairs=annotated.repairs) if annotated.repairs else {}
    return dict(ann=annotated.path, images=len(annotated.pictures),
                objects=int((~truth.crowd).sum()), crowds=int(truth.crowd.sum()),
                classes=len(annotated.classes), left_out=annotated.left_out, **repairs)


def _only(ceilings: dict[str, float]) -> float | None:
    return next(iter(ceilings.values())) if len(ceilings) == 1 else None


def _write_json(path: str, data: Any) -> None:
    try:
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
            json.dump(data, file, indent=1, allow_nan=False)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {reason(error)}') from error


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version
    try:
        return version('mmdet_lordre')
    except PackageNotFoundError:
        return 'unknown'
