"""Layers of both heads."""
from collections.abc import Iterable

from mmengine.model import bias_init_with_prob, normal_init
from torch import nn


class NormalLayers(nn.ModuleList):
    """Layers whose convolutions start as N(0, 0.01).

    An ``init_cfg`` does not do: ``ConvModule`` initialises itself after the list that holds it.

    Args:
        layers: The layers.
        prior: Probability that the biases start at, where there are any; 0.5 for zero.
    """

    def __init__(self, layers: Iterable[nn.Module], prior: float = 0.5):
        super().__init__(layers)
        self.prior = prior

    def init_weights(self) -> None:
        """Initialise."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, std=0.01, bias=bias_init_with_prob(self.prior))
