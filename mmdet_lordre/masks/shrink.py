"""Ground-truth masks at the size of the network's maps."""
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from torch import Tensor


def central_sums(masks: BitmapMasks | PolygonMasks | Tensor | np.ndarray, factor: int,
                 size: tuple[int, int], device=None) -> Tensor:
    """Sum of the central 2x2 pixels of each ``factor`` x ``factor`` block.

    A quarter of it is the bilinear resize (``align_corners=False``) by ``1 / factor``, exactly,
    for even factors. Only four pixels of a block are read, where the masks are (mmdet keeps them
    on the CPU), and only the small result goes to ``device``.

    Args:
        masks: N masks (N, h, w) of the image without padding, 0 or 1.
        factor: Even size of a block.
        size: (height, width) of the result; what lies beyond the masks counts as zero.
        device: Where the result goes; where the masks are, if not given.

    Returns:
        uint8 Tensor (N, *size) with values 0 to 4.

    Raises:
        ValueError: If ``factor`` is odd.
    """
    if factor % 2 or factor < 2:
        raise ValueError(f'factor must be even, not {factor}')
    if isinstance(masks, BitmapMasks):
        masks = masks.masks
    elif isinstance(masks, PolygonMasks):
        masks = masks.to_ndarray()
    if not isinstance(masks, Tensor):
        masks = torch.from_numpy(np.ascontiguousarray(masks, dtype=np.uint8))
    sums = torch.zeros(len(masks), *size, dtype=torch.uint8, device=masks.device)
    first = factor // 2 - 1
    for row in (first, first + 1):
        for column in (first, first + 1):
            read = masks[:, row::factor, column::factor][:, :size[0], :size[1]]
            sums[:, :read.shape[1], :read.shape[2]] += read
    return sums if device is None else sums.to(device)
