"""Identities of objects from frame to frame, by how their masks lie over each other."""
import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from ..masks.moved import RunBatch
from .appearance import histograms
from .association import Candidates, assigned, displacement
from .motion import Motion
from .result import Result
from .thresholds import at_labels

#: Least similarity of a mask and a track: with a high score, with a low one, after a time apart.
_HIGH, _LOW, _AGAIN = 0.15, 0.3, 0.3
#: Share of an object that must be seen for its shape to be taken as the new one, and frames after
#: which it is taken anyway.
_WHOLE, _PATIENCE = 0.85, 20
#: What a shape may lose in a frame by getting smaller itself.
_SHRINKS = 0.995
#: IoU with an object of the same frame from which on a mask is that object once more.
_TWICE = 0.7
#: Frames that an object may be missing before it is known to be one.
_GAP = 1


@dataclass(frozen=True)
class Tracking:
    """How objects are tracked.

    Attributes:
        low: Lowest score of what may go on with a track; what begins one has at least the
            threshold of its class.
        lost: Frames that the track of an object that is not seen is kept.
        confirm: Frames in which an object must be seen, nearly one after the other, to be one.
        appearance: Colors count, too.
    """
    low: float = 0.1
    lost: int = 30
    confirm: int = 2
    appearance: bool = False

    def __post_init__(self):
        for name, low, high in (('low', 0, 1), ('lost', 0, math.inf), ('confirm', 1, 30)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f'track_{name}: {getattr(self, name)} is not between {low} and '
                                f'{high}')

    @property
    def delay(self) -> int:
        """Frames that a result is held back: until it is known what is an object in it."""
        return 0 if self.confirm == 1 else self.confirm - 1 + _GAP


@dataclass
class Track:
    """One identity.

    Attributes:
        hits: Frames that it was seen in.
        seen: Number of the last of these.
        label: Class of the last of these.
        area: Pixels of its whole shape.
        hidden: Frames since its shape was seen whole.
        number: Its identity, 0 until somebody asks for it.
        confirmed: Whether it was seen often enough to be an object.
        colors: Histogram of its colors.
    """
    hits: int
    seen: int
    label: int
    area: float
    hidden: int = 0
    number: int = 0
    confirmed: bool = False
    colors: np.ndarray | None = None


class Tracker:
    """Identities in one film.

    Every track has the shape in which its object was last seen whole, moved to where it is
    expected. Masks of high scores are given to tracks by the IoU with that, so that all together is
    largest; those of low scores to tracks that are left and were seen just before, as ByteTrack
    does; and masks that are still left to tracks that were lost, by place, size and shape. A mask
    that is a part of the expected one is taken for an object that something hides: its place is
    measured by the side that is seen.

    Args:
        settings: How.
        thresholds: Lowest score, of each label, of what begins a track.
        rate: Frames a second, where times count.
    """

    def __init__(self, settings: Tracking, thresholds: np.ndarray, rate: float = 25.0):
        self.settings, self.thresholds, self.rate = settings, np.asarray(thresholds), rate
        self.tracks: list[Track] = []
        self.motion = Motion()
        self.shapes: RunBatch | None = None
        self.anchors = np.zeros((0, 2))
        self.frame, self.time, self.last_number = 0, None, 0

    def update(self, result: Result) -> list[Track | None]:
        """The track of each object of the next frame, None where it has none."""
        self.frame += 1
        self._predict(result.time)
        found = _Found.of(result, self.settings.appearance)
        if self.shapes is None or self.shapes.size != tuple(result.size):
            self.tracks, self.motion = [], Motion()
            self.shapes, self.anchors = found.masks[[]], np.zeros((0, 2))
        high = result.scores >= at_labels(self.thresholds, result.labels)
        owner = np.full(len(result), -1)
        if self.tracks and len(result):
            self._associate(found, high, owner)
        given = [None if place < 0 else self.tracks[place] for place in owner.tolist()]
        self._correct(found, owner)
        fresh = self._fresh(found, high, owner)
        self._begin(found, fresh, given)
        self._forget()
        return given

    def _predict(self, time):
        step = 1.0
        if time is not None and self.time is not None:
            step = min(10.0, max(0.1, (time - self.time) * self.rate))
        self.time = time
        self.motion.predict(step)

    def _associate(self, found, high, owner):
        shifts = np.round(self.motion.mean[:, :2] - self.anchors).astype(np.int64)
        recent = np.array([self.frame - track.seen <= 1 for track in self.tracks])
        every = Candidates(
            self.shapes, shifts, found.masks, np.array([track.label for track in self.tracks]),
            found.labels, self.motion, recent, None if not self.settings.appearance else
            np.stack([track.colors for track in self.tracks]), found.colors)
        left = np.ones(len(self.tracks), bool)

        def give(similarity, rows, columns, least):
            for row, column in assigned(similarity, least):
                owner[columns[column]] = rows[row]
                left[rows[row]] = False

        known = np.array([track.confirmed for track in self.tracks])
        rows, columns = np.flatnonzero(known), np.flatnonzero(high)
        give(every.overlaps[np.ix_(rows, columns)], rows, columns, _HIGH)
        rows, columns = np.flatnonzero(known & left & recent), np.flatnonzero(~high)
        give(every.overlaps[np.ix_(rows, columns)], rows, columns, _LOW)
        rows, columns = np.flatnonzero(known & left), np.flatnonzero(high & (owner < 0))
        if len(rows) and len(columns):
            give(every.again(rows, columns), rows, columns, _AGAIN)
        rows, columns = np.flatnonzero(~known), np.flatnonzero(high & (owner < 0))
        give(every.overlaps[np.ix_(rows, columns)], rows, columns, _HIGH)
        self.expected = every.expected

    def _correct(self, found, owner):
        """Places, shapes and counts of the tracks that were found."""
        columns = np.flatnonzero(owner >= 0)
        for track in self.tracks:
            track.hidden += 1
        if not len(columns):
            return
        rows = owner[columns]
        expected, masks = self.expected[rows], found.masks[columns]
        # of what of it can be in the picture
        most = np.array([self.tracks[row].area for row in rows]) * expected.areas / np.maximum(
            1, self.shapes[rows].areas)
        seen = masks.areas / np.maximum(1, most)
        shifts = np.round(self.motion.mean[rows, :2] - self.anchors[rows])
        places = self.anchors[rows] + shifts + displacement(expected, masks, seen, _WHOLE)
        # what was not where it was expected is measured by itself
        apart = np.array([self.frame - self.tracks[row].seen > 1 for row in rows])
        self.motion.update(rows, places, np.where(apart, 0, 1 - seen))
        whole = []
        for row, column, share in zip(rows.tolist(), columns.tolist(), seen.tolist()):
            track = self.tracks[row]
            track.hits, track.seen = track.hits + 1, self.frame
            track.label = int(found.labels[column])
            if track.colors is not None and share > _WHOLE:
                track.colors = 0.9 * track.colors + 0.1 * found.colors[column]
            if share > _WHOLE or track.hidden > _PATIENCE:
                area = float(found.masks.areas[column])
                track.area = area if share <= _WHOLE else max(area, _SHRINKS * track.area)
                track.hidden = 0
                whole.append((row, column))
        if whole:
            self._reshape(found, whole)

    def _reshape(self, found, whole):
        rows, columns = np.array(whole).T
        both = RunBatch.joined([self.shapes, found.masks])
        chosen = np.arange(len(self.tracks))
        chosen[rows] = len(self.tracks) + columns
        self.shapes = both[chosen]
        self.anchors[rows] = self.motion.mean[rows, :2]
        self.motion.side[rows] = np.sqrt(np.maximum(1, found.masks.areas[columns]))

    def _fresh(self, found, high, owner):
        """Places of the masks that begin a track: sure ones that are not there already."""
        fresh = np.flatnonzero(high & (owner < 0) & (found.masks.areas > 0))
        known = np.flatnonzero(owner >= 0)
        if len(fresh) and len(known):
            twice = Candidates.iou(found.masks[fresh], found.masks[known])
            twice *= found.labels[fresh][:, None] == found.labels[known]
            fresh = fresh[twice.max(axis=1) < _TWICE]
        if len(fresh) > 1:
            # the surest one first
            twice = np.tril(Candidates.iou(found.masks[fresh], found.masks[fresh]), -1)
            twice *= found.labels[fresh][:, None] == found.labels[fresh]
            fresh = fresh[twice.max(axis=1) < _TWICE]
        return fresh

    def _begin(self, found, fresh, given):
        areas = found.masks.areas
        for place in fresh.tolist():
            track = Track(1, self.frame, int(found.labels[place]), float(areas[place]),
                          colors=None if found.colors is None else found.colors[place])
            self._confirm(track)
            self.tracks.append(track)
            given[place] = track
        if len(fresh):
            masks = found.masks[fresh]
            self.shapes = RunBatch.joined([self.shapes, masks])
            self.anchors = np.concatenate([self.anchors, masks.centers])
            self.motion.add(masks.centers, np.sqrt(np.maximum(1, masks.areas)))

    def _confirm(self, track):
        track.confirmed = track.confirmed or track.hits >= self.settings.confirm

    def _forget(self):
        kept = []
        for row, track in enumerate(self.tracks):
            self._confirm(track)
            away = self.frame - track.seen
            if away <= (self.settings.lost if track.confirmed else _GAP):
                kept.append(row)
        if len(kept) < len(self.tracks):
            self.tracks = [self.tracks[row] for row in kept]
            self.motion.keep(kept)
            self.shapes, self.anchors = self.shapes[kept], self.anchors[kept]

    def number(self, track: Track) -> int:
        """The identity of a track, 1, 2, ... in the order in which they are asked for."""
        if not track.number:
            self.last_number += 1
            track.number = self.last_number
        return track.number


@dataclass(frozen=True)
class _Found:
    """The objects of one frame."""
    masks: RunBatch
    labels: np.ndarray
    scores: np.ndarray
    colors: np.ndarray | None

    @classmethod
    def of(cls, result, appearance):
        return cls(RunBatch.of(result.masks, result.size), result.labels, result.scores,
                   histograms(result) if appearance else None)


def tracked(results: Iterable[Result], settings: Tracking, thresholds: np.ndarray,
            rate_of: Callable[[str], float] | None = None) -> Iterator[Result]:
    """Results with identities, and without what is no object of several frames.

    A result is held back for :attr:`Tracking.delay` frames, so that an object has its identity
    from its first frame on. Identities begin anew with every film.

    Args:
        results: Frames in their order.
        settings: How.
        thresholds: Of each label, see :class:`Tracker`.
        rate_of: Gives frames a second of a film by its name.
    """
    held: deque[tuple[Result, list, Tracker]] = deque()
    tracker, film = None, None
    for result in results:
        if tracker is None or result.film != film:
            while held:
                yield _named(*held.popleft())
            film = result.film
            tracker = Tracker(settings, thresholds, rate_of(film) if rate_of else 25.0)
        held.append((result, tracker.update(result) if result.error is None else [], tracker))
        if len(held) > settings.delay:
            yield _named(*held.popleft())
    while held:
        yield _named(*held.popleft())


def _named(result: Result, tracks: list[Track | None], tracker: Tracker) -> Result:
    kept = [i for i, track in enumerate(tracks) if track is not None and track.confirmed]
    numbers = np.array([tracker.number(tracks[i]) for i in kept], np.int64)
    return dataclasses.replace(result[kept], track_ids=numbers)
