"""Mass centers and shrunk copies of ground-truth masks, each mask read once or twice.

A mask holds one byte a pixel, 0 or 1. Eight pixels read as one 64-bit word can be added word by
word, as long as no byte counts beyond 255: that makes both jobs run at the speed of the memory.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from ..masks import central_sums

# words that can be added before a byte may overflow
_MAX_TERMS = 255


def as_bytes(masks: Tensor) -> Tensor:
    """Masks (N, H, W) of any dtype as uint8, 0 or 1; no copy where they already are.

    Raises:
        ValueError: Another number of dimensions.
    """
    if masks.dim() != 3:
        raise ValueError(f'masks must have shape (N, height, width), not {tuple(masks.shape)}')
    if masks.dtype == torch.bool:
        return masks.contiguous().view(torch.uint8)
    # looking costs less than a copy; on other devices it would wait for the device
    look = masks.dtype == torch.uint8 and masks.device.type == 'cpu' and masks.numel()
    if look and int(masks.max()) <= 1:
        return masks.contiguous()
    return (masks != 0).contiguous().view(torch.uint8)


def _as_words(masks: Tensor) -> Tensor:
    """uint8 (N, H, W) as int64 (N, H, ceil(W / 8)), the rows padded with zeros."""
    extra = -masks.shape[2] % 8
    if extra:
        masks = F.pad(masks, (0, extra))
    elif masks.storage_offset() % 8:
        masks = masks.clone()
    return masks.view(torch.int64)


def _sum_words(words: Tensor, dim: int) -> Tensor:
    """Sum int64 words of eight 0/1 bytes over ``dim``, byte by byte.

    Returns int64, the last dimension of the reduced words eight times as long.
    """
    parts = [part.sum(dim).unsqueeze(-1).view(torch.uint8).long()
             for part in words.split(_MAX_TERMS, dim)]
    return torch.stack(parts).sum(0).flatten(-2) if len(parts) > 1 else parts[0].flatten(-2)


def moment_sums(masks: Tensor) -> Tensor:
    """Exact sums over the pixels of masks.

    Args:
        masks: (N, H, W), bool, or numbers where everything but 0 is inside.

    Returns:
        int64 Tensor (N, 3): sum of x, sum of y, area; in pixels of the masks.

    Raises:
        ValueError: If the masks are not of shape (N, H, W).
    """
    masks = as_bytes(masks)
    count, height, width = masks.shape
    device = masks.device
    if not masks.numel():
        return torch.zeros(count, 3, dtype=torch.int64, device=device)
    xs = torch.arange(-(-width // 8) * 8, device=device)
    ys = torch.arange(height, device=device)
    words = _as_words(masks)
    rows = _sum_words(words, 2).view(count, height, 8).sum(2)
    columns = _sum_words(words, 1)
    return torch.stack(((columns * xs).sum(1), (rows * ys).sum(1), rows.sum(1)), dim=1)


def mass_centers(sums: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Mass centers from :func:`moment_sums`; only the quotient is rounded.

    Args:
        sums: int64 (N, 3): sum of x, sum of y, area.
        dtype: Of the centers. SOLOv2 uses float32, AggMask float64.

    Returns:
        (N, 2): x, y in the same pixels, (0, 0) for an empty mask.
    """
    return sums[:, :2].to(dtype) / sums[:, 2:].clamp(min=1).to(dtype)


def mask_moments(masks: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Mass centers and areas of masks.

    Args:
        masks: (N, H, W), bool, or numbers where everything but 0 is inside.
        dtype: Of the centers.

    Returns:
        - centers (N, 2): x, y in pixels of the masks, (0, 0) for an empty mask.
        - areas (N,): int64, in pixels.
    """
    sums = moment_sums(masks)
    return mass_centers(sums, dtype), sums[:, 2]


def shrink_masks(masks: Tensor, factor: int = 4, size: tuple[int, int] | None = None) -> Tensor:
    """Mask targets: masks shrunk ``factor`` times.

    A target pixel is set where at least two of the central 2x2 pixels of its ``factor`` x
    ``factor`` block are: exactly OpenCV's bilinear resize of uint8 masks by 1 / ``factor``.

    Args:
        masks: (N, H, W), bool, or numbers where everything but 0 is inside.
        factor: Even.
        size: (h, w) of the result, (ceil(H / factor), ceil(W / factor)) if not given. What lies
            beyond the masks counts as zero, what lies beyond ``size`` is left out.

    Returns:
        BoolTensor (N, h, w) where the masks are.

    Raises:
        ValueError: If ``factor`` is odd or the masks are not of shape (N, H, W).
    """
    masks = as_bytes(masks)
    height, width = masks.shape[1:]
    whole = (-(-height // factor), -(-width // factor))
    size = whole if size is None else (int(size[0]), int(size[1]))
    if factor != 4 or height % 4 or width % 8 or not masks.numel():
        return central_sums(masks, factor, size) >= 2
    words = _as_words(masks)
    pairs = (words[:, 1::4] + words[:, 2::4]).view(torch.int32)
    # bytes b0..b3 of a block: the product's highest byte is b1 + b2
    shrunk = pairs.mul_(0x00010100) >= 2 << 24
    if size == whole:
        return shrunk
    shrunk = shrunk[:, :size[0], :size[1]]
    return F.pad(shrunk, (0, size[1] - shrunk.shape[2], 0, size[0] - shrunk.shape[1]))
