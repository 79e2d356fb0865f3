"""Whether scores are what they claim to be: the share of detections that are right."""
from dataclasses import dataclass

import numpy as np

from .matching import Matches
from .table import Table

#: Scores below are left out: nobody looks at them, and they outnumber all others.
LOWEST = 0.05
BINS = 10


@dataclass
class Calibration:
    """Detections by score, in ten equal steps.

    Attributes:
        count: (10,) detections.
        score: (10,) their mean score; NaN where there is none.
        right: (10,) the part that finds an object at the IoU; NaN likewise.
        iou: (10,) the mean IoU with the object of those that find one; NaN likewise.
        error: Expected calibration error: the mean distance of score and part, by count.
    """
    count: np.ndarray
    score: np.ndarray
    right: np.ndarray
    iou: np.ndarray
    error: float


def calibration(table: Table, matches: Matches, iou: float = 0.5) -> Calibration:
    """Compare scores with what is right, over all classes.

    Args:
        table: Of which the detections are.
        matches: Over all areas.
        iou: From which on a detection is right; what is ignored counts nowhere.
    """
    truth, ignored = matches.at(iou)
    detections = table.detections
    right = np.zeros(len(detections), bool)
    counts = detections.score >= LOWEST
    right[matches.detection] = (truth >= 0) & ~ignored
    counts[matches.detection] &= ~ignored
    overlap = np.full(len(detections), np.nan)
    overlap[matches.detection] = iou_of(table, matches.detection, truth)
    score = np.clip(detections.score[counts], 0, 1)
    step = np.minimum((score * BINS).astype(int), BINS - 1)
    count = np.bincount(step, minlength=BINS)
    hit = right[counts]
    with np.errstate(invalid='ignore', divide='ignore'):
        mean = np.bincount(step, score, BINS) / count
        part = np.bincount(step, hit, BINS) / count
        quality = np.bincount(step[hit], overlap[counts][hit], BINS) \
            / np.bincount(step[hit], minlength=BINS)
    error = float(np.nansum(np.abs(mean - part) * count) / max(count.sum(), 1))
    return Calibration(count, mean, part, quality, error)


def iou_of(table: Table, detection: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) IoU of pairs of detections and objects; NaN where ``truth`` is -1.

    Args:
        detection, truth: (N,) int; pairs of one image that share a pixel.
    """
    pairs = table.overlaps
    key = pairs.detection.astype(np.int64) * max(len(table.truth), 1) + pairs.truth
    wanted = detection.astype(np.int64) * max(len(table.truth), 1) + truth
    at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    result = np.full(len(detection), np.nan)
    good = (truth >= 0) & (key[at] == wanted) if len(key) else np.zeros(len(detection), bool)
    result[good] = pairs.iou[at[good]]
    return result
