"""Points NMS and Matrix NMS."""
import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from ..masks import chunk_size
from ..timing import fewest_seconds

# float16 holds every whole number up to this one.
_EXACT_HALF = 2048

# Rows of a product of masks: at least, so that small classes share one; at most, so that the
# lower triangle of a large class need not be computed.
_MIN_ROWS = 32
_MAX_ROWS = 64


def points_nms(scores: Tensor) -> Tensor:
    """Keep the cells that equal the maximum of the 2x2 window ending at them, zero the others.

    From `SOLOv2 <https://arxiv.org/abs/2003.10152>`_.

    Args:
        scores: Probabilities (B, classes, S, S).

    Returns:
        Tensor of the same shape.
    """
    highest = F.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (highest == scores)


def matrix_nms(masks: Tensor, labels: Tensor, scores: Tensor, mask_area: Tensor | None = None,
               kernel: str = 'gaussian', sigma: float = 2.0, nms_pre: int = -1,
               filter_thr: float = -1, max_num: int = -1) -> tuple[Tensor, Tensor, Tensor]:
    """Matrix NMS: lower each score by its mask's overlap with better ones of its class.

    With masks in the order of their scores, IoU over pairs of one class, and
    ``comp_i = max_{k<i} IoU_ki``::

        score_j *= min_{i<j} f(IoU_ij) / f(comp_i)

    where f is ``exp(-sigma IoU^2)`` (gaussian) or ``1 - IoU`` (linear). The best of a class keeps
    its score. From `SOLOv2 <https://arxiv.org/abs/2003.10152>`_.

    Intersections are exact integers. On a CPU only masks of the same class are multiplied; memory
    is one copy of the masks (a byte a pixel, on a GPU three) and the matrix of the largest class.

    Args:
        masks: BoolTensor (N, h, w).
        labels: (N,) classes.
        scores: (N,) of any floating type.
        mask_area: (N,) pixels of each mask; not needed, the products of the masks hold them.
        kernel: ``'gaussian'`` or ``'linear'``.
        sigma: Of the gaussian.
        nms_pre: Masks that take part, the best by score; all if not positive.
        filter_thr: Lowest score afterwards; not used if not positive.
        max_num: Masks kept; all if not positive.

    Returns:
        scores, labels and indices into the masks given, (n,) each, by falling score. Equal
        scores keep their order.

    Raises:
        ValueError: If the kernel is unknown or the lengths differ.
    """
    if kernel not in ('gaussian', 'linear'):
        raise ValueError(f"kernel must be 'gaussian' or 'linear', not {kernel!r}")
    if not len(masks) == len(labels) == len(scores):
        raise ValueError(f'{len(masks)} masks, {len(labels)} labels and {len(scores)} scores')
    if masks.dtype != torch.bool:
        masks = masks > 0
    scores, order = scores.sort(descending=True, stable=True)
    if nms_pre > 0:
        scores, order = scores[:nms_pre], order[:nms_pre]
    labels = labels[order]
    if len(order) > 1:
        areas = None if mask_area is None else mask_area[order]
        if masks.device.type == 'cpu':
            # a class together, by falling score inside it
            grouped, group = labels.sort(stable=True)
            rivals = _have_rivals(grouped)
            grouped, group = grouped[rivals], group[rivals]
            decay = torch.ones(len(order), dtype=torch.float32)
            decay[group] = _decay(masks[order[group]].flatten(1), grouped,
                                  None if areas is None else areas[group], kernel, sigma)
        else:
            # one product keeps a device busier than many small ones, and a choice by values would
            # wait for it
            decay = _decay(masks[order].flatten(1), labels, areas, kernel, sigma)
        scores = (scores.float() * decay).to(scores.dtype)
    kept = None
    if filter_thr > 0:
        keep = scores >= filter_thr
        # what is left out stands last, so that one number has to be known and not which ones
        scores, kept = scores.where(keep, -1), keep.sum()
    scores, index = scores.sort(descending=True, stable=True)
    if kept is not None:
        count = int(kept)
        scores, index = scores[:count], index[:count]
    if max_num > 0:
        scores, index = scores[:max_num], index[:max_num]
    return scores, labels[index], order[index]


def _have_rivals(labels):
    """Which of sorted labels (N,) stand there more than once."""
    again = labels[1:] == labels[:-1]
    rivals = torch.zeros_like(labels, dtype=torch.bool)
    rivals[1:] = again
    rivals[:-1] |= again
    return rivals


def _decay(masks, labels, areas, kernel, sigma):
    """Factors (N,) of masks (N, pixels) by falling score; on a CPU those of a class together."""
    decay = torch.ones(len(masks), dtype=torch.float32, device=masks.device)
    for start, stop in _spans(labels):
        block = slice(start, stop)
        iou = _ious(masks[block], None if areas is None else areas[block])
        same = labels[block, None] == labels[block]
        iou = iou.mul_(same).triu_(diagonal=1)
        worst = iou.amax(dim=0)
        if kernel == 'gaussian':
            # the least quotient of exponentials has the largest difference of exponents
            lead = iou.square_().sub_(worst.square()[:, None]).amax(dim=0)
            decay[block] = torch.exp(-sigma * lead)
        else:
            rest = 1 - worst[:, None]
            # a mask that itself covers a better one exactly says nothing that the better one
            # does not say as well
            share = torch.where(rest > 0, (1 - iou) / rest, torch.inf)
            decay[block] = share.amin(dim=0).clamp_(max=1)
    return decay


def _spans(labels):
    """Blocks [start, stop) of whole classes, small ones joined."""
    if labels.device.type != 'cpu':
        return [(0, len(labels))]
    ends = torch.unique_consecutive(labels, return_counts=True)[1].cumsum(0).tolist()
    spans, start = [], 0
    for stop in ends:
        if stop - start >= _MIN_ROWS or stop == ends[-1]:
            spans.append((start, stop))
            start = stop
    return spans


def _ious(masks, areas):
    """IoU (n, n) of masks (n, pixels); below the diagonal not always computed."""
    inter = _all_intersections(masks)
    # what a mask has in common with itself
    areas = inter.diagonal().clone() if areas is None else areas
    # two empty masks have no union
    union = (areas[:, None] + areas).float().sub_(inter).clamp_(min=1)
    return inter.div_(union)


def _all_intersections(masks):
    """Common pixels (n, n) of bool masks (n, pixels), exact; below the diagonal not always."""
    count = len(masks)
    if masks.device.type != 'cpu':
        return sum(map(_half_product, masks.split(chunk_size(count, device=masks.device), 1)))
    inter = torch.zeros(count, count)
    if _bytes_pay():
        masks = masks.view(torch.int8)
        for block, rest in _triangle(count):
            inter[block, rest] = torch._int_mm(masks[block], masks[rest].t())
        return inter
    # 0 and 1 are exact in every precision, and so are float32 sums below 2**24
    with torch.autocast('cpu', enabled=False):
        for part in masks.split(chunk_size(count), 1):
            part = part.float()
            for block, rest in _triangle(count):
                inter[block, rest].addmm_(part[block], part[rest].t())
    return inter


def _triangle(count):
    """(rows, columns) of blocks that cover the upper triangle of a square."""
    for start in range(0, count, _MAX_ROWS):
        yield slice(start, start + _MAX_ROWS), slice(start, None)


def _half_product(masks):
    """Common pixels (n, n) of bool masks (n, pixels), exact, at the speed of float16.

    The pixels are cut into pieces of so few that a piece's sums are exact in float16, and the
    pieces are multiplied at once: one product of few masks and many pixels would leave most of a
    GPU idle.
    """
    count, pixels = masks.shape
    pieces = max(1, -(-pixels // _EXACT_HALF))
    size = -(-pixels // (8 * pieces)) * 8
    values = masks.new_zeros(count, pieces * size, dtype=torch.float16)
    values[:, :pixels] = masks
    values = values.view(count, pieces, size).transpose(0, 1)
    with torch.autocast(masks.device.type, enabled=False):
        return torch.bmm(values, values.transpose(1, 2)).sum(0, dtype=torch.float32)


@functools.cache
def _bytes_pay():
    """Whether this CPU is faster at products of bytes with 32-bit sums than at those of floats.

    They are exact and need no copy of the masks as floats, which costs more than the product of a
    small class. But a CPU without instructions for them (VNNI, AMX) takes twenty times as long, so
    both are timed, once a process.
    """
    if not (hasattr(torch, '_int_mm') and torch.backends.mkldnn.is_available()):
        return False
    masks = torch.ones(_MIN_ROWS, 2**14, dtype=torch.int8)
    return (fewest_seconds(lambda: torch._int_mm(masks, masks.t()))
            < fewest_seconds(lambda: masks.float() @ masks.float().t()))
