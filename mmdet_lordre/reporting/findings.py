"""What to look at: pictures and objects where something went wrong, the worst first."""
from dataclasses import dataclass

import numpy as np

from .calibration import iou_of
from .confusion import Confusion
from .error_split import KINDS, NOTHING, ErrorSplit
from .table import AREAS, Table

#: IoU from which on a detection of another class lies on the same object.
_SAME_PLACE = 0.75


@dataclass
class PictureQuality:
    """How well each picture is segmented, at the chosen thresholds.

    Attributes:
        right, wrong, missed: (I,) int: finds of the right class, detections that are none, and
            objects without one.
        quality: (I,) panoptic quality over all classes: the sum of the IoU of the finds over
            finds + half of the wrong and missed ones; NaN where nothing is there and found.
    """
    right: np.ndarray
    wrong: np.ndarray
    missed: np.ndarray
    quality: np.ndarray

    def worst(self, count: int) -> np.ndarray:
        """Places of the worst pictures; of equal quality those with more errors first."""
        order = np.lexsort((-(self.wrong + self.missed), self.quality))
        faulty = (self.wrong + self.missed)[order] > 0
        return order[faulty & np.isfinite(self.quality[order])][:count]


def picture_quality(table: Table, matrix: Confusion) -> PictureQuality:
    """Judge every picture by the pairs of the confusion matrix.

    Args:
        table: Detections and objects.
        matrix: Which of them go together.
    """
    count, nothing = len(table.pictures), len(table.classes)
    image = np.where(matrix.detection >= 0,
                     table.detections.image[matrix.detection] if len(table.detections) else 0,
                     table.truth.image[matrix.truth])
    good = (matrix.row == matrix.column) & (matrix.row < nothing)
    swapped = ~good & (matrix.row < nothing) & (matrix.column < nothing)
    iou = iou_of(table, matrix.detection[good], matrix.truth[good])
    right = np.bincount(image[good], minlength=count)
    wrong = np.bincount(image[(matrix.row == nothing) | swapped], minlength=count)
    missed = np.bincount(image[(matrix.column == nothing) | swapped], minlength=count)
    with np.errstate(invalid='ignore'):
        quality = np.bincount(image[good], iou, count) / (right + (wrong + missed) / 2)
    return PictureQuality(right, wrong, missed, quality)


def surest_mistakes(split: ErrorSplit, table: Table, kind: str, count: int) -> np.ndarray:
    """Detections with an error of a kind, by falling scores.

    Args:
        split: What is wrong with each detection.
        table: Detections and objects.
        kind: A key of ``KINDS``.
        count: Detections at most.

    Returns:
        Places of the detections.
    """
    chosen = np.flatnonzero(split.kind == list(KINDS).index(kind))
    return chosen[np.argsort(-table.detections.score[chosen], kind='stable')][:count]


@dataclass
class Missed:
    """Objects that nothing found, of one size.

    Attributes:
        size: Name of the range of area.
        objects: How many objects there are.
        missed: (N,) int: those without a detection at the chosen thresholds, the largest first.
    """
    size: str
    objects: int
    missed: np.ndarray


def missed_by_size(table: Table, matrix: Confusion) -> list[Missed]:
    """Objects without any detection, by COCO's sizes."""
    missed = matrix.truth[matrix.column == len(table.classes)]
    area = table.truth.area
    result = []
    for size in ('small', 'medium', 'large'):
        low, high = AREAS[size]
        inside = (area >= low) & (area < high) & ~table.truth.crowd
        mine = missed[inside[missed]]
        result.append(Missed(size, int(inside.sum()), mine[np.argsort(-area[mine],
                                                                      kind='stable')]))
    return result


@dataclass
class Suspicious:
    """Annotations that are likely wrong; pairs of places, the most likely first.

    Attributes:
        unlabeled: (N,) detections that are sure of an object where none is annotated.
        unfound: (N,) objects that no detection of any class and score comes near.
        mislabeled: (N,) detections that are sure of another class than the object says, and (N,)
            these objects.
    """
    unlabeled: np.ndarray
    unfound: np.ndarray
    mislabeled: tuple[np.ndarray, np.ndarray]


def suspicious(table: Table, split: ErrorSplit, scores: np.ndarray) -> Suspicious:
    """Find annotations that a model which is mostly right contradicts.

    A detection is sure where its score is above the median of the right ones of its class.

    Args:
        table: What was found and what is there.
        split: Its errors.
        scores: (K,) Lowest score of each class, which a sure detection has anyway.
    """
    found, truth = table.detections, table.truth
    sure = found.score >= _median_of_right(table, split, scores)[found.label]
    background = split.kind == list(KINDS).index('background')
    unlabeled = np.flatnonzero(background & sure)
    unlabeled = unlabeled[np.argsort(-found.score[unlabeled], kind='stable')]

    pairs = table.overlaps
    near = np.zeros(len(truth))
    np.maximum.at(near, pairs.truth, pairs.iou)
    unfound = np.flatnonzero((near < NOTHING) & ~truth.crowd)
    unfound = unfound[np.argsort(-truth.area[unfound], kind='stable')]

    same = found.label[pairs.detection] == truth.label[pairs.truth]
    own = np.zeros(len(truth))  # the best score of a detection of the class that is annotated
    fits = same & (pairs.iou >= 0.5)
    np.maximum.at(own, pairs.truth[fits], found.score[pairs.detection[fits]])
    other = np.flatnonzero(~same & (pairs.iou >= _SAME_PLACE) & sure[pairs.detection]
                           & ~truth.crowd[pairs.truth])
    other = other[found.score[pairs.detection[other]] > own[pairs.truth[other]]]
    other = other[np.argsort(-found.score[pairs.detection[other]], kind='stable')]
    _, first = np.unique(pairs.truth[other], return_index=True)
    other = other[np.sort(first)]
    return Suspicious(unlabeled, unfound, (pairs.detection[other], pairs.truth[other]))


def _median_of_right(table, split, scores):
    """(K,) The median score of the finds of every class, or the lowest that is shown."""
    found = table.detections
    pairs = table.same_class()
    pairs = pairs.subset((pairs.iou >= 0.5) & ~table.truth.crowd[pairs.truth]
                         & (split.kind[pairs.detection] < 0))
    right = np.unique(pairs.detection)
    right = right[found.score[right] >= scores[found.label[right]]]
    result = np.array(scores, float)
    for k in np.unique(found.label[right]).tolist():
        result[k] = max(result[k], np.median(found.score[right[found.label[right] == k]]))
    return result
