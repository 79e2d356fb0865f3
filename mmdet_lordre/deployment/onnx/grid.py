"""Matrix NMS and what surrounds it, as a graph for a batch."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from torch import Tensor

from ...grid import points_nms
from .graph import best, mark_empty, take


def cell_scores(logits: list[Tensor]) -> Tensor:
    """Class probabilities after points NMS: by level (B, classes, S, S) to (B, cells, classes)."""
    return torch.cat([points_nms(level.sigmoid()).flatten(2) for level in logits],
                     dim=2).transpose(1, 2)


def cell_strides(num_grids: Sequence[int], strides: Sequence[int],
                 device: torch.device | str) -> Tensor:
    """(cells,): the pixels that a cell's mask must exceed.

    Args:
        num_grids: Cells along a side, by level.
        strides: By level.
        device: Where the result goes.
    """
    return torch.cat([torch.full((grid**2,), float(stride), device=device)
                      for grid, stride in zip(num_grids, strides, strict=True)])


def matrix_nms(inside: Tensor, labels: Tensor, scores: Tensor, kernel: str,
               sigma: float) -> Tensor:
    """Scores after Matrix NMS (:func:`mmdet_lordre.grid.matrix_nms`) of a batch.

    Args:
        inside: Masks (B, n, pixels) as 0 and 1 in float32, by falling score.
        labels: (B, n).
        scores: (B, n).
        kernel: ``'gaussian'`` or ``'linear'``.
        sigma: Of the gaussian.

    Returns:
        (B, n), in the same order.
    """
    # sums of 0 and 1 are exact in float32
    common = inside @ inside.transpose(1, 2)
    areas = inside.sum(dim=2)
    union = (areas[:, :, None] + areas[:, None] - common).clamp(min=1)
    place = torch.arange(labels.shape[1], device=labels.device)
    above = (place[:, None] < place) & (labels[:, :, None] == labels[:, None])
    iou = common / union * above.float()
    worst = iou.amax(dim=1)
    if kernel == 'gaussian':
        lead = (iou.square() - worst.square()[:, :, None]).amax(dim=1)
        return scores * torch.exp(-sigma * lead)
    rest = 1 - worst[:, :, None]
    share = torch.where(rest > 0, (1 - iou) / rest.clamp(min=1e-12), torch.tensor(torch.inf))
    return scores * share.amin(dim=1).clamp(max=1)


def select(probs: Tensor, scores: Tensor, cells: Tensor, held: Tensor, strides: Tensor,
           cfg: ConfigDict, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """From the masks of candidate cells to the instances that survive.

    Args:
        probs: Probabilities (B, k, h, w) of the candidate cells.
        scores: Class scores (B, cells, classes) after points NMS.
        cells: The candidate cells (B, k).
        held: Whether a slot holds a cell, BoolTensor (B, k).
        strides: (cells,), see :func:`cell_strides`.
        cfg: Test settings of the head.
        eps: Added to the area when the mean probability is taken.

    Returns:
        Scores (B, n), labels (B, n) and rows of ``probs`` (B, n), by falling score.
    """
    inside = (probs > cfg.mask_thr).float().flatten(2)
    areas = inside.sum(dim=2)
    quality = (probs.flatten(2) * inside).sum(dim=2) / (areas + eps)
    taken = held & (areas > strides[cells])
    found = take(scores, cells)
    classes = found.shape[2]
    found = found * ((found > cfg.score_thr) & taken[..., None]) * quality[..., None]
    values, index = best(found.flatten(1), cfg.get('nms_pre', -1))
    rows = torch.div(index, classes, rounding_mode='floor')
    labels = mark_empty(index - rows * classes, values > 0)
    values = matrix_nms(take(inside, rows), labels, values, cfg.get('kernel', 'gaussian'),
                        cfg.get('sigma', 2.0))
    threshold = cfg.get('filter_thr', -1)
    if threshold > 0:
        values = values * (values >= threshold)
    values, order = best(values, cfg.get('max_per_img', -1))
    return values, mark_empty(take(labels, order), values > 0), take(rows, order)


def full_size(probs: Tensor, stride: int, size: tuple) -> Tensor:
    """Maps (B, n, h, w) at a stride of the input to its size.

    Args:
        probs: Probabilities at the stride.
        stride: In pixels of the input.
        size: (height, width) of the input.
    """
    maps = F.interpolate(probs, scale_factor=float(stride), mode='bilinear', align_corners=False)
    return maps[..., :size[0], :size[1]]
