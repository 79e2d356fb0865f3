"""What the template of the report is given."""
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ..pages import Series, bar_chart, line_chart
from ..text import printable
from .average_precision import RECALLS
from .bootstrap import interval
from .compare import Difference
from .error_split import KINDS as ERRORS
from .examples import Examples
from .findings import Missed, Suspicious, surest_mistakes
from .mask_errors import KINDS as MASK_ERRORS
from .measure import Measured
from .numbers import by_class, precision_curves
from .run_log import RunLog
from .thresholds import GRID

TEMPLATES = Path(__file__).parent / 'templates'
#: Pictures of each kind.
_WORST, _MISTAKES, _MISSED, _DOUBTS, _SHAPES, _CELLS = 24, 12, 12, 18, 12, 600


def model_values(one: Measured, missed: list[Missed], doubts: Suspicious,
                 examples: Examples) -> dict[str, Any]:
    """Values of the tabs about one model.

    Args:
        one: The model.
        missed: Its missed objects by size.
        doubts: Annotations that it contradicts.
        examples: Takes the pictures that the page will show.
    """
    figures, boundary = one.curves.summary(), one.boundary.summary()
    total = one.thresholds.total()
    at = int(np.argmin(abs(GRID - one.thresholds.default)))
    return dict(
        figures=figures, boundary=boundary, interval=interval(one.resamples.ap, figures['mAP']),
        default=one.thresholds.default, at_default={key: values[at] for key, values in
                                                    total.items()},
        classes=by_class(one), charts=_charts(one, total), errors=_errors(one, examples),
        error_total=dict(AP50=one.errors.ap50, positives=one.errors.false_positives,
                         negatives=one.errors.false_negatives),
        shapes=[dict(kind=kind, what=what, count=one.masks.count(kind),
                     among=one.masks.among[kind],
                     examples=[examples.add(d, t) for d, t in zip(
                         one.masks.detection[kind][:_SHAPES], one.masks.truth[kind])])
                for kind, what in MASK_ERRORS.items()],
        missed=[dict(size=part.size, objects=part.objects, count=len(part.missed),
                     examples=[examples.add(truth=t) for t in part.missed[:_MISSED]])
                for part in missed],
        worst=_worst(one, examples), doubts=_doubts(doubts, examples),
        calibration_error=one.calibration.error, most=one.table.max_dets[-1],
        limit=one.table.limit_line())


def _charts(one: Measured, total: dict[str, np.ndarray]) -> dict[str, Markup]:
    curves = precision_curves(one)
    steps = (np.arange(10) + 0.5) / 10
    bins = one.calibration
    ious = one.curves.by_threshold()
    border = one.boundary.by_threshold()
    return dict(
        precision=line_chart([Series(name, RECALLS, values, dashed=name == 'all ten')
                              for name, values in curves.items()], 'Precision over recall',
                             'recall', 'precision', (0, 1), (0, 1)),
        f1=line_chart([Series(name, GRID, total[key]) for name, key in (
            ('F1', 'f1'), ('precision', 'precision'), ('recall', 'recall'))],
            'Precision, recall and F1 over the threshold of the score', 'threshold of the score',
            '', (0, 1), (0, 1)),
        calibration=line_chart([
            Series('right at the IoU', np.where(bins.count > 0, bins.score, steps), bins.right,
                   dots=True),
            Series('mean IoU of the right ones', np.where(bins.count > 0, bins.score, steps),
                   bins.iou, dots=True)], 'How many detections are right, by score', 'score',
            'part', (0, 1), (0, 1), diagonal=True),
        counts=bar_chart([f'{i / 10:.1f} to {(i + 1) / 10:.1f}' for i in range(10)],
                         bins.count.astype(float), 'Detections by score', digits=0),
        ious=line_chart([Series('masks', *zip(*ious), dots=True),
                         Series('boundaries', *zip(*border), dots=True)],
                        'AP over the IoU', 'IoU from which on a mask counts', 'AP', (0.5, 0.95),
                        (0, 1)))


def _errors(one: Measured, examples: Examples) -> list[dict[str, Any]]:
    rows = []
    for kind, what in ERRORS.items():
        if kind == 'missed':
            area = one.table.truth.area[one.errors.missed]
            chosen = one.errors.missed[np.argsort(-area, kind='stable')][:_MISTAKES]
            shown = [examples.add(truth=t) for t in chosen]
        else:
            shown = [examples.add(d, one.errors.truth[d]) for d in surest_mistakes(
                one.errors, one.table, kind, _MISTAKES)]
        rows.append(dict(kind=kind, what=what, gain=one.errors.gain[kind],
                         count=one.errors.count[kind], examples=shown))
    return rows


def error_chart(rows: list[dict[str, Any]]) -> Markup:
    """Bars of what each kind of error costs."""
    return bar_chart([row['kind'] for row in rows], [row['gain'] for row in rows],
                     'AP50 that each kind of error costs', colors=list(range(len(rows))))


def _worst(one: Measured, examples: Examples) -> list[dict[str, Any]]:
    table, matrix, quality = one.table, one.confusion, one.quality
    good = (matrix.row == matrix.column) & (matrix.row < len(table.classes))
    found, right = np.zeros(len(table.truth), bool), np.zeros(len(table.detections), bool)
    found[matrix.truth[good]] = True
    right[matrix.detection[good]] = True
    shown = np.zeros(len(table.detections), bool)
    shown[matrix.detection[matrix.detection >= 0]] = True
    rows = []
    for i in quality.worst(_WORST).tolist():
        truths = np.arange(*np.searchsorted(table.truth.image, [i, i + 1]))
        truths = truths[~table.truth.crowd[truths]]
        detections = np.arange(*np.searchsorted(table.detections.image, [i, i + 1]))
        detections = detections[shown[detections]]
        number = examples.add_whole(i, truths, detections, found[truths], right[detections])
        rows.append(dict(example=number, name=table.pictures[i].name, quality=quality.quality[i],
                         right=quality.right[i], wrong=quality.wrong[i],
                         missed=quality.missed[i]))
    return rows


def _doubts(doubts: Suspicious, examples: Examples) -> list[dict[str, Any]]:
    return [
        dict(kind='nothing annotated', what='the model is as sure as of most objects, and nothing '
             'is annotated there', count=len(doubts.unlabeled),
             examples=[examples.add(d) for d in doubts.unlabeled[:_DOUBTS]]),
        dict(kind='another class', what='the mask fits, and the model is surer of another class',
             count=len(doubts.mislabeled[0]),
             examples=[examples.add(d, t) for d, t in zip(
                 *(part[:_DOUBTS] for part in doubts.mislabeled))]),
        dict(kind='nothing found', what='no detection of any class and any score comes near',
             count=len(doubts.unfound),
             examples=[examples.add(truth=t) for t in doubts.unfound[:_DOUBTS]])]


def confusion_data(one: Measured, examples: Examples) -> dict[str, Any]:
    """The matrix for the page's script: cells that are not empty, and their pictures.

    Every cell has the names of its pictures; cuts are dealt out, one to each cell first, then the
    second to those with most, until there are enough.
    """
    matrix, table = one.confusion, one.table
    nothing = len(table.classes)
    size = nothing + 1
    cell = matrix.row * size + matrix.column
    order = np.argsort(cell, kind='stable')
    cells, starts = np.unique(cell[order], return_index=True)
    parts = np.split(order, starts[1:])
    off = [(c // size != c % size, len(part)) for c, part in zip(cells.tolist(), parts)]
    ranked = sorted(range(len(parts)), key=lambda i: (not off[i][0], -off[i][1]))
    shown: list[list[int]] = [[] for _ in parts]
    left = _CELLS
    for turn in range(8):
        for i in ranked:
            if left and turn < len(parts[i]) and (turn == 0 or off[i][0]):
                entry = _of_cell(table, matrix, parts[i])[turn]
                shown[i].append(examples.add(matrix.detection[entry], matrix.truth[entry]))
                left -= 1
    image = np.where(matrix.detection >= 0,
                     table.detections.image[matrix.detection] if len(table.detections) else 0,
                     table.truth.image[matrix.truth])
    return dict(
        classes=[printable(name) for name in table.classes] + ['background'],
        cells=[[c // size, c % size, len(part), shown[i],
                list(dict.fromkeys(image[part].tolist()))[:40]]
               for i, (c, part) in enumerate(zip(cells.tolist(), parts))])


def _of_cell(table, matrix, part):
    """Entries of a cell, the surest (or largest) first."""
    detection, truth = matrix.detection[part], matrix.truth[part]
    weight = np.where(detection >= 0,
                      table.detections.score[detection] if len(table.detections) else 0,
                      table.truth.area[truth] / 1e10)
    return part[np.argsort(-weight, kind='stable')]


def run_charts(log: RunLog) -> dict[str, Markup]:
    """Losses, learning rate and validation over the iterations."""
    losses = {name: curve for name, curve in log.training.items() if 'loss' in name}
    parts = {name: curve for name, curve in losses.items() if name != 'loss'}
    scores = {name: curve for name, curve in log.validation.items()
              if name.endswith(('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'))}

    def chart(curves, title, label, **options):
        return line_chart([Series(name, curve.step, curve.value,
                                  dots=len(curve.step) < 60 and bool(options.get('dots')))
                           for name, curve in list(curves.items())[:8]], title, 'iteration',
                          label, **{k: v for k, v in options.items() if k != 'dots'})
    shown = {}
    if 'loss' in losses:
        shown['loss'] = chart({'loss': losses['loss']}, 'Loss', 'loss')
    if parts:
        shown['parts'] = chart(parts, 'Parts of the loss', 'loss')
    if scores:
        top = max(max(curve.value) for curve in scores.values())
        shown['validation'] = chart(scores, 'Validation AP', 'AP', dots=True, y_range=(
            0, min(1, max(1, math.ceil(10 * top)) / 10) if math.isfinite(top) else 1))
    rates = {name: log.training[name] for name in ('lr', 'base_lr') if name in log.training}
    if rates:
        shown['lr'] = chart(dict(list(rates.items())[:1]), 'Learning rate', '')
    if 'memory' in log.training:
        shown['memory'] = chart({'MiB': log.training['memory']}, 'Memory', 'MiB')
    return shown


def together(models: Sequence[Measured], logs: Sequence[tuple[str, RunLog]]) -> dict[str, Markup]:
    """Curves of several models in one drawing each.

    Args:
        models: The first is the one that the page is about.
        logs: Names and logs of those that are runs.
    """
    charts = dict(
        precision=line_chart([Series(one.name, RECALLS, precision_curves(one)['all ten'])
                              for one in models], 'Precision over recall, mean over the IoUs',
                             'recall', 'precision', (0, 1), (0, 1)),
        ious=line_chart([Series(one.name, *zip(*one.curves.by_threshold()), dots=True)
                         for one in models], 'AP over the IoU',
                        'IoU from which on a mask counts', 'AP', (0.5, 0.95), (0, 1)))
    scores = [Series(name, log.validation['segm_mAP'].step, log.validation['segm_mAP'].value,
                     dots=True) for name, log in logs if 'segm_mAP' in log.validation]
    if len(scores) > 1:
        charts['validation'] = line_chart(scores, 'Validation AP', 'iteration', 'AP')
    return charts


def difference_rows(rows: list[Difference]) -> list[dict[str, Any]]:
    """Rows of the comparison, for the template."""
    return [dict(asdict(row), difference=row.second - row.first, real=row.real) for row in rows]
