"""Which object of a frame is which track: similarities, and the best of all assignments."""
from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..masks.moved import RunBatch, intersections
from .motion import Motion
from .overlaps import box_pairs

#: What a mask that is a part of the expected one is worth, in shares of one that equals it.
_PART = 0.6
#: IoU from which on two classes may be one object, and what such a pair is worth.
_OTHER_CLASS, _WORTH = 0.5, 0.8
#: What it costs to be elsewhere than expected, in shares of a mask for its side's length.
_FAR = 0.5
#: Share of an object from which on it is seen whole.
_WHOLE = 0.85
#: Standard deviations of the place, and shares of the side, within which a lost object is sought.
_SIGMAS, _SIDES = 2.0, 0.5


class Candidates:
    """Tracks and objects of a frame, compared.

    Args:
        shapes: T masks of tracks.
        shifts: int64 (T, 2), how far each has moved since.
        masks: N masks of the frame.
        classes: Labels of the tracks.
        labels: Of the masks.
        motion: Places of the tracks.
        recent: bool (T,), whether each was seen in the frame before.
        looks: Histograms of the tracks, where colors count.
        colors: Of the masks.

    Attributes:
        expected: The shapes where they are expected.
        overlaps: float64 (T, N), 0 to 1.
    """

    def __init__(self, shapes: RunBatch, shifts: np.ndarray, masks: RunBatch, classes: np.ndarray,
                 labels: np.ndarray, motion: Motion, recent: np.ndarray,
                 looks: np.ndarray | None = None, colors: np.ndarray | None = None):
        self.shapes, self.shifts, self.masks, self.motion = shapes, shifts, masks, motion
        self.expected, self.recent = shapes.moved(shifts), recent
        self.same = classes[:, None] == labels
        self.looks = None if looks is None else np.clip(looks @ colors.T, 0, 1)
        self.overlaps = self._overlaps()

    def _overlaps(self):
        common, ours, theirs = overlap_table(self.expected, self.masks)
        iou = common / np.maximum(1, ours[:, None] + theirs - common)
        # something hides a part of it
        part = np.where(theirs < ours[:, None], _PART * common / np.maximum(1, theirs), 0)
        # hardly anything of it is not worth as much
        part *= np.minimum(1, 3 * theirs / np.maximum(1, ours[:, None]))
        value = np.maximum(iou, part)
        value = np.where(self.same, value, np.where(iou >= _OTHER_CLASS, _WORTH * iou, 0))
        if self.looks is None:
            return value
        # what was not seen for a time may be another one
        return value * np.where(self.recent[:, None], 0.4 + 0.6 * self.looks, self.looks)

    def again(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Similarities of lost tracks and masks that nobody took: by place, size and shape.

        Args:
            rows: Tracks.
            columns: Masks.

        Returns:
            float64 (rows, columns), 0 to 1.
        """
        shapes, masks = self.expected[rows], self.masks[columns]
        reach = _SIGMAS * self.motion.spread[rows] + _SIDES * self.motion.side[rows]
        apart = np.abs(shapes.centers[:, None] - masks.centers).max(axis=2)
        # a part's center is elsewhere than the whole one's
        close = apart < (reach + self.motion.side[rows])[:, None]
        pairs = np.argwhere(close & self.same[np.ix_(rows, columns)]
                            & (shapes.areas > 0)[:, None])
        value = np.zeros((len(rows), len(columns)))
        if not len(pairs):
            return value
        first, second = shapes[pairs[:, 0]], masks[pairs[:, 1]]
        share = second.areas / np.maximum(1, first.areas)
        ways = displacement(first, second, share, _WHOLE)
        there = first.moved(np.round(ways).astype(np.int64))
        common = intersections(there, second, np.repeat(np.arange(len(pairs))[:, None], 2, 1))
        near = np.exp(-(np.linalg.norm(ways, axis=1) / reach[pairs[:, 0]]) ** 2)
        iou = common / np.maximum(1, first.areas + second.areas - common)
        part = _PART * common / np.maximum(1, second.areas) * np.minimum(1, 3 * share)
        like = np.where(share < 1, np.maximum(iou, part), iou)
        if self.looks is not None:
            # whose colors are known may come from farther away
            near = near ** 0.3
            like = like * self.looks[rows[pairs[:, 0]], columns[pairs[:, 1]]] ** 2
        value[pairs[:, 0], pairs[:, 1]] = like * near
        return value

    @staticmethod
    def iou(ours: RunBatch, theirs: RunBatch) -> np.ndarray:
        """IoU of every pair, float64 (N, M)."""
        common, areas, others = overlap_table(ours, theirs)
        return common / np.maximum(1, areas[:, None] + others - common)


def displacement(expected: RunBatch, seen: RunBatch, shares: np.ndarray,
                 whole: float) -> np.ndarray:
    """By how much objects are elsewhere than expected.

    Of an object that is seen whole by its center of mass. Of another one so that what is seen lies
    within what is expected, moved so that bounds meet on one side or the other.

    Args:
        expected: N shapes.
        seen: N masks.
        shares: (N,), of each object what is seen of it.
        whole: Share from which on it is seen whole.

    Returns:
        float64 (N, 2), x and y.
    """
    moved = seen.centers - expected.centers
    rows = np.flatnonzero(((shares < whole) | (shares > 1 / whole)) & (expected.areas > 0))
    if not len(rows):
        return moved
    shapes, masks = expected[rows], seen[rows]
    low, high = (masks.bounds[:, side] - shapes.bounds[:, side] for side in ((0, 1), (2, 3)))
    # in both directions: not at all, by either side, by the middle
    steps = np.stack([np.zeros_like(low), low, high, (low + high) // 2], axis=1)
    choice = np.stack(np.meshgrid(range(4), range(4), indexing='ij'), -1).reshape(-1, 2)
    ways = np.stack([steps[:, choice[:, 0], 0], steps[:, choice[:, 1], 1]], axis=-1)
    many = np.repeat(np.arange(len(rows)), len(choice))
    there = shapes[many].moved(ways.reshape(-1, 2))
    pairs = np.stack([np.arange(len(many)), many], axis=1)
    common = intersections(there, masks, pairs).reshape(len(rows), -1)
    inside = common / np.maximum(1, np.minimum(masks.areas, shapes.areas))[:, None]
    far = np.abs(ways).sum(axis=2) / np.sqrt(shapes.areas)[:, None]
    best = (inside - _FAR * far).argmax(axis=1)
    moved[rows] = ways[np.arange(len(rows)), best]
    return moved


def overlap_table(ours: RunBatch, theirs: RunBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels that N masks and M masks have in common, (N, M), and the pixels of each."""
    common = np.zeros((len(ours), len(theirs)), np.int64)
    for pairs in box_pairs(ours.bounds.astype(float), theirs.bounds.astype(float)):
        common[pairs[:, 0], pairs[:, 1]] = intersections(ours, theirs, pairs)
    return common, ours.areas, theirs.areas


def assigned(similarity: np.ndarray, least: float) -> Iterator[tuple[int, int]]:
    """Pairs (row, column) that are most similar all together, none below ``least``."""
    if not similarity.size:
        return
    usable = np.where(similarity >= least, similarity, 0)
    for row, column in zip(*(side.tolist() for side in linear_sum_assignment(-usable))):
        if usable[row, column] > 0:
            yield row, column
