"""Which cell is the place of a ground truth, and how much its neighbors are."""
import torch
from torch import Tensor

from ..masks.chunks import chunk_size


@torch.no_grad()
def places_of(coverage: Tensor, boxes: Tensor, stride: float) -> Tensor:
    """The place of every ground truth of an image: the free cell nearest to its center of mass.

    A cell that another ground truth covers more is not free, so a disc with a bar across has its
    place beside the bar; the hole of a ring is.

    Args:
        coverage: The part of each cell that each ground truth covers, (T, h, w).
        boxes: Their boxes (T, 4) in pixels: of objects that cover no cell the center counts.
        stride: Pixels of a cell.

    Returns:
        LongTensor (T, 2): x and y of the cell.
    """
    count, height, width = coverage.shape
    if not count:
        return coverage.new_zeros((0, 2), dtype=torch.long)
    x = torch.arange(width, device=coverage.device, dtype=coverage.dtype)
    y = torch.arange(height, device=coverage.device, dtype=coverage.dtype)
    mass = coverage.sum(dim=(1, 2))
    # not as products of matrices, which automatic mixed precision would round
    center = torch.stack([(coverage.sum(1) * x).sum(1), (coverage.sum(2) * y).sum(1)], dim=1)
    middle = (boxes[:, :2] + boxes[:, 2:]).to(coverage) / (2 * stride) - 0.5
    center = torch.where(mass[:, None] > 0, center / mass.clamp(min=1e-6)[:, None], middle)
    most, cells = coverage.amax(dim=0), []
    step = chunk_size(height * width, device=coverage.device)
    for start in range(0, count, step):
        some = slice(start, start + step)
        distance = (x - center[some, :1]).square()[:, None] \
            + (y - center[some, 1:]).square()[..., None]
        distance = distance + (coverage[some] < most) * float(height**2 + width**2)
        cells.append(distance.flatten(1).argmin(dim=1))
    cell = torch.cat(cells)
    return torch.stack([cell % width, cell // width], dim=1)


@torch.no_grad()
def place_heat(places: Tensor, areas: Tensor, size: tuple[int, int], spread: float) -> Tensor:
    """How much every cell is the place of some ground truth: 1 there, falling as a Gaussian.

    Args:
        places: X and y of cells, (T, 2).
        areas: Cells that each ground truth covers, (T,).
        size: (h, w).
        spread: Standard deviation of the Gaussian as a part of the object's side; 0.3 cells more.

    Returns:
        FloatTensor (h, w).
    """
    height, width = size
    if not len(places):
        return areas.new_zeros(size)
    sigma = 0.3 + spread * areas.sqrt()
    x = (torch.arange(width, device=places.device) - places[:, :1]).square()
    y = (torch.arange(height, device=places.device) - places[:, 1:]).square()
    scale = -0.5 / sigma.square()[:, None]
    # exact: e^0 is 1 where the place is
    y, x = (y * scale).exp(), (x * scale).exp()
    step = chunk_size(height * width, device=places.device)
    parts = [(y[start:start + step, :, None] * x[start:start + step, None]).amax(dim=0)
             for start in range(0, len(places), step)]
    return torch.stack(parts).amax(dim=0)


@torch.no_grad()
def beside(places: Tensor, size: tuple[int, int]) -> Tensor:
    """A cell beside each place, a different one from picture to picture.

    The choice depends on the place alone, so that a run that is gone on with makes the same.

    Args:
        places: X and y of cells, (T, 2).
        size: (h, w).

    Returns:
        LongTensor (T, 2).
    """
    x, y = places.unbind(dim=1)
    around = (7 * x + 3 * y) % 8
    around = around + (around >= 4)  # of the nine cells not the one in the middle
    return torch.stack([(x + around % 3 - 1).clamp(0, size[1] - 1),
                        (y + around // 3 - 1).clamp(0, size[0] - 1)], dim=1)
