"""Where each pixel of a map lies, for networks that have to know it."""
import torch
from torch import Tensor


def coordinate_maps(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """x and y of each pixel in [-1, 1], end points included, as maps.

    Args:
        x: Maps (B, C, h, w), for their size.
        dtype: In which the coordinates are computed; they are of the type of ``x`` afterwards.

    Returns:
        (B, 2, h, w).
    """
    batch, _, height, width = x.shape
    ys = _line(height, x.device, dtype)[:, None]
    xs = _line(width, x.device, dtype)
    return torch.cat((xs.expand(batch, 1, height, width), ys.expand(batch, 1, height, width)),
                     dim=1).to(x.dtype)


def _line(count, device, dtype):
    """``torch.linspace(-1, 1, count)``."""
    if not torch.compiler.is_compiling():
        return torch.linspace(-1, 1, count, device=device, dtype=dtype)
    # the compiler makes another program for each number of points of a linspace
    place = torch.arange(count, device=device)
    step = 2 / torch.full((), max(count - 1, 1), device=device)
    line = torch.where(2 * place < count, step * place - 1, 1 - step * (count - 1 - place))
    return line.to(dtype)
