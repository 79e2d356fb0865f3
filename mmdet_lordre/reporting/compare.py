"""Two models on the same images: which differences are real."""
from dataclasses import dataclass

import numpy as np

from .bootstrap import interval
from .measure import Measured


@dataclass
class Difference:
    """The second model's figure minus the first one's.

    Attributes:
        what: 'AP', 'AP50', 'AP75', or the name of a class.
        first, second: The figures.
        low, high: 95 % interval of the difference, from the same resamples of the images.
    """
    what: str
    first: float
    second: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves out no difference."""
        return self.low > 0 or self.high < 0


def differences(first: Measured, second: Measured) -> list[Difference]:
    """Compare two models; the overall figures come first, then the classes."""
    a, b = first.curves.summary(), second.curves.summary()
    rows = []
    for what, key, name in (('AP', 'mAP', 'ap'), ('AP50', 'mAP_50', 'ap50'),
                            ('AP75', 'mAP_75', 'ap75')):
        rows.append(_row(what, a[key], b[key],
                         getattr(second.resamples, name) - getattr(first.resamples, name)))
    pairs = zip(first.table.classes, first.curves.by_class(), second.curves.by_class())
    for k, (name, one, other) in enumerate(pairs):
        if one['AP'] >= 0:
            rows.append(_row(name, one['AP'], other['AP'],
                             second.resamples.by_class[:, k] - first.resamples.by_class[:, k]))
    return rows


def _row(what: str, first: float, second: float, values: np.ndarray) -> Difference:
    low, high = interval(values, second - first, -1.) or (np.nan, np.nan)
    return Difference(what, first, second, low, high)
