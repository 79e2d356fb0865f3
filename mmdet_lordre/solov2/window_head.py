"""SOLOv2 whose masks are cut by a window around their cell."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor, nn

from ..grid.windows import (
    POSITIONAL,
    RADIUS,
    cell_kernels,
    positional_features,
    without_autocast,
)
from .head import SOLOv2KernelHead


@MODELS.register_module()
class SOLOv2WindowHead(SOLOv2KernelHead):
    """SOLOv2 for little data: a mask is its kernel's response plus an ellipse around its cell.

    Kernels of the published head have to learn from two maps of coordinates which of a hundred
    like objects is theirs. Here each cell also predicts an ellipse in coordinates relative to it,
    and each pixel how far it is from the middle of its object, which the ellipse is measured in.
    The ellipse is linear in six maps of positions, so that it is six more channels of kernels and
    mask features: losses, inference, Matrix NMS and export are those of the published head.

    It is an addition to the published method.

    Args:
        radius: Size of an ellipse before anything is learned, in cells of its grid.
        region_classifier: Config of a training-only task that teaches classes (see
            :class:`~mmdet_lordre.lordre.RegionClassifier`), on the pyramid's finest level.
        others: As :class:`SOLOv2KernelHead`; ``dynamic_conv_size`` is 1.

    Raises:
        ValueError: Kernels of another size, or what :class:`SOLOv2KernelHead` raises.
    """

    def __init__(self, *args, radius: float = RADIUS, region_classifier: dict | None = None,
                 **kwargs):
        super().__init__(*args, **kwargs)
        if self.dynamic_conv_size != 1:
            raise ValueError(f'dynamic_conv_size must be 1 with windows, not '
                             f'{self.dynamic_conv_size}')
        self.radius = radius
        features = self.mask_feature_head.out_channels
        self.conv_kernel = nn.Conv2d(self.feat_channels, features + POSITIONAL, 3, padding=1)
        self.conv_vote = nn.Conv2d(features, 2, 1)
        self.kernel_out_channels += POSITIONAL
        self.region_classifier = None if region_classifier is None else MODELS.build(dict(
            type='RegionClassifier', in_channels=self.in_channels, num_classes=self.num_classes)
            | region_classifier)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """As :meth:`SOLOv2KernelHead.forward`; kernels and mask features have six channels more,
        those of the windows, and are float32: squares of coordinates have more digits than half
        precision."""
        kernels, logits, features = super().forward(x)
        votes = self.conv_vote(features)
        with without_autocast(features):
            kernels = [torch.cat([level[:, :-POSITIONAL].float(),
                                  self._windows(level[:, -POSITIONAL:], features.shape[-2:])],
                                 dim=1) for level in kernels]
            features = torch.cat([features.float(), positional_features(votes)], dim=1)
        return kernels, logits, features

    def loss(self, x: Sequence[Tensor], batch_data_samples: SampleList, **kwargs) -> dict:
        """As :meth:`SOLOv2KernelHead.loss`, with the losses of ``region_classifier``."""
        if self.region_classifier is None:
            return super().loss(x, batch_data_samples, **kwargs)
        instances, _, metas = unpack_gt_instances(batch_data_samples)
        outs = self(x)
        truths, targets = self._checked_targets(outs[-1], instances, metas)
        coverage, size = truths.masks[self.mask_stride].float(), x[0].shape[-2:]
        if coverage.shape[-2:] != size:
            coverage = F.adaptive_avg_pool2d(coverage, size)
        counts = [len(gt) for gt in instances]
        return self._losses(*outs, truths, targets) | self.region_classifier(
            x[0], list(coverage.split(counts)), list(truths.labels.split(counts)))

    def _windows(self, raw, size):
        """Coefficients of the windows of a level's cells, (B, 6, S, S)."""
        grid = raw.shape[-1]
        along = (torch.arange(grid, device=raw.device) + 0.5) / grid
        centers = torch.stack(torch.meshgrid(along, along, indexing='xy'), dim=-1)
        windows = cell_kernels(raw.permute(0, 2, 3, 1), centers, 1 / grid, size, self.radius)
        return windows.permute(0, 3, 1, 2)
