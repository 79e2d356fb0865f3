"""All numbers about one model on one data set."""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..text import plural
from .average_precision import Curves, curves
from .bootstrap import Resamples, draw, resample
from .calibration import Calibration, calibration
from .confusion import Confusion, confusion
from .error_split import ErrorSplit, error_split
from .findings import PictureQuality, picture_quality
from .mask_errors import MaskErrors, mask_errors
from .matching import Matches, match
from .shapes import measure
from .table import Overlaps, Table
from .thresholds import Thresholds, thresholds

#: Resamples that intervals come from.
RESAMPLES = 400


@dataclass
class Measured:
    """One model: the table, and every statistic of it."""
    name: str
    table: Table
    matches: Matches
    curves: Curves
    boundary: Curves
    thresholds: Thresholds
    scores: np.ndarray
    calibration: Calibration
    confusion: Confusion
    errors: ErrorSplit
    masks: MaskErrors
    quality: PictureQuality
    resamples: Resamples


def measured(name: str, table: Table, iou: float = 0.5, score: float | None = None,
             count: int = RESAMPLES, say: Callable[[str], None] = lambda line: None) -> Measured:
    """Compute everything that a report shows of one model.

    Args:
        name: Of the model.
        table: What it found, beside what is there.
        iou: From which on a detection finds an object, in the confusion matrix and the F1.
        score: Lowest score that is shown, for all classes; by default the best of each class.
        count: Resamples of the images.
        say: Takes a line about what is being done.
    """
    matches = match(table)
    say(f'{name}: {plural(len(table.detections), "detection")}, '
        f'{len(matches.detection)} of them on an object')
    f1 = thresholds(table, matches, iou)
    scores = f1.best if score is None else np.full(len(table.classes), score)
    shown = table.detections.score >= scores[table.detections.label]
    same = table.same_class()
    close = np.flatnonzero((same.iou >= matches.thresholds[0]) & ~table.truth.crowd[same.truth])
    near = same.subset(close)
    found, ignored = matches.at(0.5)
    partner = np.full(len(table.detections), -1)
    partner[matches.detection] = np.where(ignored, -1, found)
    finds = (partner[near.detection] == near.truth) & shown[near.detection]
    shapes = measure(table, near, finds)
    lower = same.iou.copy()
    lower[close] = np.minimum(lower[close], shapes.boundary)
    by_boundary = curves(table, match(
        table, Overlaps(same.detection, same.truth, lower), areas=('all', 'small', 'medium',
                                                                   'large')))
    matrix = confusion(table, scores, iou)
    weights = draw(len(table.pictures), count)
    return Measured(
        name, table, matches, curves(table, matches), by_boundary, f1, scores,
        calibration(table, matches, iou), matrix, error_split(table),
        mask_errors(table, shown, near.subset(finds), shapes.subset(finds)),
        picture_quality(table, matrix), resample(table, matches, weights))
