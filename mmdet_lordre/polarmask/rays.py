"""The ray coder: contour pixels to ray lengths, ray lengths to contour points."""
import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ..masks import chunk_size, constant, upload
from .contours import InstanceContours
from .crossings import NO_HIT, ray_crossings
from .degrees import LARGEST_TABLE, degrees_of, pairs_of


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
        exact: Whether a ray ends where it crosses the line through the contour pixels for the last
            time, whatever their number; ``wrap`` and ``search`` do not matter then.

    Raises:
        ValueError: If ``num_rays`` does not divide 360, or ``search`` is not from 0 to 90.
    """

    def __init__(self, num_rays: int = 36, wrap: bool = False, search: int = 3,
                 exact: bool = False) -> None:
        if num_rays < 3 or 360 % num_rays:
            raise ValueError(f'num_rays must be a divisor of 360 from 3 on, not {num_rays}')
        if not 0 <= search <= 90:
            raise ValueError(f'search must be from 0 to 90 degrees, not {search}')
        self.num_rays, self.wrap, self.exact = num_rays, wrap, exact
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
        if self.exact:
            return ray_crossings(points, owners, [(contours, sizes)], self.num_rays, reach).last
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

    def encode_with_holes(self, points: Tensor, owners: Tensor, contours: InstanceContours,
                          reach: int) -> tuple[Tensor, Tensor]:
        """Exact ray lengths of points, and the share of each that lies before the mask.

        From a point outside the mask, in a hole or in a gap, a ray enters the mask where it first
        crosses the contour of the instance or that of its largest hole. A point of the mask has
        shares of 0, a ray that crosses neither a share of 1: nothing of the mask is on it.

        Args:
            points, owners, reach: See :meth:`encode`.
            contours: Of all instances, with their holes.

        Returns:
            float32 (M, num_rays), in pixels, and the same from 0 to 1.
        """
        found = ray_crossings(points, owners, [(contours.points, contours.sizes),
                                               (contours.hole_points, contours.hole_sizes)],
                              self.num_rays, reach)
        shares = (found.first / found.last).clamp(max=1)
        return found.last, shares.masked_fill(~found.outside[:, None], 0)

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
    dtype = torch.int64 if reach > LARGEST_TABLE else torch.int32
    point, pixel = pairs_of(starts[owners], sizes[owners], pairs)
    dx, dy = (contours[:, axis].to(dtype).index_select(0, pixel)
              - points[:, axis].to(dtype).index_select(0, point) for axis in (0, 1))
    degree = degrees_of(dx, dy, reach)
    bins = torch.full((len(points) * 360,), -1, dtype=dtype, device=points.device)
    bins.scatter_reduce_(0, point.mul_(360).add_(degree), dx.mul_(dx).addcmul_(dy, dy), 'amax')
    return bins.view(-1, 360)
