"""How far masks lie over each other after some have been moved: all pairs at once, by run lengths.

A mask is its vertical runs. How many pixels of it lie before a place, in the order of columns, is
a piecewise linear function of the place, so what a run of one mask has in common with another one
is a difference of two of its values: two binary searches, for the runs of all pairs together. No
bitmap is made, and moving a mask is an addition.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .runs import filled_runs


@dataclass(frozen=True)
class RunBatch:
    """Masks of one picture as vertical runs, N masks and R runs.

    Attributes:
        columns: int64 (R,).
        tops, bottoms: int64 (R,), rows of the first pixel and after the last.
        starts: int64 (N + 1,), where the runs of each mask begin.
        size: (height, width) of the picture.
    """
    columns: np.ndarray
    tops: np.ndarray
    bottoms: np.ndarray
    starts: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, masks: Sequence[dict], size: tuple[int, int]) -> 'RunBatch':
        """Run lengths of COCO, each over the picture.

        Args:
            masks: N run lengths.
            size: (height, width) of the picture.
        """
        height = int(size[0])
        parts, lengths = [], []
        for rle in masks:
            begin, end = filled_runs(rle)
            parts.append((begin, end))
            lengths.append(len(begin))
        if not parts:
            empty = np.zeros(0, np.int64)
            return cls(empty, empty, empty, np.zeros(1, np.int64), tuple(size))
        begin, end = (np.concatenate(side) for side in zip(*parts))
        # a run over several columns is one in each of them
        first, last = begin // height, (end - 1) // height
        columns = last - first + 1
        owner = np.repeat(np.arange(len(begin)), columns)
        column = np.arange(len(owner)) - np.repeat(np.cumsum(columns) - columns, columns) \
            + first[owner]
        tops = np.where(column == first[owner], begin[owner] - column * height, 0)
        bottoms = np.where(column == last[owner], end[owner] - column * height, height)
        ends = np.r_[0, np.cumsum(columns)]
        return cls(column, tops, bottoms, ends[np.r_[0, np.cumsum(lengths)]], tuple(size))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, chosen: np.ndarray) -> 'RunBatch':
        """Some of the masks, by their places."""
        chosen = np.asarray(chosen, np.int64)
        lengths = np.diff(self.starts)[chosen]
        runs = places(self.starts[chosen], lengths)
        return RunBatch(self.columns[runs], self.tops[runs], self.bottoms[runs],
                        np.r_[0, np.cumsum(lengths)], self.size)

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 (N,)."""
        total = np.r_[0, np.cumsum(self.bottoms - self.tops)]
        return total[self.starts[1:]] - total[self.starts[:-1]]

    @property
    def centers(self) -> np.ndarray:
        """Center of mass of each mask (x, y), float64 (N, 2); the first pixel's is 0.5."""
        lengths = self.bottoms - self.tops
        sums = np.stack([(self.columns + 0.5) * lengths,
                         (self.tops + self.bottoms) / 2 * lengths])
        total = np.concatenate([np.zeros((2, 1)), np.cumsum(sums, axis=1)], axis=1)
        return ((total[:, self.starts[1:]] - total[:, self.starts[:-1]])
                / np.maximum(1, self.areas)).T

    @property
    def bounds(self) -> np.ndarray:
        """x1, y1, x2, y2 around each mask, int64 (N, 4); zeros of an empty one."""
        found = np.zeros((len(self), 4), np.int64)
        some = np.flatnonzero(np.diff(self.starts))
        at = self.starts[some]
        if len(some):
            found[some, 0], found[some, 2] = self.columns[at], self.columns[
                self.starts[some + 1] - 1] + 1
            found[some, 1] = np.minimum.reduceat(self.tops, at)
            found[some, 3] = np.maximum.reduceat(self.bottoms, at)
        return found

    @staticmethod
    def joined(batches: Sequence['RunBatch']) -> 'RunBatch':
        """Masks of several batches, of one size, one after the other."""
        offsets = np.cumsum([0, *(len(one.columns) for one in batches)])
        starts = [one.starts[:-1] + offset for one, offset in zip(batches, offsets)]
        return RunBatch(*(np.concatenate([getattr(one, name) for one in batches])
                          for name in ('columns', 'tops', 'bottoms')),
                        np.concatenate([*starts, offsets[-1:]]), batches[0].size)

    def moved(self, shifts: np.ndarray) -> 'RunBatch':
        """Masks that are moved, without what leaves the picture.

        Args:
            shifts: int64 (N, 2), x and y in pixels.
        """
        height, width = self.size
        owner = np.repeat(np.arange(len(self)), np.diff(self.starts))
        columns = self.columns + shifts[owner, 0]
        tops = np.clip(self.tops + shifts[owner, 1], 0, height)
        bottoms = np.clip(self.bottoms + shifts[owner, 1], 0, height)
        inside = (columns >= 0) & (columns < width) & (bottoms > tops)
        lengths = np.bincount(owner[inside], minlength=len(self))
        return RunBatch(columns[inside], tops[inside], bottoms[inside],
                        np.r_[0, np.cumsum(lengths)], self.size)


def intersections(ours: RunBatch, theirs: RunBatch, pairs: np.ndarray) -> np.ndarray:
    """Pixels that masks have in common.

    Args:
        ours: N masks.
        theirs: M masks of the same size.
        pairs: int64 (P, 2), places in both.

    Returns:
        int64 (P,).
    """
    if not len(pairs):
        return np.zeros(0, np.int64)
    height, width = ours.size
    lengths = np.diff(ours.starts)[pairs[:, 0]]
    runs = places(ours.starts[pairs[:, 0]], lengths)
    # masks stand one behind the other on one line
    line = height * width
    other = np.repeat(pairs[:, 1], lengths) * line
    owner = np.repeat(np.arange(len(theirs)), np.diff(theirs.starts))
    begin = owner * line + theirs.columns * height + theirs.tops
    size = theirs.bottoms - theirs.tops
    before = np.r_[0, np.cumsum(size)]
    begin_at = other + ours.columns[runs] * height + ours.tops[runs]
    end_at = begin_at + ours.bottoms[runs] - ours.tops[runs]

    def filled(at):
        """Pixels of all masks before a place."""
        last = np.searchsorted(begin, at, side='right') - 1
        known = np.maximum(last, 0)
        inside = np.minimum(size[known], at - begin[known]) if len(begin) else 0
        return np.where(last >= 0, before[known] + inside, 0)

    if not len(begin):
        return np.zeros(len(pairs), np.int64)
    common = np.r_[0, np.cumsum(filled(end_at) - filled(begin_at))]
    ends = np.cumsum(lengths)
    return common[ends] - common[ends - lengths]


def places(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[i], starts[i] + 1, ...`` of each length, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
