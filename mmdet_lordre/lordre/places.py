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

from ..grid.windows import POSITIONAL, positional_features, positional_kernels, without_autocast
from .branches import conv_stack

#: Logit of a cell that is no place.
_NOWHERE = -1e4


def find_places(logits: Tensor, count: int, peak: int = 3) -> tuple[Tensor, Tensor]:
    """The best local maxima of maps.

    Args:
        logits: (B, h, w) float32.
        count: How many of each map, at most.
        peak: Side of the square that a maximum is the highest of, odd.

    Returns:
        Logits of the places (B, n), falling, with -1e4 where a map has fewer maxima, and their
        cells (B, n), row-major; n = min(count, h * w).
    """
    highest = F.max_pool2d(logits[:, None], peak, stride=1, padding=peak // 2)[:, 0]
    peaks = torch.where(logits >= highest, logits, _NOWHERE).flatten(1)
    if not torch.jit.is_tracing():  # a graph for any size takes the maps to be large enough
        count = min(count, peaks.shape[1])
    return peaks.topk(count, dim=1)


def at_places(x: Tensor, cells: Tensor) -> Tensor:
    """Values of maps (B, C, h, w) at cells (B, n): (B, n, C)."""
    if x.is_contiguous(memory_format=torch.channels_last):
        # a gradient has the order of what it is gathered from, in memory, and must have that of
        # the other gradients of the maps: adding two orders takes ten times as long
        return x.flatten(2).transpose(1, 2).gather(1, cells[..., None].expand(-1, -1, x.shape[1]))
    index = cells[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).transpose(1, 2)


def _channels(x: Tensor, first: int, last: int | None) -> Tensor:
    """Some channels of maps (B, C, h, w)."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1)[..., first:last].permute(0, 3, 1, 2)
    return x[:, first:last]


def pool(features: Tensor, weights: Tensor) -> Tensor:
    """Features averaged under masks.

    Args:
        features: (B, channels, h, w).
        weights: What each pixel counts for each mask, not negative, (B, n, h, w).

    Returns:
        (B, n, channels).
    """
    weights = weights.flatten(2)
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.bmm(weights.to(features.dtype), features.flatten(2).transpose(1, 2))


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
            # as a product: convolutions to one channel take twice as long on a CPU
            weight = self.place.weight.float().flatten()
            return features.float().permute(0, 2, 3, 1) @ weight + self.place.bias.float()

    def kernels(self, features: Tensor, cells: Tensor, radius: float) -> Tensor:
        """What draws the masks of the instances at places: a product with :meth:`bases`.

        Args:
            features: What ``inst_convs`` made, (B, channels, h, w).
            cells: Row-major, (B, n).
            radius: See :func:`positional_kernels`.

        Returns:
            (B, n, kernel_dim + 6) float32.
        """
        raw = self.mask_kernel(at_places(features, cells)).float()
        width = features.shape[-1]
        centers = torch.stack([cells % width, cells // width], dim=-1)
        # squares of coordinates have more digits than half precision
        with without_autocast(features):
            windows = positional_kernels(raw[..., self.kernel_dim:], centers, radius,
                                         features.shape[-2:])
        return torch.cat([raw[..., :self.kernel_dim], windows], dim=-1)

    def bases(self, mask_features: Tensor) -> Tensor:
        """What masks are sums of.

        Args:
            mask_features: (B, kernel_dim + 2, h, w); the last two are the votes.

        Returns:
            (B, kernel_dim + 6, h, w) float32.
        """
        with without_autocast(mask_features):
            votes = positional_features(_channels(mask_features, self.kernel_dim, None))
        if mask_features.is_contiguous(memory_format=torch.channels_last):
            # maps of both orders side by side would be of the other one
            votes = votes.contiguous(memory_format=torch.channels_last)
        return torch.cat([_channels(mask_features, 0, self.kernel_dim).float(), votes], dim=1)

    def draw(self, kernels: Tensor, bases: Tensor) -> Tensor:
        """Mask logits (B, n, h, w) float32, of :meth:`kernels` and :meth:`bases`."""
        with without_autocast(bases):
            return torch.bmm(kernels, bases.flatten(2)).unflatten(2, bases.shape[-2:])

    def tell(self, at_place: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Class and objectness of instances.

        Args:
            at_place: Features of their places, (..., channels).
            pooled: Features under their masks, as :func:`pool` makes them, (..., channels).

        Returns:
            Class logits (..., num_classes) and objectness logits (...,).
        """
        instances = self.fc(torch.cat([at_place, pooled], dim=-1)).relu()
        return self.cls_score(instances), self.objectness(instances).squeeze(-1)
