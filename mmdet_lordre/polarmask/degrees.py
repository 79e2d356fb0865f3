"""Pairs of points and contour pixels, and the degrees at which points see pixels."""
from functools import lru_cache

import torch
from torch import Tensor

# Degrees are looked up for offsets up to this many pixels (a table of 34 MB), computed beyond.
LARGEST_TABLE = 2048


def _degrees(dx: Tensor, dy: Tensor) -> Tensor:
    """Whole degrees of offsets: 0 points down (+y), 90 right (+x); truncated, in [0, 360)."""
    angle = torch.rad2deg(torch.atan2(dx.double(), dy.double()))
    # an angle a rounding error below 360 must not become 360
    return torch.where(angle < 0, angle + 360, angle).int().clamp_(max=359)


@lru_cache(maxsize=8)
def _degree_table(reach: int, device: str) -> Tensor:
    """Degrees of all offsets up to ``reach`` pixels: int16 ((2 * reach + 1) ** 2,), y slowest.

    Half of the work of making targets was atan2; offsets are integers, and there are few. Made
    in float64 on the CPU, so every device truncates alike.
    """
    offsets = torch.arange(-reach, reach + 1)
    rows = [_degrees(offsets, dy.expand(len(offsets))).short() for dy in offsets]
    return torch.cat(rows).to(device)


def degrees_of(dx: Tensor, dy: Tensor, reach: int) -> Tensor:
    """Whole degrees of integer offsets: 0 points down (+y), 90 right (+x); truncated, in [0, 360).

    Args:
        dx: (K,), in pixels.
        dy: The same.
        reach: No offset is larger.
    """
    if reach > LARGEST_TABLE:
        return _degrees(dx, dy)
    reach = -(-reach // 512) * 512  # few tables serve all sizes of a multi-scale recipe
    table = _degree_table(reach, str(dx.device))
    middle = 2 * reach * (reach + 1)
    return table.index_select(0, dx.add(dy, alpha=2 * reach + 1).add_(middle))


def pairs_of(starts: Tensor, counts: Tensor, total: int | None = None
             ) -> tuple[Tensor, Tensor]:
    """Pairs of a point and a pixel of its instance's contour, point by point.

    Args:
        starts: int64 (M,), where the pixels of each point's instance begin.
        counts: int64 (M,), how many there are.
        total: Number of pairs, where it is known without waiting for a GPU.

    Returns:
        Indices of points and of pixels, int64 (total,).
    """
    first = starts - (counts.cumsum(0) - counts)
    point = torch.repeat_interleave(counts, output_size=total)
    return point, torch.arange(len(point), device=point.device) + first.index_select(0, point)
