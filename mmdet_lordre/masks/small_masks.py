"""Masks of objects that are small in their image: only the part where they can be is resized.

A resized sample is a mean of a few samples of the map, so it exceeds the threshold only where one
of these does. Around those there is a window, and all masks with windows of a like size are made
at once; what is outside is never computed, and never encoded.
"""
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .bilinear import taps
from .chunks import chunk_size
from .geometry import spans_of

#: Sides of windows are powers of two, from this on: few sizes, few products.
_LEAST = 8
#: Windows up to this part of the image are worth it.
_SMALL = 0.25
#: Rounding of a mean of probabilities in float32, many times over.
_ROUNDING = 1e-5


class Windows(NamedTuple):
    """Windows of some masks.

    Attributes:
        masks: int64 (n,), which ones.
        tops, lefts: int64 (n,), where they begin, in pixels of the image.
        columns: bool (n, width, height): their pixels, column by column.
    """
    masks: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    columns: Tensor


def small_masks(probs: Tensor, up_size: tuple[int, int], crop_size: tuple[int, int],
                out_size: tuple[int, int], threshold: float) -> tuple[Iterator[Windows], Tensor]:
    """Resize the small ones of some masks.

    Args:
        probs: Probabilities (N, h, w), float32, on the CPU.
        up_size, crop_size, out_size, threshold: As of :func:`.to_original_size`.

    Returns:
        The windows of those that are small, and which the others are, int64 (m,).
    """
    axes = [taps(*sizes) for sizes in zip(probs.shape[1:], up_size, crop_size, out_size)]
    # one that is no number is looked at, too
    places = [_reached(axis, *spans_of(~(probs.amax(2 - number) <= threshold - _ROUNDING)))
              for number, axis in enumerate(axes)]
    sides = np.stack([np.minimum(_power_of_two(stop - start), side)
                      for (start, stop), side in zip(places, out_size)], axis=1)
    small = sides.prod(1) <= _SMALL * out_size[0] * out_size[1]
    starts = np.stack([start for start, _ in places], axis=1)
    return (_windows(probs, axes, starts, sides, np.flatnonzero(small), out_size, threshold),
            torch.from_numpy(np.flatnonzero(~small)))


def _reached(axis, first, last):
    """(start, stop) along an axis of the image, of what samples ``first`` to ``last`` reach."""
    return (torch.searchsorted(axis.stop, first, right=True).numpy(),
            torch.searchsorted(axis.first, last).numpy())


def _power_of_two(lengths):
    return np.exp2(np.ceil(np.log2(np.maximum(lengths, _LEAST)))).astype(np.int64)


def _windows(probs, axes, starts, sides, small, out_size, threshold):
    kinds, kind_of = np.unique(sides[small], axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    for number, (height, width) in enumerate(kinds.tolist()):
        chosen = small[kind_of == number]
        # pixels, and the matrices that make them
        step = chunk_size(height * width + sum(
            side * (axis.reach(side) + axis.weights.shape[1])
            for axis, side in zip(axes, (height, width))))
        for begin in range(0, len(chosen), step):
            some = chosen[begin:begin + step]
            tops, lefts = np.minimum(starts[some], np.array(out_size) - (height, width)).T
            rows, row_matrix = _samples(axes[0], tops, height)
            columns, column_matrix = _samples(axes[1], lefts, width)
            part = probs[torch.from_numpy(some)[:, None, None], rows[:, None], columns[:, :, None]]
            # autocast would run the products in half precision
            with torch.autocast('cpu', enabled=False):
                found = column_matrix @ part @ row_matrix.transpose(1, 2) > threshold
            yield Windows(some, tops, lefts, found)


def _samples(axis, starts, length):
    """The samples (n, k) of the map that windows take along an axis, and matrices
    (n, length, k) that make the windows of them."""
    places = torch.from_numpy(starts)[:, None] + torch.arange(length)
    lowest = axis.first[places[:, :1]]
    count = int((axis.stop[places[:, -1:]] - lowest).max())
    samples = lowest + torch.arange(count)
    return samples.clamp(max=int(axis.stop[-1]) - 1), axis.matrices(places, count)
