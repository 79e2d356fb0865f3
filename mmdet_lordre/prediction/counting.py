"""How many objects go over a line, or into a zone and out of it."""
import csv
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import UserError
from ..files import atomic_write
from ..masks.moved import RunBatch
from ..visualization.frames import Mark
from .result import Result

#: How far beyond a line an object must be to be on the other side, in shares of its own side: it
#: trembles while it stands there.
_MARGIN = 0.1
#: Frames after which an object that is gone is forgotten.
_FORGOTTEN = 1000


@dataclass
class _Place:
    """A line or a zone, and what was counted at it in one film."""
    points: np.ndarray
    closed: bool
    sides: dict = field(default_factory=dict)  # identity: (side, point, frame)
    into: Counter = field(default_factory=Counter)
    out: Counter = field(default_factory=Counter)
    most: int = 0

    def update(self, number, point, margin, frame):
        """'in', 'out' or None."""
        distance, before = self._distance(point), self.sides.get(number)
        if abs(distance) <= margin and not (self.closed and before is None):
            if before is not None:
                self.sides[number] = (*before[:2], frame)
            return None
        side = 1 if distance >= 0 else -1
        self.sides[number] = (side, point, frame)
        if before is None or before[0] == side:
            return None
        if not self.closed and not _crosses(before[1], point, *self.points):
            return None
        return 'in' if side > 0 else 'out'

    def _distance(self, point):
        """Pixels, more than 0 inside, or to the right of who goes from the first point on."""
        if self.closed:
            return cv2.pointPolygonTest(self.points.astype(np.float32),
                                        (float(point[0]), float(point[1])), True)
        (x1, y1), (x2, y2) = self.points
        return ((x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)) / math.hypot(
            x2 - x1, y2 - y1)

    def inside(self, frame):
        """Objects of a frame that are in the zone."""
        return sum(side > 0 and seen == frame for side, _, seen in self.sides.values())

    def forget(self, frame):
        self.sides = {number: one for number, one in self.sides.items()
                      if frame - one[2] <= _FORGOTTEN}

    def mark(self, frame):
        text = f'in {self.into.total()}  out {self.out.total()}'
        if self.closed:
            text = f'{self.inside(frame)} inside  {text}'
        return Mark(self.points.tolist(), self.closed, text)

    def summary(self):
        return dict(points=self.points.tolist(), **{'in': _totals(self.into)},
                    out=_totals(self.out), **(dict(most_at_once=self.most) if self.closed else {}))


class Counting:
    """Lines and zones of a run; ``counts.csv`` and ``counts.json``.

    The center of mass of an object counts. ``in`` is from the left to the right of who goes along a
    line, from its first point to its second, and into a zone. Who trembles on a line is counted
    once.

    Args:
        lines: x1, y1, x2, y2 of each, in pixels of the film.
        zones: x1, y1, x2, y2, x3, y3, ... of each.

    Raises:
        UserError: A line has no length, or a zone no area.
    """

    def __init__(self, lines: Sequence[Sequence[float]] = (),
                 zones: Sequence[Sequence[float]] = ()):
        self.places = [*(_points(values, 'line') for values in lines),
                       *(_points(values, 'zone') for values in zones)]
        self.lines = len(lines)
        self.films: dict[str, list[_Place]] = {}

    def asked(self) -> list:
        """What is counted, as JSON can hold it."""
        return [points.tolist() for points in self.places]

    def follow(self, results: Iterable[Result], folder: Path) -> Iterator[Result]:
        """The same results with marks, while ``counts.csv`` is written line by line.

        Args:
            results: Of frames, with identities, in their order.
            folder: Of the file.

        Raises:
            UserError: A line or a zone lies outside of the frames.
        """
        with open(folder / 'counts.csv', 'w', encoding='utf-8', newline='') as file:
            rows = csv.writer(file)
            rows.writerow(['film', 'frame', 'time_s', 'place', 'direction', 'track_id', 'class'])
            for result in results:
                for row in self._events(result):
                    rows.writerow(row)
                file.flush()
                marks = [place.mark(result.frame) for place in self.films[result.film]]
                yield dataclasses.replace(result, marks=marks)

    def _events(self, result):
        if result.film not in self.films:
            self._demand_inside(result.size)
            self.films[result.film] = [_Place(points, place >= self.lines)
                                       for place, points in enumerate(self.places)]
        masks = RunBatch.of(result.masks, result.size)
        centers, margins = masks.centers, _MARGIN * np.sqrt(masks.areas)
        for order, place in enumerate(self.films[result.film]):
            for number, point, margin, name in zip(
                    result.numbers, centers, margins.tolist(), result.names):
                way = place.update(number, tuple(point.tolist()), margin, result.frame)
                if way is not None:
                    (place.into if way == 'in' else place.out)[name] += 1
                    yield [result.film, result.frame, round(result.time, 6), self._name(order),
                           way, number, name]
            place.most = max(place.most, place.inside(result.frame))
            if result.index % 256 == 0:
                place.forget(result.frame)

    def _name(self, order):
        kind, number = ('line', order) if order < self.lines else ('zone', order - self.lines)
        return f'{kind} {number + 1}'

    def _demand_inside(self, size):
        height, width = size
        for order, points in enumerate(self.places):
            low, high = points.min(axis=0), points.max(axis=0)
            if (high < 0).any() or low[0] > width or low[1] > height:
                raise UserError(f'{self._name(order)} to count at lies outside of the frames, '
                                f'which have {width}x{height} pixels')

    def write(self, folder: Path) -> None:
        """Write ``counts.json``: for each film what was counted at each line and zone, by class."""
        content = {film: dict(
            lines=[place.summary() for place in places[:self.lines]],
            zones=[place.summary() for place in places[self.lines:]])
            for film, places in self.films.items()}
        with atomic_write(folder / 'counts.json') as name:
            Path(name).write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def _points(values, kind):
    values = [float(value) for value in values]
    if len(values) % 2 or not all(map(math.isfinite, values)) or (
            len(values) != 4 if kind == 'line' else len(values) < 6):
        wanted = 'x1,y1,x2,y2' if kind == 'line' else 'x1,y1,x2,y2,x3,y3 or more corners'
        raise UserError(f'a {kind} to count at is {wanted}, in pixels, not '
                        f'{",".join(f"{value:g}" for value in values)}')
    points = np.array(values).reshape(-1, 2)
    flat = np.ptp(points, axis=0).max() == 0 if kind == 'line' else \
        cv2.contourArea(points.astype(np.float32)) < 1
    if flat:
        raise UserError(f'a {kind} to count at has no {"length" if kind == "line" else "area"}: '
                        f'{",".join(f"{value:g}" for value in values)}')
    return points


def _totals(counts):
    return dict(total=counts.total(), **{'classes': dict(sorted(counts.items()))})


def _crosses(start, end, first, second):
    """Whether a way from a point to another one goes over a line of two points."""
    def turn(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return turn(start, end, first) * turn(start, end, second) <= 0 \
        and turn(first, second, start) * turn(first, second, end) <= 0
