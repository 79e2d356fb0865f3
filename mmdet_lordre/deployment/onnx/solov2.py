"""SOLOv2 from image to instances as one graph."""
import torch
from torch import Tensor, nn

from .graph import masks_of, occupied, shifts, take
from .grid import cell_scores, cell_strides, full_size, select


class SOLOv2Instances(nn.Module):
    """What ``SOLOv2KernelHead.predict_by_feat`` does, for a batch and at the size of the input.

    Args:
        head: A ``SOLOv2KernelHead``.
        binary: Masks as uint8 of 0 and 1, else as probabilities.
    """

    names = ('scores', 'labels', 'masks')

    def __init__(self, head: nn.Module, binary: bool = True):
        super().__init__()
        self.head, self.binary = head, binary
        levels = range(head.num_levels)
        self.raw_names = (*(f'kernels_{i}' for i in levels),
                          *(f'class_logits_{i}' for i in levels), 'mask_features')

    def forward(self, outputs: tuple, size: tuple) -> tuple[Tensor, ...]:
        """From the outputs of the head, in float32, to instances.

        Args:
            outputs: Kernels by level, class logits by level, mask features.
            size: (height, width) of the input.

        Returns:
            Scores (B, n), labels (B, n) and masks (B, n, height, width), by falling score.
        """
        kernels, logits, features = outputs
        head, cfg = self.head, self.head.test_cfg
        scores = cell_scores(logits)
        kernels = torch.cat([level.flatten(2) for level in kernels], dim=2).transpose(1, 2)
        cells, held = occupied((scores > cfg.score_thr).any(dim=2))
        # channel by channel, then place by place, as kernels are laid out
        columns = torch.stack(shifts(features, head.dynamic_conv_size), dim=2).flatten(1, 2)
        probs = (take(kernels, cells) @ columns.flatten(2)).sigmoid()
        probs = probs.unflatten(2, features.shape[-2:])
        strides = cell_strides(head.num_grids, head.strides, scores.device)
        values, labels, rows = select(probs, scores, cells, held, strides, cfg, 1e-6)
        maps = full_size(take(probs, rows), head.mask_stride, size)
        return values, labels, masks_of(maps, cfg.mask_thr, self.binary)
