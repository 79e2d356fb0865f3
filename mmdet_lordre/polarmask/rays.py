"""The ray coder: contour pixels to ray lengths, ray lengths to contour points."""
from functools import lru_cache

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ..masks import chunk_size, constant, upload

# Length in pixels of a ray that meets no contour pixel.
NO_HIT = 1e-6
# Degrees are looked up for offsets up to this many pixels (a table of 34 MB), computed beyond.
_LARGEST_TABLE = 2048


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


@TASK_UTILS.register_module()
class PolarRayCoder:
    """Encode contours as rays from a point and back (`PolarMask
    <https://arxiv.org/abs/1909.13226>`_).

    Ray k points at k * 360 / num_rays degrees, counted from +y (down) toward +x (right): its
    end is (x + d sin a, y + d cos a). Its length is the largest distance among the contour
    pixels whose angle, truncated to whole degrees, is a; without any, those at a + 1, a - 1,
    a + 2, a - 2, a + 3, a - 3, the first degree that has pixels; without any, 1e-6.

    Args:
        num_rays: A divisor of 360.
        wrap: Whether the search goes on across 0/360 degrees. The published code does not: its
            ray at 0 degrees never looks at 359.
        search: How many degrees to look to both sides. The published 3 leave rays of instances
            under about 40 pixels without a length: their contours have too few pixels.

    Raises:
        ValueError: If ``num_rays`` does not divide 360, or ``search`` is not from 0 to 90.
    """

    def __init__(self, num_rays: int = 36, wrap: bool = False, search: int = 3) -> None:
        if num_rays < 3 or 360 % num_rays:
            raise ValueError(f'num_rays must be a divisor of 360 from 3 on, not {num_rays}')
        if not 0 <= search <= 90:
            raise ValueError(f'search must be from 0 to 90 degrees, not {search}')
        self.num_rays, self.wrap = num_rays, wrap
        self.search = [0] + [side * step for step in range(1, search + 1) for side in (1, -1)]

    def encode(self, points: Tensor, owners: Tensor, contours: Tensor, sizes: Tensor,
               reach: int) -> Tensor:
        """Ray lengths of points to the contours of their instances.

        All points and contour pixels are handled at once, in chunks of bounded memory.

        Args:
            points: Integers (M, 2), x, y in pixels.
            owners: Integers (M,), the instance of each point, best on the CPU.
            contours: Integers (P, 2), contour pixels of all instances one after another.
            sizes: int64 (N,), contour pixels of each instance, best on the CPU.
            reach: No coordinate of a point differs from one of a contour by more; the larger
                side of the padded image will do.

        Returns:
            float32 (M, num_rays), in pixels.
        """
        device = points.device
        longest = int(sizes.max()) if len(sizes) else 0
        if not len(points) or not longest:
            return points.new_full((len(points), self.num_rays), NO_HIT, dtype=torch.float32)
        starts = upload(sizes.cumsum(0) - sizes, device)
        # how many pairs there are, where it costs no waiting to know
        on_cpu = sizes.device.type == owners.device.type == 'cpu'
        pairs = sizes[owners] if on_cpu else None
        sizes, owners = upload(sizes, device), upload(owners, device)
        # a pair of a point and a pixel takes eight elements in all, a point its bins and picks
        step = chunk_size(max(8 * longest, 360 + 3 * self.num_rays * len(self.search)),
                          device=device)
        return torch.cat([
            self._pick(_farthest(points[begin:begin + step], owners[begin:begin + step], contours,
                                 starts, sizes, reach,
                                 None if pairs is None else int(pairs[begin:begin + step].sum())))
            for begin in range(0, len(points), step)])

    def _pick(self, bins: Tensor) -> Tensor:
        """Ray lengths from the squared distance (M, 360) of each degree, -1 where none."""
        rays = torch.arange(0, 360, 360 // self.num_rays, device=bins.device)
        degrees = rays[:, None] + constant(tuple(self.search), torch.long, bins.device)
        squared = bins[:, (degrees % 360).flatten()].view(-1, *degrees.shape)
        found = squared >= 0
        if not self.wrap:
            found &= (degrees >= 0) & (degrees < 360)
        order = torch.arange(len(self.search), 0, -1, device=bins.device, dtype=torch.uint8)
        rank, first = (found * order).max(dim=-1, keepdim=True)
        lengths = squared.gather(-1, first).squeeze(-1).float().sqrt()
        return torch.where(rank.squeeze(-1) > 0, lengths, NO_HIT)

    def decode(self, points: Tensor, rays: Tensor,
               max_shape: tuple[int, int] | None = None) -> Tensor:
        """Contour points of rays.

        Args:
            points: (M, 2), x, y in pixels.
            rays: (M, num_rays) lengths in pixels.
            max_shape: (height, width); coordinates are clamped to [0, width - 1] and
                [0, height - 1].

        Returns:
            float32 (M, num_rays, 2): x, y in pixels.
        """
        step = 360 // self.num_rays
        angles = torch.arange(0, 360, step, device=rays.device, dtype=torch.float32).deg2rad()
        directions = torch.stack((angles.sin(), angles.cos()), dim=-1)
        contours = points.float()[:, None] + rays.float()[..., None] * directions
        # an infinite ray along an axis is 0 * inf in the other coordinate
        contours = contours.nan_to_num(nan=0.0)
        if max_shape is not None:
            contours = torch.stack([contours[..., axis].clamp(0, side - 1) for axis, side in
                                    enumerate(max_shape[::-1])], dim=-1)
        return contours


def _farthest(points, owners, contours, starts, sizes, reach, pairs=None):
    """The largest squared distance of each degree, (M, 360) for M points; -1 where none."""
    dtype = torch.int64 if reach > _LARGEST_TABLE else torch.int32
    counts = sizes[owners]
    # pairs of a point and a pixel of its instance's contour, point by point
    first = starts[owners] - (counts.cumsum(0) - counts)
    point = torch.repeat_interleave(counts, output_size=pairs)
    pixel = torch.arange(len(point), device=point.device) + first.index_select(0, point)
    dx, dy = (contours[:, axis].to(dtype).index_select(0, pixel)
              - points[:, axis].to(dtype).index_select(0, point) for axis in (0, 1))
    if reach > _LARGEST_TABLE:
        degree = _degrees(dx, dy)
    else:
        reach = -(-reach // 512) * 512  # few tables serve all sizes of a multi-scale recipe
        table = _degree_table(reach, str(points.device))
        middle = 2 * reach * (reach + 1)
        degree = table.index_select(0, dx.add(dy, alpha=2 * reach + 1).add_(middle))
    bins = torch.full((len(points) * 360,), -1, dtype=dtype, device=points.device)
    bins.scatter_reduce_(0, point.mul_(360).add_(degree), dx.mul_(dx).addcmul_(dy, dy), 'amax')
    return bins.view(-1, 360)
