"""How far figures would move with other images: intervals from resampling the images.

A resample counts every image as often as it was drawn. Which detection finds what does not depend
on that, so each resample is a weighting of the same finds: a few passes over flat arrays.
"""
from dataclasses import dataclass

import numpy as np

from .matching import Matches
from .table import Table

#: Of an interval: nineteen of twenty resamples lie in it.
LEVEL = 0.95


@dataclass
class Resamples:
    """AP of resampled data sets.

    Attributes:
        ap: (B,) mean over classes and thresholds.
        ap50, ap75: (B,) at one threshold.
        by_class: (B, K) mean over thresholds; NaN where a resample has no object of the class.
    """
    ap: np.ndarray
    ap50: np.ndarray
    ap75: np.ndarray
    by_class: np.ndarray


def draw(images: int, count: int, seed: int = 0) -> np.ndarray:
    """(count, images) int16: how often every image is drawn, with replacement.

    The same numbers for the same arguments, so that two models are compared on the same resamples.

    Args:
        images: Of the data.
        count: Resamples.
        seed: Of the lot.
    """
    rng = np.random.default_rng(seed)
    return np.stack([np.bincount(rng.integers(images, size=images), minlength=images)
                     .astype(np.int16) for _ in range(count)])


def interval(values: np.ndarray, figure: float | None = None, least: float = 0.
             ) -> tuple[float, float] | None:
    """The interval in which 95 of 100 resampled values lie; None without any.

    Args:
        values: (B,) Of the resamples; those that are not finite are left out.
        figure: That of the data set itself. The values are moved until their mean is there: AP of
            few objects is a little higher in resamples, which hold some images twice.
        least: That there can be; the most is 1.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    moved = 0.0 if figure is None else figure - values.mean()
    return tuple(float(min(1., max(least, value + moved))) for value in (low, high))


def resample(table: Table, matches: Matches, weights: np.ndarray) -> Resamples:
    """AP of each resample, over all sizes of objects.

    Args:
        table: Of which the detections are.
        matches: Of all areas, at COCO's thresholds.
        weights: (B, images) of :func:`draw`.
    """
    events = _Events(table, matches)
    ap = np.stack([events.ap(row.astype(float)) for row in weights])  # (B, K, T)
    by_class = ap.mean(2)
    at = [int(np.argmin(abs(matches.thresholds - iou))) for iou in (0.5, 0.75)]
    with np.errstate(invalid='ignore'):
        means = [_mean(values) for values in (by_class, ap[..., at[0]], ap[..., at[1]])]
    return Resamples(*means, by_class)


def _mean(values):
    """Mean over the classes that are there; 0 of none."""
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(1) / np.maximum(there.sum(1), 1)


class _Events:
    """Finds, and what is ignored, in the order of class, threshold and falling score."""

    def __init__(self, table: Table, matches: Matches):
        found, truth = table.detections, table.truth
        self.shape = len(table.classes), len(matches.thresholds)
        order = np.lexsort((-found.score, found.label))
        place = np.empty(len(order), int)
        place[order] = np.arange(len(order))
        self.image = found.image[order]  # of every detection, in that order
        self.first = np.searchsorted(found.label[order], np.arange(len(table.classes)))
        a = matches.areas.index('all')
        m, t = np.nonzero(matches.truth[:, :, a] >= 0)
        segment = found.label[matches.detection[m]] * self.shape[1] + t
        position = place[matches.detection[m]]
        order = np.lexsort((position, segment))
        self.segment, self.position = segment[order], position[order]
        self.right = ~matches.ignored[m, t, a][order]
        counted = ~truth.crowd
        self.truth_image, self.truth_label = truth.image[counted], truth.label[counted]
        self.begin = np.searchsorted(self.segment, np.arange(np.prod(self.shape)))
        self.owner = self.segment // self.shape[1]  # class of every event

    def ap(self, weight: np.ndarray) -> np.ndarray:
        """(K, T) AP with every image counted as often as ``weight`` (images,) says."""
        positives = np.bincount(self.truth_label, weight[self.truth_image], self.shape[0])
        result = np.zeros(self.shape)
        result[positives == 0] = np.nan
        if not len(self.segment):
            return result
        seen = np.concatenate([[0], np.cumsum(weight[self.image])])
        own = weight[self.image[self.position]]
        true = self._sums(own * self.right)
        count = seen[self.position + 1] - seen[self.first][self.owner] - self._sums(
            own * ~self.right)
        kept = self.right & (positives[self.owner] > 0)
        true, count, segment = true[kept], count[kept], self.segment[kept]
        if not len(segment):
            return result
        precision = np.divide(true, count, out=np.zeros_like(true), where=count > 0)
        # the highest precision from here on, within the segment: later segments lie lower
        raised = precision - 2.0 * segment
        precision = np.maximum.accumulate(raised[::-1])[::-1] + 2.0 * segment
        reached = np.floor(100 * true / positives[segment // self.shape[1]] + 1e-9) + 1
        before = np.concatenate([[0], reached[:-1]])
        before[np.concatenate([[True], segment[1:] != segment[:-1]])] = 0
        sums = np.bincount(segment, precision * (reached - before), result.size) / 101
        result += sums.reshape(self.shape)
        return result

    def _sums(self, values):
        """Running sums that begin anew with every segment."""
        total = np.cumsum(values)
        before = np.concatenate([[0], total])[self.begin]
        return total - before[self.segment]
