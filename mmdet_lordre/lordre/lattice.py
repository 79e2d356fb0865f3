"""Where mask losses look: closely around each object, and here and there in the rest."""
from dataclasses import dataclass

import torch
from torch import Tensor

#: Distance, in pixels of the masks, of the points that are looked at away from an object.
COARSE = 8


@dataclass
class Lattice:
    """Points of masks, and how many pixels each stands for.

    Attributes:
        near: Row-major pixel of each point around an object, (T, side^2).
        weights: Pixels that each point stands for, those of ``near`` first, then those of
            :func:`coarse`; (T, points) float32, 0 beyond the image.
    """
    near: Tensor
    weights: Tensor

    def values(self, maps: Tensor) -> Tensor:
        """Values of each object's own map (T, h, w) at its points, (T, points)."""
        return torch.cat([maps.flatten(1).gather(1, self.near), coarse(maps).flatten(1)], dim=1)


def coarse(maps: Tensor) -> Tensor:
    """Every eighth row and column of maps (..., h, w)."""
    return maps[..., COARSE // 2::COARSE, COARSE // 2::COARSE]


@torch.no_grad()
def lattice_around(boxes: Tensor, size: tuple[int, int], side: int) -> Lattice:
    """A square lattice around each object, twice its size, and a coarse one over the image.

    Around small objects it takes every pixel, around large ones every second, third, ...: all
    objects have the same number of points. Weighted sums over the points estimate those over all
    pixels, as each pixel is near one point, or near none and far from the object.

    Args:
        boxes: Of the objects, x1, y1, x2, y2 in pixels of the masks, (T, 4).
        size: (h, w) of the masks.
        side: Points along a side of a lattice.
    """
    height, width = size
    extent = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
    step = (2 * extent / side).ceil().clamp(min=1).long()
    first = ((boxes[:, :2] + boxes[:, 2:]) / 2).round().long() - step[:, None] * (side // 2)
    along = torch.arange(side, device=boxes.device)
    x, y = (first[:, k, None] + step[:, None] * along for k in (0, 1))
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    near = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None]

    far_x, far_y = (coarse_line(length, boxes.device) for length in (width, height))
    end = first + step[:, None] * side
    beyond = ((far_y < first[:, 1:]) | (far_y >= end[:, 1:]))[:, :, None] \
        | ((far_x < first[:, :1]) | (far_x >= end[:, :1]))[:, None]
    weights = torch.cat([(step[:, None, None].square() * inside).flatten(1),
                         COARSE**2 * beyond.flatten(1)], dim=1)
    return Lattice(near.flatten(1), weights.float())


def coarse_line(length: int, device: torch.device) -> Tensor:
    """Pixels that :func:`coarse` takes of a line."""
    return torch.arange(COARSE // 2, length, COARSE, device=device)
