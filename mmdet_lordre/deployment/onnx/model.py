"""A detector as one module from image to outputs."""
import torch
from torch import Tensor, nn

from ...aggmask.base_head import BaseAggMaskHead
from ...lordre import LordreBaseHead
from ...models import head_of
from ...polarmask import PolarMaskHead
from ...solov2 import SOLOv2KernelHead
from ..network import Network, optimized_copy
from .aggmask import AggMaskInstances
from .lordre import LordreInstances
from .polarmask import PolarMaskInstances
from .solov2 import SOLOv2Instances

#: What follows the network of each head.
FAMILIES = ((LordreBaseHead, LordreInstances), (SOLOv2KernelHead, SOLOv2Instances),
            (BaseAggMaskHead, AggMaskInstances), (PolarMaskHead, PolarMaskInstances))


class ExportedModel(nn.Module):
    """What the ONNX file computes.

    Args:
        model: A detector of one of the four families; it is copied.
        end_to_end: Whether the outputs are instances, or what the head gives.
        binary: Masks as uint8 of 0 and 1, else as probabilities.
        half: The network in float16; input, outputs and all that follows the network stay in
            float32.

    Raises:
        ValueError: The head is of none of the families, or set up so that ONNX cannot express it.
    """

    def __init__(self, model: nn.Module, end_to_end: bool = True, binary: bool = True,
                 half: bool = False):
        super().__init__()
        instances_of(model)  # a head of another kind is refused before the model is copied
        model = optimized_copy(model, fuse=True)
        self.dtype = torch.float16 if half else torch.float32
        self.network = Network(model.to(self.dtype))
        self.instances = instances_of(model, binary)
        self.end_to_end = end_to_end
        #: Whether what the network gives follows the instances; their graph keeps its names then.
        self.with_network = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.instances.names if self.end_to_end else self.instances.raw_names

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Names of what the network gives, as outputs or inside the graph."""
        return self.instances.raw_names

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs for normalized images (B, 3, height, width) in float32."""
        outputs = _as_float(self.network(images.to(self.dtype)))
        raw = tuple(_flat(outputs))
        if not self.end_to_end:
            return raw
        instances = self.instances(outputs, images.shape[-2:])
        return (*instances, *raw) if self.with_network else instances


def instances_of(model: nn.Module, binary: bool = True) -> nn.Module:
    """What follows the network of a detector.

    Args:
        model: See :class:`ExportedModel`.
        binary: See :class:`ExportedModel`.

    Raises:
        ValueError: The head is of none of the families, or set up so that ONNX cannot express it.
    """
    head = head_of(model)
    kind = next((kind for family, kind in FAMILIES if isinstance(head, family)), None)
    if kind is None:
        raise ValueError(f'no ONNX export of {type(head).__name__}: it knows '
                         f'{", ".join(family.__name__ for family, _ in FAMILIES)}')
    return kind(head, binary)


def _as_float(outputs):
    if isinstance(outputs, tuple | list):
        return type(outputs)(_as_float(output) for output in outputs)
    return outputs if outputs is None else outputs.float()


def _flat(outputs):
    for output in outputs:
        if isinstance(output, tuple | list):
            yield from _flat(output)
        elif output is not None:
            yield output
