"""From values to places of a drawing, with round numbers beside the axis."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """A scale; called with a value it gives the place, kept within the axis.

    Attributes:
        low, high: Values at its ends.
        start, end: Places of the ends.
        ticks: Values and texts beside it.
        log: Whether it is logarithmic.
    """
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def axis(values: Sequence[np.ndarray], limits: tuple[float, float] | None, start: float,
         end: float, log: bool = False) -> Axis:
    """An axis for values, of which at least one is finite.

    Args:
        values: Arrays of any lengths.
        limits: Its ends; by default those of the values, at round numbers.
        start, end: Places of its ends.
        log: Whether it is logarithmic; ``values`` above 0 count then.
    """
    if limits is None:
        found = np.concatenate([v[np.isfinite(v) & ((v > 0) if log else True)] for v in values])
        low, high = float(found.min()), float(found.max())
    else:
        low, high = map(float, limits)
    if log:
        return _logarithmic(low, high, start, end)
    if high <= low:
        low, high = low - (abs(low) / 2 or 0.5), low + (abs(low) / 2 or 0.5)
    step = _step(high - low)
    if limits is None:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first
    ticks = tuple(((first + i) * step, _text((first + i) * step, step)) for i in range(count + 1))
    return Axis(low, high, start, end, ticks)


def number(value: float) -> str:
    """A place with one decimal, as short as it can be."""
    return f'{value:.1f}'.removesuffix('.0')


def _logarithmic(low, high, start, end):
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    every = -(-(last - first) // 6)
    ticks = tuple((10.0 ** power, f'{10.0 ** power:g}')
                  for power in range(first, last + 1, every))
    return Axis(10.0 ** first, 10.0 ** last, start, end, ticks, log=True)


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, for about five steps."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6)


def _text(value: float, step: float) -> str:
    if abs(value) >= 10_000:
        for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
            if abs(value) >= size:
                return f'{value / size:g}{letter}'
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f'{value:.{decimals}f}' if decimals < 5 else f'{value:g}'
