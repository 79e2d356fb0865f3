"""Polar IoU loss, and the loss of each box."""
from mmdet.models.losses import IoULoss
from mmdet.models.losses.utils import weighted_loss
from mmdet.registry import MODELS
from torch import Tensor, nn


@weighted_loss
def polar_iou_loss(pred: Tensor, target: Tensor, eps: float = 1e-12) -> Tensor:
    """-log of the polar IoU of rays, (N, n) against (N, n), to (N,)."""
    inner = pred.minimum(target).sum(dim=-1).clamp(min=eps)
    outer = pred.maximum(target).sum(dim=-1).clamp(min=eps)
    return (outer / inner).log()


@MODELS.register_module()
class PolarIoULoss(nn.Module):
    """Polar IoU loss of `PolarMask <https://arxiv.org/abs/1909.13226>`_.

    log(sum over rays of max(d, d*) / sum over rays of min(d, d*)).

    Args:
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        loss_weight: Factor of the loss.
        eps: The sums are at least this, so that rays of length 0 leave the loss finite. Ray
            lengths are far above it otherwise.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0,
                 eps: float = 1e-12) -> None:
        super().__init__()
        self.reduction, self.loss_weight, self.eps = reduction, loss_weight, eps

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None,
                avg_factor: float | None = None,
                reduction_override: str | None = None) -> Tensor:
        """Loss of rays ``pred`` (N, n) against ``target`` (N, n), both in pixels, >= 0.

        Args:
            pred: Predicted lengths.
            target: Lengths to learn.
            weight: Weight (N,) of each point.
            avg_factor: Divisor in place of the number of points; for ``'mean'`` only.
            reduction_override: Takes the place of ``reduction``.
        """
        # half precision cannot hold sums of lengths
        return self.loss_weight * polar_iou_loss(
            pred.float(), target.float(), weight, eps=self.eps,
            reduction=reduction_override or self.reduction, avg_factor=avg_factor)


def box_losses(loss: nn.Module, boxes: Tensor, targets: Tensor) -> Tensor:
    """Loss of each box (N, 4) against its target (N, 4), to (N,).

    What mmdet's loss gives without a reduction. Of ``IoULoss`` it is computed here, because mmdet
    copies a constant to the device in it, which waits for a GPU.

    Args:
        loss: The loss module.
        boxes: x1, y1, x2, y2.
        targets: The same.
    """
    if type(loss) is not IoULoss:
        return loss(boxes, targets, reduction_override='none')
    sides = (boxes[:, 2:].minimum(targets[:, 2:]) - boxes[:, :2].maximum(targets[:, :2]))
    inter = sides.clamp(min=0)
    inter = inter[:, 0] * inter[:, 1]
    areas = [(part[:, 2] - part[:, 0]) * (part[:, 3] - part[:, 1]) for part in (boxes, targets)]
    union = (areas[0] + areas[1] - inter).clamp(min=1e-6)
    iou = (inter / union).clamp(min=loss.eps)
    if loss.mode == 'log':
        return -loss.loss_weight * iou.log()
    return loss.loss_weight * (1 - (iou if loss.mode == 'linear' else iou.square()))
