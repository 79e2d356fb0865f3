"""Two bilinear resizes with a crop between them, as one for rows and one for columns.

Each is linear and acts on rows and columns separately, so that together they are
``A_y @ map @ A_x.T`` with two matrices, of whose rows only a few numbers are not zero.
"""
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .geometry import spans_of


class Taps(NamedTuple):
    """How the samples along an axis of the image follow from those of the map: each from a few
    neighbors, with weights that are not negative and add up to 1.

    Attributes:
        first: int64 (out,), the first sample of the map that counts; rising.
        stop: int64 (out,), one past the last; rising.
        weights: float32 (out, most), from the first on; 0 from ``stop`` on.
    """
    first: Tensor
    stop: Tensor
    weights: Tensor

    def reach(self, length: int) -> int:
        """Samples of the map that so many of the image follow from, at most."""
        return int((self.stop[length - 1:] - self.first[:len(self.first) - length + 1]).max())

    def matrices(self, places: Tensor, count: int) -> Tensor:
        """Matrices that make parts of the image.

        Args:
            places: int64 (..., length), samples of the image, rising.
            count: Samples of the map that are multiplied, from the first that counts.

        Returns:
            float32 (..., length, count).
        """
        first, most = self.first[places], self.weights.shape[1]
        columns = (first - first[..., :1])[..., None] + torch.arange(most)
        # what lies beyond has no weight
        matrix = torch.zeros(*places.shape, count + most, dtype=torch.float32)
        return matrix.scatter_(-1, columns, self.weights[places])[..., :count]


@lru_cache(maxsize=64)
def taps(src: int, up: int, crop: int, out: int) -> Taps:
    """Of ``src`` samples resized to ``up``, of which the first ``crop`` are resized to ``out``.

    Both resizes are those of ``torch.nn.functional.interpolate`` with ``align_corners=False``.
    """
    samples, shares = _resize(src, up)
    neighbors, weights = _resize(crop, out)
    places = samples[neighbors].flatten(1)
    near = places - places[:, :1]
    rows = torch.zeros(out, int(near.max()) + 1, dtype=torch.float64)
    rows.scatter_add_(1, near, (weights[:, :, None] * shares[neighbors]).flatten(1))
    first, stop = spans_of(rows != 0)
    numbers = first[:, None] + torch.arange(int((stop - first).max()))
    rows = rows.gather(1, numbers.clamp(max=rows.shape[1] - 1)).where(numbers < stop[:, None], 0.)
    return Taps(places[:, 0] + first, places[:, 0] + stop, rows.float())


def _resize(src, dst):
    """(two neighbors, their weights) (dst, 2) of each sample of a bilinear resize."""
    position = ((torch.arange(dst, dtype=torch.float64) + 0.5) * (src / dst) - 0.5).clamp_(min=0)
    low = position.floor().long().clamp_(max=src - 1)
    weight = position - low
    return (torch.stack((low, (low + 1).clamp_(max=src - 1)), dim=1),
            torch.stack((1 - weight, weight), dim=1))
