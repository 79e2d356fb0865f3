"""Average precision by COCO's rules, equal to pycocotools' to the last digit."""
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from ..evaluation.coco_backend import mean_of_valid, summarize
from .matching import Matches
from .table import AREAS, MAX_DETS, Table

#: Recalls at which precision is read.
RECALLS = np.linspace(.0, 1.00, int(np.round((1.00 - .0) / .01)) + 1, endpoint=True)


@dataclass
class Curves:
    """Precision and recall.

    Attributes:
        precision: (T, 101, K, A); -1 where a class has no object.
        recall: (T, K, A, 3) for the numbers of ``max_dets``; -1 likewise.
        thresholds: (T,) of IoU.
        areas: Names of the A ranges.
        max_dets: Detections of a class in an image.
    """
    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray
    areas: tuple[str, ...]
    max_dets: tuple[int, int, int] = MAX_DETS

    def summary(self) -> dict[str, float]:
        """COCO's twelve figures by name, as :func:`summarize` gives them."""
        precision = np.stack([np.full_like(self.precision, -1)] * 2 + [self.precision], -1)
        return summarize(SimpleNamespace(
            params=SimpleNamespace(iouThrs=self.thresholds, maxDets=list(self.max_dets)),
            eval=dict(precision=precision, recall=self.recall)))

    def by_class(self) -> list[dict[str, float]]:
        """AP, AP50, AP75 and those of the sizes, for every class; -1 without any object."""
        rows = []
        for k in range(self.precision.shape[2]):
            one = self.precision[:, :, k]
            row = dict(AP=mean_of_valid(one[..., 0]))
            for iou in (0.5, 0.75):
                row[f'AP{100 * iou:.0f}'] = mean_of_valid(
                    one[np.isclose(self.thresholds, iou)][..., 0])
            for a, name in enumerate(self.areas[1:], 1):
                row[f'AP_{name}'] = mean_of_valid(one[..., a])
            row['AR'] = mean_of_valid(self.recall[:, k, 0, -1])
            rows.append(row)
        return rows

    def by_threshold(self) -> list[tuple[float, float]]:
        """(IoU, AP) of every threshold."""
        return [(round(float(t), 2), mean_of_valid(self.precision[i, ..., 0]))
                for i, t in enumerate(self.thresholds)]


def curves(table: Table, matches: Matches) -> Curves:
    """Precision and recall of every class, threshold and size.

    Args:
        table: Of which the detections are.
        matches: Of :func:`~mmdet_lordre.reporting.matching.match`.
    """
    found, truth = table.detections, table.truth
    count, t_count, areas = len(table.classes), len(matches.thresholds), matches.areas
    result = Curves(np.full((t_count, len(RECALLS), count, len(areas)), -1.0),
                    np.full((t_count, count, len(areas), 3), -1.0),
                    matches.thresholds, areas, table.max_dets)
    outside = np.stack([(found.area < AREAS[a][0]) | (found.area > AREAS[a][1])
                        for a in areas], 1)
    positives = np.stack([
        np.bincount(truth.label[~truth.crowd & (truth.area >= AREAS[a][0])
                                & (truth.area <= AREAS[a][1])], minlength=count)
        for a in areas], 1)
    row_of = np.full(len(found), -1)
    row_of[matches.detection] = np.arange(len(matches.detection))
    by_label = np.argsort(found.label, kind='stable')
    starts = np.searchsorted(found.label[by_label], np.arange(count + 1))
    for k in range(count):
        chosen = by_label[starts[k]:starts[k + 1]]
        chosen = chosen[np.argsort(-found.score[chosen], kind='stable')]
        _of_class(result, k, matches, row_of[chosen], outside[chosen], found.rank[chosen],
                  positives[k])
    return result


def _of_class(result, k, matches, rows, outside, rank, positives):
    hit = np.flatnonzero(rows >= 0)
    # what counts before each place: nothing is left out but what is outside, and what matching
    # says of those that found something
    for a in np.flatnonzero(positives).tolist():
        counting = np.cumsum(~outside[:, a])
        found = matches.truth[rows[hit], :, a] >= 0  # (H, T)
        ignored = matches.ignored[rows[hit], :, a]
        # a find counts whatever the area of the detection; without one its area decides
        change = np.where(found, ~ignored, ~outside[hit, a, None]).astype(np.int64) \
            - (~outside[hit, a, None]).astype(np.int64)
        before = counting[hit, None] + np.cumsum(change, axis=0)  # that count, up to each
        right = found & ~ignored
        for m, most in enumerate(result.max_dets):
            result.recall[:, k, a, m] = (right & (rank[hit, None] < most)).sum(0) / positives[a]
        for t in range(len(result.thresholds)):
            place = np.flatnonzero(right[:, t])
            true = np.arange(1, len(place) + 1, dtype=float)
            false = before[place, t] - true
            precision = true / (false + true + np.spacing(1))
            precision = np.maximum.accumulate(precision[::-1])[::-1]
            at = np.searchsorted(true / positives[a], RECALLS, side='left')
            values = np.zeros(len(RECALLS))
            reached = at < len(place)
            values[reached] = precision[at[reached]]
            result.precision[t, :, k, a] = values
