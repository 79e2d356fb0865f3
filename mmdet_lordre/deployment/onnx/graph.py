"""What the graphs of all families are built from.

An ONNX graph has no loop over images here and no lists: the items of each image (cells,
detections) lie in *slots*, as many as the image with the most items has. A graph of one image
therefore does exactly the work that PyTorch does, and one of a batch little more.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

#: Label of an empty slot; its score is 0.
NO_LABEL = -1


def number(value: int | Tensor) -> Tensor:
    """A size as a tensor; while a graph is traced it is one, and stays part of the graph."""
    return value if isinstance(value, Tensor) else torch.tensor(value)


def at_most(value: int | Tensor, limit: int | Tensor) -> Tensor:
    """The smaller of two sizes; a limit that is not positive is none."""
    return number(value).clamp(max=limit) if limit is not None and limit > 0 else number(value)


def most(flags: Tensor) -> Tensor:
    """Slots that flags (B, N) need: the largest count of an image, at least 1."""
    return flags.sum(dim=1).max().clamp(min=1)


def occupied(flags: Tensor) -> tuple[Tensor, Tensor]:
    """Slots of the items that are flagged, in their order.

    Args:
        flags: BoolTensor (B, N).

    Returns:
        Index of each slot's item (B, n), and whether the slot holds one, BoolTensor (B, n).
    """
    place = torch.arange(flags.shape[1], device=flags.device)
    # distinct keys: flagged items first, each kind by rising place
    keys = torch.where(flags, number(flags.shape[1]) - place, -1 - place).float()
    values, index = keys.topk(most(flags), dim=1)
    return index, values > 0


def best(scores: Tensor, limit: int | None) -> tuple[Tensor, Tensor]:
    """Slots of the items with the highest scores.

    Args:
        scores: (B, N); items that take no part have score 0.
        limit: Slots, at most.

    Returns:
        Scores (B, n), falling, and the index of each slot's item (B, n).
    """
    return scores.topk(at_most(most(scores > 0), limit), dim=1)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Items of each image: (B, N, ...) at index (B, n) to (B, n, ...)."""
    first = torch.arange(x.shape[0], device=x.device)[:, None] * x.shape[1]
    rows = x.flatten(0, 1).index_select(0, (index + first).flatten())
    return rows.reshape(x.shape[0], -1, *x.shape[2:])


def shifts(x: Tensor, size: int) -> list[Tensor]:
    """The maps (..., h, w) as each place of a ``size`` x ``size`` kernel sees them, row-major."""
    if size == 1:
        return [x]
    pad = size // 2
    height, width = x.shape[-2:]
    padded = F.pad(x, (pad, pad, pad, pad))
    return [padded[..., row:row + height, column:column + width]
            for row in range(size) for column in range(size)]


def enlarge(maps: Tensor, size: tuple, keep: Tensor) -> Tensor:
    """Maps (B, n, h, w) resized bilinearly to ``size``, of which the first ``keep`` (height,
    width) are returned."""
    maps = F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)
    return maps[..., :keep[0], :keep[1]]


def masks_of(probs: Tensor, threshold: float, binary: bool) -> Tensor:
    """uint8 masks, or the probabilities as they are."""
    return (probs > threshold).to(torch.uint8) if binary else probs


def mark_empty(labels: Tensor, held: Tensor) -> Tensor:
    """Labels with ``NO_LABEL`` where a slot is empty."""
    return torch.where(held, labels, NO_LABEL)


def sums_inside(probs: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which pixels of maps (..., h, w) are inside, how many, and the sum of the probabilities."""
    inside = (probs > threshold).float()
    return inside, inside.sum(dim=(-2, -1)), (probs * inside).sum(dim=(-2, -1))
