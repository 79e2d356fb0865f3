"""The two branches of the Lordre head: instances and mask features."""
import math

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import (
    BaseModule,
    bias_init_with_prob,
    caffe2_xavier_init,
    kaiming_init,
    normal_init,
)
from torch import Tensor, nn


def conv_stack(in_channels: int, channels: int, depth: int,
               norm_cfg: dict | None = None) -> nn.Sequential:
    """``depth`` times a 3x3 convolution, a norm if wanted, and ReLU.

    Without a norm, as published, convolutions sit at the even indices.
    """
    layers = []
    for k in range(depth):
        layers.append(nn.Conv2d(channels if k else in_channels, channels, 3, padding=1,
                                bias=norm_cfg is None))
        if norm_cfg is not None:
            layers.append(build_norm_layer(norm_cfg, channels)[1])
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _init_stack(stack: nn.Sequential) -> None:
    for layer in stack:
        if isinstance(layer, nn.Conv2d):
            kaiming_init(layer)


class MaskBranch(BaseModule):
    """Mask features: a stack of convolutions and a 1x1 projection.

    Args:
        in_channels: Channels of the input, coordinates included.
        channels: Channels of the stack.
        depth: Number of 3x3 convolutions.
        kernel_dim: Channels of the result, the length of a mask kernel.
        norm_cfg: Norm after each 3x3 convolution.
    """

    def __init__(self, in_channels: int, channels: int, depth: int, kernel_dim: int,
                 norm_cfg: dict | None = None):
        super().__init__()
        self.mask_convs = conv_stack(in_channels, channels, depth, norm_cfg)
        self.projection = nn.Conv2d(channels, kernel_dim, 1)

    def init_weights(self) -> None:
        _init_stack(self.mask_convs)
        kaiming_init(self.projection)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, kernel_dim, h, w)."""
        return self.projection(self.mask_convs(x))


class InstanceBranch(BaseModule):
    """Instance activation maps and what is read through them (SparseInst, CVPR 2022).

    Each of ``num_queries`` instances has one activation map a group. A map, normalized over the
    pixels, averages the features into that group's part of the instance feature.

    Args:
        in_channels: Channels of the input, coordinates included.
        channels: Channels of the stack.
        depth: Number of 3x3 convolutions.
        num_queries: Number of instances predicted for every image.
        num_classes: Number of classes.
        kernel_dim: Length of a mask kernel.
        groups: Activation maps an instance: 1 is the basic form, 4 the published group form.
        normalization: ``'sigmoid'`` divides the sigmoid of a map by its sum; ``'softmax'`` takes
            the softmax over the pixels, which stays accurate in half precision.
        norm_cfg: Norm after each 3x3 convolution of the stack.
    """

    def __init__(self, in_channels: int, channels: int, depth: int, num_queries: int,
                 num_classes: int, kernel_dim: int, groups: int = 1,
                 normalization: str = 'sigmoid', norm_cfg: dict | None = None):
        super().__init__()
        if normalization not in ('sigmoid', 'softmax'):
            raise ValueError(
                f"normalization must be 'sigmoid' or 'softmax', not {normalization!r}")
        if groups < 1 or channels % groups:
            raise ValueError(f'groups={groups} must divide channels={channels}')
        self.groups, self.normalization = groups, normalization
        width = channels * groups
        if normalization == 'softmax':
            # Softmax does not see a shift. The parameter is here because published files have it.
            self.softmax_bias = nn.Parameter(torch.ones(1))
        self.inst_convs = conv_stack(in_channels, channels, depth, norm_cfg)
        self.iam_conv = nn.Conv2d(channels, num_queries * groups, 3, padding=1, groups=groups)
        if groups > 1:
            self.fc = nn.Linear(width, width)
        self.cls_score = nn.Linear(width, num_classes)
        self.mask_kernel = nn.Linear(width, kernel_dim)
        self.objectness = nn.Linear(width, 1)

    def init_weights(self) -> None:
        prior = bias_init_with_prob(0.01)
        _init_stack(self.inst_convs)
        normal_init(self.iam_conv, std=0.01, bias=prior)
        normal_init(self.cls_score, std=0.01, bias=prior)
        normal_init(self.mask_kernel, std=0.01, bias=0)
        if self.groups > 1:
            caffe2_xavier_init(self.fc)

    def normalize(self, maps: Tensor) -> Tensor:
        """Weights (B, groups * N, pixels) that sum to 1 over the pixels, in float32."""
        maps = maps.flatten(2).float()
        if self.normalization == 'softmax':
            # in training the shift keeps the parameter in the graph, for distributed training
            return (maps + self.softmax_bias if self.training else maps).softmax(dim=-1)
        weights = maps.sigmoid()
        return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Convolve and read the instances: (B, in_channels, h, w), coordinates included, to
        what :meth:`read` returns."""
        return self.read(self.inst_convs(x))

    def read(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Read the instances from the features that ``inst_convs`` made.

        Args:
            features: (B, channels, h, w).

        Returns:
            Class logits (B, N, num_classes), mask kernels (B, N, kernel_dim), objectness logits
            (B, N) and the activation maps before normalization (B, groups * N, h, w), where map
            ``g * N + n`` is that of group g and instance n.
        """
        maps = self.iam_conv(features)
        pixels = features.flatten(2).transpose(1, 2)
        weights = self.normalize(maps).to(pixels.dtype)
        instances = torch.bmm(weights, pixels)
        if self.groups > 1:
            batch, _, channels = instances.shape
            instances = instances.view(batch, self.groups, -1, channels)
            instances = instances.transpose(1, 2).flatten(2)
            instances = self.fc(instances).relu()
        return (self.cls_score(instances), self.mask_kernel(instances),
                self.objectness(instances).squeeze(-1), maps)


def activation_heatmaps(maps: Tensor, groups: int, normalization: str) -> Tensor:
    """Activation maps for people to look at: the mean over groups, each scaled to [0, 1].

    Args:
        maps: Maps before normalization (groups * N, h, w) of one image.
        groups: Maps an instance.
        normalization: As in :class:`InstanceBranch`.

    Returns:
        FloatTensor (N, h, w).
    """
    maps = maps.float()
    maps = maps.sigmoid() if normalization == 'sigmoid' else maps.flatten(1).softmax(-1).view_as(
        maps)
    maps = maps / maps.amax(dim=(1, 2), keepdim=True).clamp(min=math.ulp(1.0))
    return maps.unflatten(0, (groups, -1)).mean(dim=0)
