"""Layers of both heads."""
from collections.abc import Iterable

import torch
from mmcv.cnn import ConvModule
from mmengine.model import bias_init_with_prob, normal_init
from torch import Tensor, nn


class NormalLayers(nn.ModuleList):
    """Layers whose convolutions start as N(0, 0.01).

    An ``init_cfg`` does not do: ``ConvModule`` initializes itself after the list that holds it.

    Args:
        layers: The layers.
        prior: Probability that the biases start at, where there are any; 0.5 for zero.
    """

    def __init__(self, layers: Iterable[nn.Module], prior: float = 0.5):
        super().__init__(layers)
        self.prior = prior

    def init_weights(self) -> None:
        """Initialize."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, std=0.01, bias=bias_init_with_prob(self.prior))


class _SignReLU(torch.autograd.Function):
    """ReLU in place that keeps a byte a value: what follows may overwrite the result."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x > 0)
        ctx.mark_dirty(x)
        return x.relu_()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


def conv_relu(layer: ConvModule, x: Tensor) -> Tensor:
    """Run convolution and ReLU; the result may be added to in place.

    Args:
        layer: Without a norm.
        x: (B, C, h, w).
    """
    x = layer.conv(x)
    if x.requires_grad and not torch.compiler.is_compiling():
        return _SignReLU.apply(x)
    return torch.relu(x)
