"""The numbers of a report as JSON has them: what the page draws, for programs."""
import math
from typing import Any

import numpy as np

from ..evaluation.coco_backend import mean_of_valid
from ..text import printable
from .bootstrap import interval
from .compare import Difference
from .findings import Missed, Suspicious
from .measure import Measured
from .thresholds import GRID

#: Entries of the lists of pictures and objects.
_LISTED = 200


def numbers_of(one: Measured, missed: list[Missed], doubts: Suspicious) -> dict[str, Any]:
    """Everything about one model."""
    table = one.table
    figures = one.curves.summary()
    spans = dict(mAP=one.resamples.ap, mAP_50=one.resamples.ap50, mAP_75=one.resamples.ap75)
    total = one.thresholds.total()
    at = int(np.argmin(abs(GRID - one.thresholds.default)))
    return plain(dict(
        name=one.name,
        detections=len(table.detections),
        max_dets=table.max_dets,
        not_counted=table.cut_off,
        figures=figures,
        intervals={key: interval(values, figures[key]) for key, values in spans.items()},
        boundary=one.boundary.summary(),
        by_iou=one.curves.by_threshold(),
        by_class=by_class(one),
        thresholds=one.thresholds.file(table.classes),
        at_default_threshold={key: values[at] for key, values in total.items()},
        over_thresholds=dict(threshold=GRID, **total),
        calibration=vars(one.calibration),
        confusion=dict(iou=one.confusion.iou, classes=[*table.classes, 'background'],
                       rows='true', columns='predicted', counts=one.confusion.counts,
                       ignored_in_crowds=one.confusion.ignored, scores=one.scores),
        errors=dict(AP50=one.errors.ap50, gain=one.errors.gain, count=one.errors.count,
                    false_positives=one.errors.false_positives,
                    false_negatives=one.errors.false_negatives),
        mask_errors={kind: dict(count=one.masks.count(kind), among=one.masks.among[kind])
                     for kind in one.masks.detection},
        missed_by_size={part.size: dict(objects=part.objects, missed=len(part.missed))
                        for part in missed},
        worst_pictures=[dict(image=table.pictures[i].name, id=table.pictures[i].id,
                             quality=one.quality.quality[i], right=one.quality.right[i],
                             wrong=one.quality.wrong[i], missed=one.quality.missed[i])
                        for i in one.quality.worst(_LISTED).tolist()],
        suspicious_annotations=dict(
            unlabeled=[_object(one, d, -1) for d in doubts.unlabeled[:_LISTED]],
            unfound=[_object(one, -1, t) for t in doubts.unfound[:_LISTED]],
            mislabeled=[_object(one, d, t) for d, t in zip(
                *(part[:_LISTED] for part in doubts.mislabeled))])))


def by_class(one: Measured) -> list[dict[str, Any]]:
    """A row for every class."""
    boundary = one.boundary.by_class()
    f1 = one.thresholds.f1()
    rows = []
    for k, row in enumerate(one.curves.by_class()):
        at = int(np.argmin(abs(GRID - one.scores[k])))
        found, right = one.thresholds.found[k, at], one.thresholds.right[k, at]
        objects = one.thresholds.objects[k]
        rows.append(dict(
            name=one.table.classes[k], objects=objects, **row, boundary_AP=boundary[k]['AP'],
            interval=interval(one.resamples.by_class[:, k], row['AP']) if row['AP'] >= 0 else None,
            threshold=one.scores[k], precision=right / found if found else None,
            recall=right / objects if objects else None,
            F1=f1[k, at] if objects else None))
    return rows


def precision_curves(one: Measured) -> dict[str, np.ndarray]:
    """Precision (101,) over recall, the mean over the classes that have objects, by IoU."""
    result = {}
    for iou in (0.5, 0.75, 0.9):
        t = int(np.argmin(abs(one.curves.thresholds - iou)))
        values = one.curves.precision[t, :, :, 0]
        there = values[0] > -1
        result[f'IoU {iou:g}'] = values[:, there].mean(1) if there.any() else np.zeros(101)
    result['all ten'] = np.array([mean_of_valid(one.curves.precision[:, r, :, 0])
                                  for r in range(one.curves.precision.shape[1])])
    return result


def differences_as_json(rows: list[Difference]) -> list[dict[str, Any]]:
    """Rows of a comparison."""
    return plain([dict(what=row.what, first=row.first, second=row.second,
                       difference=row.second - row.first, interval=[row.low, row.high],
                       real=row.real) for row in rows])


def _object(one: Measured, detection: int, truth: int) -> dict[str, Any]:
    table = one.table
    found, true = table.detections, table.truth
    image = found.image[detection] if detection >= 0 else true.image[truth]
    row = dict(image=table.pictures[image].name, id=table.pictures[image].id)
    if detection >= 0:
        row.update(predicted=table.classes[found.label[detection]],
                   score=found.score[detection])
    if truth >= 0:
        row.update(annotated=table.classes[true.label[truth]], area=true.area[truth])
    return row


def plain(value: Any) -> Any:
    """What JSON has: no arrays, None for what is not finite, lists for tuples."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int, str, type(None))) else printable(value)
