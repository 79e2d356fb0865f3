"""What a mask covers and how sure the network is of it."""
import torch
from torch import Tensor

from .rle import RLEMasks
from .runs import bounds_of


def mask_boxes(masks: Tensor | RLEMasks) -> Tensor:
    """Tight boxes of masks.

    Args:
        masks: BoolTensor (N, height, width), or run lengths.

    Returns:
        FloatTensor (N, 4): x1, y1, x2, y2 in pixels of the masks, where x2 and y2 are one past
        the last pixel (so x2 - x1 is a width). An empty mask has the box (0, 0, 0, 0).

    Raises:
        ValueError: A tensor of another number of dimensions.
    """
    if isinstance(masks, RLEMasks):
        boxes = torch.from_numpy(bounds_of(masks)).float()
        boxes[:, 2:] += boxes[:, :2]
        return boxes
    if masks.dim() != 3:
        raise ValueError(f'masks must have shape (N, height, width), not {tuple(masks.shape)}')
    if masks.dtype != torch.bool:
        masks = masks > 0
    if not masks.numel():
        return torch.zeros(len(masks), 4, device=masks.device)
    spans = [spans_of(masks.any(dim=1)), spans_of(masks.any(dim=2))]
    (x1, x2), (y1, y2) = spans
    return torch.stack((x1, y1, x2, y2), dim=1).float()


def spans_of(hit: Tensor) -> tuple[Tensor, Tensor]:
    """First hit and one past the last hit of each row of a bool tensor (n, length), int64 (n,)
    each; 0, 0 where there is none."""
    length = hit.shape[1]
    flags = hit.to(torch.uint8)
    first = flags.argmax(dim=1)
    last = length - flags.flip(1).argmax(dim=1)
    found = hit.any(dim=1)
    return first * found, last * found


def maskness(probs: Tensor, threshold: float) -> Tensor:
    """Mean probability inside each thresholded mask.

    Args:
        probs: Probabilities (N, h, w).
        threshold: A pixel is inside where its probability is above it.

    Returns:
        FloatTensor (N,): sum / (count + 1e-6), float32; 0 where no pixel is inside.
    """
    probs = probs.flatten(1).float()
    inside = probs > threshold
    return (probs * inside).sum(dim=1) / (inside.sum(dim=1) + 1e-6)
