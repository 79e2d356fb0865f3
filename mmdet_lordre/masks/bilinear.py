"""Two bilinear resizes with a crop between them, as one matrix for rows and one for columns."""
from functools import lru_cache

import torch
from torch import Tensor


def bilinear_matrix(src: int, dst: int, keep: int | None = None) -> Tensor:
    """Matrix (keep or dst, src), float64, of a bilinear resize of ``src`` samples to ``dst``.

    It is that of ``torch.nn.functional.interpolate`` with ``align_corners=False``. ``keep``
    leaves out the rows from ``keep`` on.
    """
    rows = torch.arange(dst if keep is None else keep, dtype=torch.float64)
    position = ((rows + 0.5) * (src / dst) - 0.5).clamp_(min=0)
    low = position.floor().long().clamp_(max=src - 1)
    high = (low + 1).clamp_(max=src - 1)
    weight = position - low
    matrix = torch.zeros(len(rows), src, dtype=torch.float64)
    matrix.scatter_add_(1, low[:, None], (1 - weight)[:, None])
    matrix.scatter_add_(1, high[:, None], weight[:, None])
    return matrix


@lru_cache(maxsize=4)
def composite_matrix(src: int, up: int, crop: int, out: int) -> Tensor:
    """Matrix (out, src), float64, of a resize to ``up`` samples, of which the first ``crop`` are
    resized to ``out``. Rows add up to 1, and none of their numbers is negative."""
    return bilinear_matrix(crop, out) @ bilinear_matrix(src, up, keep=crop)
