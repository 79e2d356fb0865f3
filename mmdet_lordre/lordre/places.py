"""Queries that come from places of the image: how they are found, and the masks they draw."""
import torch
import torch.nn.functional as F
from mmengine.model import (
    BaseModule,
    bias_init_with_prob,
    caffe2_xavier_init,
    kaiming_init,
    normal_init,
)
from torch import Tensor, nn

from .branches import conv_stack

#: Coefficients of a positional term: 1, x, y, x^2, y^2, xy.
POSITIONAL = 6
#: Logit of a cell that is no place.
_NOWHERE = -1e4


def without_autocast(x: Tensor) -> torch.autocast:
    """Full precision where a tensor is; the meta device, for counting alone, has no autocast."""
    return torch.autocast('cpu' if x.is_meta else x.device.type, enabled=False)


def find_places(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best local maxima of maps.

    Args:
        logits: (B, h, w) float32.
        count: How many of each map, at most.

    Returns:
        Logits of the places (B, n), falling, with -1e4 where a map has fewer maxima, and their
        cells (B, n), row-major; n = min(count, h * w).
    """
    highest = F.max_pool2d(logits[:, None], 3, stride=1, padding=1)[:, 0]
    peaks = torch.where(logits >= highest, logits, _NOWHERE).flatten(1)
    if not torch.jit.is_tracing():  # a graph for any size takes the maps to be large enough
        count = min(count, peaks.shape[1])
    return peaks.topk(count, dim=1)


def at_places(x: Tensor, cells: Tensor) -> Tensor:
    """Values of maps (B, C, h, w) at cells (B, n): (B, n, C)."""
    index = cells[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).transpose(1, 2)


def positional_kernels(raw: Tensor, centers: Tensor, radius: float) -> Tensor:
    """Coefficients of an elliptic window around every place.

    The window is ``bias - u^2 - v^2 - r u v``, where u and v are the distances of a pixel's vote
    from the shifted place, each in units of ``radius`` times a power of e. Multiplied out it is
    linear in 1, x, y, x^2, y^2 and xy of the votes, so that the windows of all queries are one
    matrix product.

    Args:
        raw: (B, n, 6): logarithms of both sizes, shift of the center in units of ``radius``,
            r, bias.
        centers: x and y of the places in cells, (B, n, 2).
        radius: Size of the window, in cells, where its raw value is 0.

    Returns:
        (B, n, 6) float32, in the order of :func:`positional_features`.
    """
    raw = raw.float()
    scale = (-raw[..., :2].clamp(-3, 3)).exp() / radius
    x, y = (centers + radius * raw[..., 2:4]).unbind(-1)
    a, b = scale.square().unbind(-1)
    # |r| < 2 keeps the window an ellipse
    c = 1.5 * raw[..., 4].tanh() * scale.prod(-1)
    return torch.stack([raw[..., 5] - a * x * x - b * y * y - c * x * y,
                        2 * a * x + c * y, 2 * b * y + c * x, -a, -b, -c], dim=-1)


def positional_features(votes: Tensor) -> Tensor:
    """1, x, y, x^2, y^2 and xy of where the pixels' votes fall.

    Args:
        votes: Shift of each pixel, x and y in cells, (B, 2, h, w).

    Returns:
        (B, 6, h, w) float32.
    """
    votes = votes.float()
    height, width = votes.shape[-2:]
    x = votes[:, 0] + torch.arange(width, device=votes.device)
    y = votes[:, 1] + torch.arange(height, device=votes.device)[:, None]
    return torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=1)


class PlaceBranch(BaseModule):
    """Places, and the instance that is read at each.

    A convolution gives the logit of every cell to be the place of an instance. The features at a
    place give the kernel of its mask and of its window. The mask is the activation map: the
    features under it, averaged, tell class and objectness, together with those of the place.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the stack.
        depth: Number of 3x3 convolutions.
        num_classes: Number of classes.
        kernel_dim: Length of a mask kernel.
        norm_cfg: Norm after each 3x3 convolution.
    """

    def __init__(self, in_channels: int, channels: int, depth: int, num_classes: int,
                 kernel_dim: int, norm_cfg: dict | None = None):
        super().__init__()
        self.kernel_dim = kernel_dim
        self.inst_convs = conv_stack(in_channels, channels, depth, norm_cfg)
        self.place = nn.Conv2d(channels, 1, 1)
        self.mask_kernel = nn.Linear(channels, kernel_dim + POSITIONAL)
        self.fc = nn.Linear(2 * channels, channels)
        self.cls_score = nn.Linear(channels, num_classes)
        self.objectness = nn.Linear(channels, 1)

    def init_weights(self) -> None:
        for layer in self.inst_convs:
            if isinstance(layer, nn.Conv2d):
                kaiming_init(layer)
        normal_init(self.place, std=0.01, bias=bias_init_with_prob(0.01))
        normal_init(self.mask_kernel, std=0.01, bias=0)
        caffe2_xavier_init(self.fc)
        normal_init(self.cls_score, std=0.01, bias=0)

    def place_logits(self, features: Tensor) -> Tensor:
        """Logit of every cell, (B, h, w) float32: neighbors that half precision makes equal
        would both be maxima."""
        with without_autocast(features):
            return F.conv2d(features.float(), self.place.weight.float(),
                            self.place.bias.float())[:, 0]

    def draw(self, features: Tensor, mask_features: Tensor, cells: Tensor,
             radius: float) -> Tensor:
        """Mask logits of the instances at places.

        Args:
            features: What ``inst_convs`` made, (B, channels, h, w).
            mask_features: (B, kernel_dim + 2, h, w); the last two are the votes.
            cells: Row-major, (B, n).
            radius: See :func:`positional_kernels`.

        Returns:
            (B, n, h, w) float32.
        """
        raw = self.mask_kernel(at_places(features, cells))
        shape = mask_features.shape[-2:]
        masks = torch.bmm(raw[..., :self.kernel_dim],
                          mask_features[:, :self.kernel_dim].flatten(2))
        # squares of coordinates have more digits than half precision
        with without_autocast(features):
            width = shape[1]
            centers = torch.stack([cells % width, cells // width], dim=-1)
            kernels = positional_kernels(raw[..., self.kernel_dim:], centers, radius)
            windows = torch.bmm(kernels, positional_features(
                mask_features[:, self.kernel_dim:]).flatten(2))
            return (masks.float() + windows).unflatten(2, shape)

    def tell(self, features: Tensor, cells: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Class and objectness of instances.

        Args:
            features: What ``inst_convs`` made, (B, channels, h, w).
            cells: Their places, (B, n).
            weights: What each pixel counts for each, not negative, (B, n, h, w).

        Returns:
            Class logits (B, n, num_classes) and objectness logits (B, n).
        """
        weights = weights.flatten(2)
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        pooled = torch.bmm(weights.to(features.dtype), features.flatten(2).transpose(1, 2))
        instances = torch.cat([at_places(features, cells), pooled], dim=-1)
        instances = self.fc(instances).relu()
        return self.cls_score(instances), self.objectness(instances).squeeze(-1)
