"""Precision, recall and F1 over thresholds of the score, and the best of every class."""
from dataclasses import dataclass

import numpy as np

from .matching import Matches
from .table import Table

#: Thresholds that are looked at.
GRID = np.round(np.arange(0, 1, 0.01), 2)
#: Objects below which a class takes the threshold of all classes.
FEW = 5


@dataclass
class Thresholds:
    """What is right above every threshold.

    Attributes:
        right, found: (K, S) int: detections at or above a threshold, and how many of them find
            an object; ignored ones count nowhere.
        objects: (K,) int.
        default: The threshold with the best F1 over all classes together.
        best: (K,) the best of every class; ``default`` for those with few objects.
    """
    right: np.ndarray
    found: np.ndarray
    objects: np.ndarray
    default: float
    best: np.ndarray

    def f1(self) -> np.ndarray:
        """(K, S); 0 where nothing is found."""
        return _f1(self.right, self.found, self.objects[:, None])

    def total(self) -> dict[str, np.ndarray]:
        """Precision, recall and F1 (S,) of all classes together; NaN where there is none."""
        right, found = self.right.sum(0), self.found.sum(0)
        objects = self.objects.sum()
        with np.errstate(invalid='ignore', divide='ignore'):
            return dict(precision=np.where(found > 0, right / found, np.nan),
                        recall=right / max(objects, 1), f1=_f1(right, found, objects))

    def file(self, classes: tuple[str, ...]) -> dict:
        """What ``thresholds.json`` holds: the default, and one for each class by name."""
        return dict(default=self.default,
                    classes={name: float(value) for name, value in zip(classes, self.best)})


def thresholds(table: Table, matches: Matches, iou: float = 0.5) -> Thresholds:
    """Count what is found over the thresholds of the score.

    Args:
        table: Of which the detections are.
        matches: Over all areas.
        iou: From which on a detection finds an object.
    """
    truth, ignored = matches.at(iou)
    detections = table.detections
    right = np.zeros(len(detections), bool)
    counts = np.ones(len(detections), bool)
    right[matches.detection] = (truth >= 0) & ~ignored
    counts[matches.detection] = ~ignored
    step = np.searchsorted(GRID, detections.score + 1e-9, side='right') - 1
    size = len(table.classes), len(GRID)
    above = [_above(detections.label[kept], step[kept], size) for kept in (right, counts)]
    objects = np.bincount(table.truth.label[~table.truth.crowd], minlength=size[0])
    total = _f1(above[0].sum(0), above[1].sum(0), objects.sum())
    default = _middle(total)
    best = np.array([_middle(row) if objects[k] >= FEW and row.max() > 0 else default
                     for k, row in enumerate(_f1(*above, objects[:, None]))])
    return Thresholds(*above, objects, default, best)


def _above(label, step, size):
    inside = step >= 0  # scores below 0 are under every threshold
    counts = np.bincount(label[inside] * size[1] + step[inside], minlength=size[0] * size[1])
    return counts.reshape(size)[:, ::-1].cumsum(1)[:, ::-1]


def _f1(right, found, objects):
    return 2 * right / np.maximum(found + objects, 1)


def _middle(f1: np.ndarray) -> float:
    """The threshold in the middle of the first run of best ones."""
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    run = best[:np.flatnonzero(np.append(np.diff(best), 2) > 1)[0] + 1]
    return float(GRID[run[len(run) // 2]])
