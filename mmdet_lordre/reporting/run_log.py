"""What a work folder says about its training: settings, and scalars over steps across resumes."""
import json
import os
import re
from dataclasses import dataclass, field
from glob import escape, glob
from pathlib import Path

from ..errors import UserError

#: Largest file of scalars that is read, in bytes.
_MOST = 2**30
_STAMP = re.compile(r'\d{8}_\d{6}')


@dataclass
class Curve:
    """Values of one name over steps, ascending, each step once."""
    step: list[float]
    value: list[float]


@dataclass
class RunLog:
    """Scalars of a training.

    Attributes:
        training: Curves over iterations, by name: 'loss', 'lr', ...
        validation: Curves over the iterations at which it was validated.
        starts: Times at which the run was begun or gone on with.
        seconds: Of training altogether, by the iterations' own times; None if not known.
        damaged: Lines that could not be read.
    """
    training: dict[str, Curve] = field(default_factory=dict)
    validation: dict[str, Curve] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    seconds: float | None = None
    damaged: int = 0

    @property
    def last_step(self) -> float:
        """The furthest iteration that is logged; 0 of none."""
        return max((curve.step[-1] for curve in self.training.values() if curve.step), default=0)

    def rising(self) -> bool | None:
        """Whether the best validation AP is the last one, of three or more."""
        curve = self.validation.get('segm_mAP') or self.validation.get('bbox_mAP')
        if curve is None or len(curve.value) < 3:
            return None
        return curve.value[-1] >= max(curve.value)


def read_run(folder: str | Path) -> RunLog:
    """Read mmengine's scalars of a work folder, from all its starts.

    A run that was gone on with repeats the steps after its last checkpoint: what the later start
    says of a step counts, and what an earlier one says beyond the step where a later one began is
    dropped, since those weights were never gone on from.

    Raises:
        UserError: There are no scalars.
    """
    files = sorted(glob(os.path.join(escape(str(folder)), '*', 'vis_data', '*.json')))
    files = [f for f in files if re.fullmatch(r'\d{8}_\d{6}\.json', os.path.basename(f))]
    log = RunLog(starts=[Path(f).stem for f in files])
    if not files:
        raise UserError(f'{folder} has no scalars (*/vis_data/*.json): is it the work folder of a '
                        'training?')
    runs = [_read(file, log) for file in files]
    runs = [rows for rows in runs if rows]
    kept: list[dict] = []
    for rows in runs:
        first = min((row['step'] for row in rows if 'loss' in row), default=None)
        if first is not None:
            kept = [row for row in kept if row['step'] < first]
        at = max((row['step'] for row in kept), default=0)
        kept += [row if row['step'] is not None else {**row, 'step': at} for row in rows]
    _fill(log, kept)
    return log


def _read(path: str, log: RunLog) -> list[dict]:
    """Rows of one start, with the iteration as 'step'; validations take that of the row before.

    A validation says its epoch or its iteration; before the first iteration of a start it is of
    the checkpoint, and has the step None here.
    """
    if os.path.getsize(path) > _MOST:
        raise UserError(f'{path} has {os.path.getsize(path) / 2**30:.1f} GiB: no file of scalars')
    rows, last = [], None
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            try:
                row = json.loads(line)
                numbers = {str(key): float(value) for key, value in row.items()
                           if isinstance(value, (int, float)) and not isinstance(value, bool)}
            except (ValueError, AttributeError, OverflowError, RecursionError):
                log.damaged += bool(line.strip())
                continue
            if 'loss' in numbers or 'lr' in numbers:
                last = numbers.get('iter', numbers.get('step', last or 0))
                numbers['step'] = last
            else:
                # an iteration that no line of the log was written for, or an epoch
                step = None if last is None else max(last, numbers.get('step', 0))
                numbers = {**numbers, 'step': step, 'validation': 1.0}
            rows.append(numbers)
    return rows


def _fill(log: RunLog, rows: list[dict]) -> None:
    seconds, before = 0.0, 0.0
    for row in rows:
        validation = 'validation' in row
        for key, value in row.items():
            if key in ('step', 'iter', 'epoch', 'validation') or (validation and key in (
                    'time', 'data_time')):
                continue
            # 'coco/segm_mAP' of the metric's prefix is 'segm_mAP' of everyone
            name = key.rsplit('/', 1)[-1] if validation else key
            curves = log.validation if validation else log.training
            curve = curves.setdefault(name, Curve([], []))
            if curve.step and curve.step[-1] >= row['step']:
                if curve.step[-1] == row['step']:
                    curve.value[-1] = value  # said twice: the later one counts
                continue
            curve.step.append(row['step'])
            curve.value.append(value)
        if not validation and 'time' in row:
            seconds += row['time'] * max(row['step'] - before, 0)
            before = row['step']
    log.seconds = seconds or None
