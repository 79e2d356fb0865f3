"""Where rays cross the outlines of masks, exactly."""
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..masks import chunk_size, upload
from .degrees import degrees_of, pairs_of

#: Length in pixels of a ray that meets no contour.
NO_HIT = 1e-6


class Crossings(NamedTuple):
    """Of M points with n rays each.

    Attributes:
        first: float32 (M, n), distance in pixels at which a ray crosses an outline first; inf
            where it crosses none.
        last: The same of the last time; 1e-6 where it crosses none.
        outside: bool (M,), points that lie in no outline or within a hole, and on no outline.
    """
    first: Tensor
    last: Tensor
    outside: Tensor


def ray_crossings(points: Tensor, owners: Tensor, outlines: Sequence[tuple[Tensor, Tensor]],
                  num_rays: int, reach: int) -> Crossings:
    """Where the rays of points cross the outlines of their instances.

    An outline runs from pixel to pixel of a contour and is closed. All points are handled at once,
    in chunks of bounded memory.

    Args:
        points: Integers (M, 2), x, y in pixels.
        owners: int64 (M,), the instance of each point, best on the CPU.
        outlines: Contours and, if they matter, those of holes: integers (P, 2), pixels of all
            instances one after another, and int64 (N,), how many each has, best on the CPU.
        num_rays: Of a point, a divisor of 360; see :class:`PolarRayCoder` for their order.
        reach: No coordinate of a point differs from one of a contour by more.
    """
    owners, outlines = owners.cpu(), [(pixels, sizes.cpu()) for pixels, sizes in outlines]
    # a pair of a point and a pixel takes some twelve elements
    longest = sum(int(sizes.max()) for _, sizes in outlines if len(sizes))
    step = chunk_size(max(12 * longest, 8 * num_rays), device=points.device)
    parts = []
    for begin in range(0, max(len(points), 1), step):
        at, of = points[begin:begin + step], owners[begin:begin + step]
        pairs = [_pairs(at, of, *outline) for outline in outlines]
        point, dx, dy = (torch.cat(part) for part in zip(*(pair[:3] for pair in pairs)))
        offset = len(pairs[0][0])
        closing = torch.cat([pairs[0][3], *(pair[3] + offset for pair in pairs[1:])], dim=1)
        parts.append(_cross_all(len(at), point, dx, dy, upload(closing, points.device), num_rays,
                                reach))
    return Crossings(*map(torch.cat, zip(*parts)))


def _pairs(points, owners, pixels, sizes):
    """Each point with each pixel of its instance's contour, in the order of the contour.

    Returns:
        Which point, and the pixel's offset in x and in y, (K,) each; and which pairs are the last
        and the first of a contour, int64 (2, m), on the CPU.
    """
    counts = sizes[owners]
    ends = counts.cumsum(0)
    closing = torch.stack((ends - 1, ends - counts))[:, counts > 0]
    starts, on_device = upload(torch.stack(((sizes.cumsum(0) - sizes)[owners], counts)),
                               points.device)
    point, pixel = pairs_of(starts, on_device, int(counts.sum()))
    dx, dy = (pixels[:, axis].int().index_select(0, pixel)
              - points[:, axis].int().index_select(0, point) for axis in (0, 1))
    return point, dx, dy, closing


def _cross_all(count, point, dx, dy, closing, num_rays, reach):
    sector = degrees_of(dx, dy, reach) // (360 // num_rays)
    turned = torch.roll(sector, -1)
    # from the last pixel of a contour to its first
    turned[closing[0]] = sector[closing[1]]
    turned -= sector
    turned += num_rays // 2
    turned %= num_rays
    turned -= num_rays // 2
    # a segment near the point crosses several rays, most cross none
    rays = turned.abs().long()
    segment = torch.repeat_interleave(rays)
    order = torch.arange(1, len(segment) + 1, device=point.device)
    order -= (rays.cumsum(0) - rays).index_select(0, segment)
    ray = (sector + turned.clamp(max=0)).index_select(0, segment).add(order) % num_rays
    following = torch.arange(1, len(point) + 1, device=point.device)
    following[closing[0]] = closing[1]
    following = following.index_select(0, segment)
    begin, end = (torch.stack((dx[index], dy[index])).float() for index in (segment, following))
    angle = ray * (math.tau / num_rays)
    ahead = torch.stack((angle.sin(), angle.cos()))
    # how far the ends lie off the ray says where between them it passes
    before, behind = (_cross(ahead, side).abs() for side in (begin, end))
    distance = torch.lerp((ahead * begin).sum(0), (ahead * end).sum(0),
                          before / (before + behind).clamp(min=1e-9)).clamp(min=0)
    crossed, touched = torch.zeros(2, count, dtype=torch.int32, device=point.device)
    touched.index_add_(0, point, ((dx | dy) == 0).int())
    point = point.index_select(0, segment)
    crossed.index_add_(0, point, (ray == 0).int())
    place = point * num_rays + ray
    first, last = (
        torch.full((count * num_rays,), none, device=point.device).scatter_reduce_(
            0, place, distance, which).view(count, num_rays)
        for none, which in ((torch.inf, 'amin'), (NO_HIT, 'amax')))
    return first, last, (crossed % 2 == 0) & (touched == 0)


def _cross(a, b):
    return a[0] * b[1] - a[1] * b[0]
