"""What a report is about: the results of a run, or of any program, and what belongs to them."""
import json
import os
from dataclasses import dataclass, field
from typing import Any

from ..config.moved import moved_file
from ..config.own_data import PLAN
from ..errors import UserError
from ..text import printable

#: Files of a report, and of a run beside it.
FOLDER, PAGE, NUMBERS, THRESHOLDS = 'report', 'report.html', 'report.json', 'thresholds.json'
RESULTS, ORIGIN, CEILING = 'results.segm.json', 'origin.json', 'ceiling.json'
_PLANNED = PLAN, 'plan.json'
#: Small files beside a run are read up to so many bytes.
_MOST = 2**20


@dataclass
class Source:
    """One model's results.

    Attributes:
        name: For the page.
        results: File of results in COCO's format; None where a run has none.
        run: Work folder of the training; None for results of any other program.
        origin: What was written beside the results: 'ann', 'images', 'checkpoint', 'config'.
        classes: Names of the classes that the model knows; None for all of the annotations.
        max_dets: Of the evaluator of the run; None where it is not known.
    """
    name: str
    results: str | None
    run: str | None = None
    origin: dict[str, str] = field(default_factory=dict)
    classes: list[str] | None = None
    max_dets: tuple[int, int, int] | None = None


def find_source(path: str) -> Source:
    """What a path of the command line means: the work folder of a run, or a file of results.

    Raises:
        UserError: There is nothing, or something else.
    """
    if os.path.isdir(path):
        name = os.path.basename(os.path.abspath(path))
        results = os.path.join(path, FOLDER, RESULTS)
        origin = _read(os.path.join(path, FOLDER, ORIGIN))
        origin = origin if isinstance(origin, dict) else {}
        if isinstance(origin.get('ann'), str):
            origin['ann'] = moved_file(origin['ann'], path)
        classes = origin.get('classes')
        return Source(name, results if os.path.isfile(results) else None, path,
                      {key: value for key, value in origin.items() if isinstance(value, str)},
                      [str(c) for c in classes] if isinstance(classes, list) and classes else None,
                      _max_dets(origin.get('max_dets')))
    if not os.path.isfile(path):
        raise UserError(f'{path}: no such file or folder: give the work folder of a training, or '
                        'a file of results (.json)')
    if path.endswith(('.pkl', '.pickle', '.pth')):
        raise UserError(f'{path} is no file of results: write one with lordre test CONFIG '
                        'CHECKPOINT --json-out PREFIX')
    name = os.path.splitext(os.path.basename(path))[0].removesuffix('.segm')
    return Source(name, path)


def _max_dets(said):
    good = isinstance(said, list) and len(said) == 3 and all(type(n) is int for n in said) \
        and 0 < said[0] <= said[1] <= said[2]
    return tuple(said) if good else None


def write_origin(folder: str, **values: str | list[str] | list[int] | None) -> None:
    """Write down where the results in a folder come from."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ORIGIN), 'w', encoding='utf-8') as file:
        json.dump({key: value for key, value in values.items() if value}, file, indent=1)


def ceilings_of(source: Source) -> dict[str, float]:
    """AP that heads can reach at most on the data, by head.

    From ``ceiling.json`` beside the run or the results, else from the plan that the run was made
    by, which says it of the head that was trained.
    """
    place = source.run or os.path.dirname(source.results or '') or '.'
    data = _read(os.path.join(place, CEILING))
    if data is None:
        plan = _read(os.path.join(place, *_PLANNED))
        found = plan.get('ceilings') if isinstance(plan, dict) else None
        if isinstance(found, dict) and isinstance(plan.get('family'), str):
            data = {name: found[name] for name in (plan['family'],) if name in found}
    found = {}
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, dict):
            value = value.get('AP', value.get('mAP'))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
            found[printable(name, 60)] = float(value)
    return found


def config_text(source: Source) -> str:
    """Text of the config that a run left in its work folder; '' where there is none."""
    name = os.path.basename(source.origin.get('config', ''))
    path = os.path.join(source.run or '', name)
    try:
        if not source.run or not name or os.path.getsize(path) > _MOST:
            return ''
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def own_folder(folder: str) -> None:
    """Refuse to write over files that no report has made.

    Raises:
        UserError: There are some.
    """
    there = [name for name in (PAGE, NUMBERS, THRESHOLDS)
             if os.path.exists(os.path.join(folder, name))]
    if not there:
        return
    try:
        with open(os.path.join(folder, NUMBERS), encoding='utf-8') as file:
            ours = '"written_by": "mmdet_lordre' in file.read(200)
    except (OSError, UnicodeDecodeError):
        ours = False
    if not ours:
        raise UserError(f'{os.path.join(folder, there[0])} already exists and was not written '
                        'by lordre report: choose another folder with --out')


def _read(path: str) -> Any:
    try:
        if os.path.getsize(path) > _MOST:
            return None
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
