"""The network of a detector, apart from what follows it, and what makes it faster."""
import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from ..models import head_of
from .winograd import use_winograd


class Network(nn.Module):
    """Backbone, neck and head of a detector: from images to what post-processing takes.

    ``head.predict_by_feat(*network(images), batch_img_metas=metas, rescale=True)`` are the
    detections. This part has no Python that depends on the data: it compiles as a whole
    (``torch.compile(network, fullgraph=True, dynamic=False)``) and exports.

    Args:
        model: A detector of mmdet with one head.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    @property
    def head(self) -> nn.Module:
        """The head."""
        return head_of(self.model)

    def run_head(self, features: tuple[Tensor, ...]) -> tuple:
        """What the head makes of the neck's maps."""
        # Lordre enlarges only the masks that it keeps, after its network
        return getattr(self.head, 'decode', self.head)(features)

    def forward(self, images: Tensor) -> tuple:
        """Outputs of the head for normalized images (B, 3, h, w)."""
        return self.run_head(self.model.extract_feat(images))


def optimized_copy(model: nn.Module, fuse: bool = False, channels_last: bool = False,
           winograd: bool = False) -> nn.Module:
    """A copy of a model for inference, whose results are equal up to rounding.

    Args:
        model: A detector in ``eval`` mode.
        fuse: Put each batch norm into the convolution before it.
        channels_last: Keep the channels of a pixel together.
        winograd: 3x3 convolutions with fewer multiplications, see
            :mod:`mmdet_lordre.deployment.winograd`; for float32 on a CPU, with ``torch.compile``.
    """
    model = copy.deepcopy(model).eval()
    if fuse:
        model = fuse_conv_bn(model)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    if winograd:
        model = use_winograd(model)
    return model
