"""Which classes are taken for which: a confusion matrix of masks, with background."""
from dataclasses import dataclass

import numpy as np

from .table import Table


@dataclass
class Confusion:
    """Objects and detections, paired one to one.

    Attributes:
        counts: (K + 1, K + 1) int: rows are the true classes, columns the predicted ones; the
            last row has detections where there is nothing, the last column objects that nothing
            found.
        detection, truth: (E,) int: what was paired; -1 where there is nothing.
        row, column: (E,) int: the cells that these are in.
        ignored: Detections that lie in a crowd of their class, which count nowhere.
        iou, scores: From which IoU on, and (K,) from which score of each class on.
    """
    counts: np.ndarray
    detection: np.ndarray
    truth: np.ndarray
    row: np.ndarray
    column: np.ndarray
    ignored: int
    iou: float
    scores: np.ndarray

    def entries(self, row: int, column: int) -> np.ndarray:
        """Places of the entries of one cell."""
        return np.flatnonzero((self.row == row) & (self.column == column))


def confusion(table: Table, scores: np.ndarray, iou: float = 0.5) -> Confusion:
    """Pair detections and objects of an image, whatever their classes.

    Pairs are taken in the order of their IoU (of equal ones first those of one class, then those
    of the higher score), each detection and each object once. A crowd region is no object: what
    lies in one of its own class and is not paired is ignored.

    Args:
        table: What was found and what is there.
        scores: (K,) Lowest score of each class.
        iou: Lowest IoU of a pair.
    """
    found, truth = table.detections, table.truth
    shown = found.score >= scores[found.label]
    pairs = table.overlaps.subset(shown[table.overlaps.detection] & (table.overlaps.iou >= iou))
    crowd = truth.crowd[pairs.truth]
    one = pairs.subset(~crowd)
    same = found.label[one.detection] == truth.label[one.truth]
    order = np.lexsort((one.truth, one.detection, -found.score[one.detection], ~same, -one.iou))
    partner = np.full(len(found), -1)
    taken = np.zeros(len(truth), bool)
    partner_list, taken_list = partner.tolist(), taken.tolist()
    for d, t in zip(one.detection[order].tolist(), one.truth[order].tolist()):
        if partner_list[d] < 0 and not taken_list[t]:
            partner_list[d], taken_list[t] = t, True
    partner, taken = np.array(partner_list, int), np.array(taken_list, bool)
    in_crowd = np.zeros(len(found), bool)
    inside = pairs.subset(crowd)
    inside = inside.subset(found.label[inside.detection] == truth.label[inside.truth])
    in_crowd[inside.detection] = True
    ignored = shown & in_crowd & (partner < 0)
    detection = np.flatnonzero(shown & ~ignored)
    missed = np.flatnonzero(~taken & ~truth.crowd)
    nothing = len(table.classes)
    of = partner[detection]
    row = np.where(of >= 0, truth.label[of] if len(truth) else nothing, nothing)
    row = np.concatenate([row, truth.label[missed]])
    column = np.concatenate([found.label[detection], np.full(len(missed), nothing)])
    counts = np.bincount(row * (nothing + 1) + column, minlength=(nothing + 1) ** 2)
    return Confusion(counts.reshape(nothing + 1, nothing + 1),
                     np.concatenate([detection, np.full(len(missed), -1)]),
                     np.concatenate([of, missed]), row, column, int(ignored.sum()), iou, scores)
