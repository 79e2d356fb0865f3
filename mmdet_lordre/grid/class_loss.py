"""The class loss of every head, with mmcv's operators or without."""
import torch.nn.functional as F
from mmdet.models.losses import FocalLoss
from torch import Tensor, nn

from ..compat import has_operators


def class_loss(loss: nn.Module, logits: Tensor, labels: Tensor,
               avg_factor: Tensor | float) -> Tensor:
    """A loss of class logits.

    On a GPU mmdet's focal loss calls an operator of mmcv, which has none there if it was compiled
    without CUDA. With one-hot targets it computes the same in torch, as on a CPU.

    Args:
        loss: The loss module.
        logits: (n, classes).
        labels: (n,) classes; the number of classes is the background.
        avg_factor: What the sum is divided by.

    Returns:
        The loss, a scalar.
    """
    if isinstance(loss, FocalLoss) and not has_operators(logits.device):
        labels = F.one_hot(labels, logits.shape[1] + 1)[:, :-1]
    return loss(logits, labels, avg_factor=avg_factor)
