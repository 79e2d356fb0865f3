"""Elliptic windows around places, as products of kernels and maps.

Two like objects differ by nothing but where they are. A window says so from the first step of
training on, which a kernel on convolutional features has to learn.
"""
import torch
from torch import Tensor

#: Coefficients of a positional term: 1, x, y, x^2, y^2, xy.
POSITIONAL = 6
#: Size of a cell's window before anything is learned, in cells of its grid.
RADIUS = 1.5


def without_autocast(x: Tensor) -> torch.autocast:
    """Full precision where a tensor is; the meta device, for counting alone, has no autocast."""
    return torch.autocast('cpu' if x.is_meta else x.device.type, enabled=False)


def positional_kernels(raw: Tensor, centers: Tensor,
                       radius: float | tuple[float, float] | tuple[Tensor, Tensor],
                       size: tuple[int, int]) -> Tensor:
    """Coefficients of an elliptic window around every place.

    The window is ``bias - u^2 - v^2 - r u v``, where u and v are the distances of a pixel's vote
    from the shifted place, each in units of ``radius`` times a power of e. Multiplied out it is
    linear in 1, x, y, x^2, y^2 and xy of the votes, so that the windows of all queries are one
    matrix product.

    Args:
        raw: (B, n, 6): logarithms of both sizes, shift of the center in units of ``radius``,
            r, bias.
        centers: X and y of the places in cells, (B, n, 2).
        radius: Size of the window, in cells, where its raw value is 0; of x and y where they
            differ, and of every place, (B, n) or (n,), where these do.
        size: (H, W) of the maps.

    Returns:
        (B, n, 6) float32, in the order of :func:`positional_features`.
    """
    raw = raw.float()
    radius_x, radius_y = radius if isinstance(radius, tuple) else (radius, radius)
    scale_x, scale_y = (-raw[..., :2].clamp(-3, 3)).exp().unbind(-1)
    scale_x, scale_y = scale_x / radius_x, scale_y / radius_y
    height, width = size
    x = centers[..., 0] - width // 2 + radius_x * raw[..., 2]
    y = centers[..., 1] - height // 2 + radius_y * raw[..., 3]
    a, b = scale_x.square(), scale_y.square()
    # |r| < 2 keeps the window an ellipse
    c = 1.5 * raw[..., 4].tanh() * scale_x * scale_y
    return torch.stack([raw[..., 5] - a * x * x - b * y * y - c * x * y,
                        2 * a * x + c * y, 2 * b * y + c * x, -a, -b, -c], dim=-1)


def cell_kernels(raw: Tensor, centers: Tensor, sides: Tensor | float, size: tuple[int, int],
                 radius: float = RADIUS) -> Tensor:
    """Coefficients of the windows of grid cells.

    Args:
        raw: (..., n, 6), what the cells predict.
        centers: (..., n, 2), x and y of the cells as shares of the map's sides.
        sides: (..., n), of the cells, likewise; or one for all.
        size: (H, W) of the maps.
        radius: Size of a window before anything is learned, in cells of its grid.

    Returns:
        (..., n, 6) float32, in the order of :func:`positional_features`.
    """
    height, width = size
    at = torch.stack([centers[..., 0] * width, centers[..., 1] * height], dim=-1) - 0.5
    return positional_kernels(raw, at, (radius * width * sides, radius * height * sides), size)


def positional_features(votes: Tensor) -> Tensor:
    """1, x, y, x^2, y^2 and xy of where the pixels' votes fall.

    X and y count from the middle of the map: squares of the distance to it are a quarter of those
    from a corner at most, and small windows, which are differences of such squares, the more exact.

    Args:
        votes: Shift of each pixel, x and y in cells, (B, 2, h, w).

    Returns:
        (B, 6, h, w) float32.
    """
    votes = votes.float()
    height, width = votes.shape[-2:]
    x = votes[:, 0] + (torch.arange(width, device=votes.device) - width // 2)
    y = votes[:, 1] + (torch.arange(height, device=votes.device) - height // 2)[:, None]
    return torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=1)
