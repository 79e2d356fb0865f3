"""What is asked of a prediction."""
import math
import os
from dataclasses import dataclass, fields
from numbers import Integral, Real

import numpy as np

from ..errors import UserError
from .thresholds import Thresholds, read_thresholds
from .tracking import Tracking

#: Settings that count something.
_WHOLE = 'batch', 'workers', 'min_area', 'fill_holes', 'level', 'every'
#: Those that None turns off.
_FREE = 'mask_nms',


@dataclass(frozen=True)
class Settings:
    """How pictures become results. Everything after ``workers`` is off by default.

    Attributes:
        score_thr: Lowest score that is kept.
        thresholds: Scores by class in its place: :class:`.thresholds.Thresholds`, or the file of
            them.
        batch: Pictures of one size that go through the network together.
        workers: Threads that read and finish pictures beside the network.
        min_area: Objects, and parts of objects, with fewer pixels are left out.
        fill_holes: Holes with at most so many pixels are filled.
        smooth: Radius in pixels within which contours are smoothed.
        one_label: Each pixel belongs to the surest object alone.
        mask_nms: Of two masks of one class with a larger IoU the surer one is kept.
        tile: Side of the tiles in pixels that a large picture is cut into, or 'auto'.
        overlap: Share of a tile that it has in common with the next one.
        level: Level of a picture pyramid that is read, 0 for the largest.
        every: Of a film every so many-th frame is predicted.
        track: How the objects of a film get identities; True for the defaults.
    """
    score_thr: float = 0.3
    thresholds: Thresholds | str | os.PathLike | None = None
    batch: int = 1
    workers: int = 2
    min_area: int = 0
    fill_holes: int = 0
    smooth: float = 0
    one_label: bool = False
    mask_nms: float | None = None
    tile: int | str | None = None
    overlap: float = 0.2
    level: int = 0
    every: int = 1
    track: Tracking | bool | None = None

    def __post_init__(self):
        limits = dict(score_thr=(0, 1), batch=(1, 4096), workers=(1, 256), min_area=(0, math.inf),
                      fill_holes=(0, math.inf), smooth=(0, 1000), mask_nms=(0, 1),
                      overlap=(0, 0.9), level=(0, 99), every=(1, math.inf))
        for name in (*limits, 'tile'):
            if isinstance(value := getattr(self, name), np.generic):  # which JSON cannot hold
                object.__setattr__(self, name, value.item())
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            whole = name in _WHOLE
            if value is None and name in _FREE:
                continue
            if not (isinstance(value, Integral if whole else Real) and low <= value <= high):
                raise UserError(f'{name}: {value!r} is not {"a whole number " * whole}between '
                                f'{low} and {high}')
        if self.tile is not None and self.tile != 'auto' and not (
                isinstance(self.tile, int) and self.tile >= 32):
            raise UserError(f"tile: {self.tile!r} is neither 'auto' nor a side of 32 pixels or "
                            'more')

    @property
    def tracking(self) -> Tracking | None:
        """How objects are tracked, None where they are not."""
        return Tracking() if self.track is True else self.track or None

    def network_scores(self, classes: tuple[str, ...]) -> np.ndarray:
        """Of each label the lowest score that the network's results are kept for."""
        lowest = np.asarray(self.lowest_scores(classes))
        return lowest if not self.tracking else np.minimum(lowest, self.tracking.low)

    def lowest_scores(self, classes: tuple[str, ...]) -> object:
        """The threshold of each label, see :meth:`.thresholds.Thresholds.of`."""
        given = self.thresholds
        if given is None:
            return Thresholds(self.score_thr).of(classes)
        if isinstance(given, Thresholds):
            return given.of(classes)
        return read_thresholds(given).of(classes, os.fspath(given))

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [one.name for one in fields(cls)]
