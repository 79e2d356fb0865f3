"""From the network's probability maps to masks of the original image, in one step.

Published mask heads resize twice: from the map to the padded network input, and, after the
padding is cropped, from there to the original image. Together these are one product with a band
matrix on each side. Nothing at the size of the network input is ever made.
"""
from functools import lru_cache

import torch
from torch import Tensor

from .bilinear import taps
from .chunks import chunk_size
from .rle import RLEMasks, encode_masks
from .runs import rles_of_crops
from .small_masks import small_masks
from .transfer import upload

# Output rows (or columns) handled by one product: the narrower, the fewer zeros of the band
# matrix are multiplied; the wider, the fewer calls, which is what counts on a GPU.
_CPU_BLOCK = 64
_DEVICE_BLOCK = 256


@lru_cache(maxsize=64)
def _bands(src: int, up: int, crop: int, out: int, device: str):
    """The composite of both resizes and the crop, as blocks ``(start, low, high, matrix)``.

    Output samples from ``start`` on are ``matrix (block, high - low)`` times the source samples
    ``[low, high)``.
    """
    axis = taps(src, up, crop, out)
    size = _CPU_BLOCK if torch.device(device).type == 'cpu' else _DEVICE_BLOCK
    places, blocks = [], []
    for samples in torch.arange(out).split(size):
        low, high = int(axis.first[samples[0]]), int(axis.stop[samples[-1]])
        places.append((int(samples[0]), low, high))
        blocks.append(axis.matrices(samples, high - low))
    # all blocks in one copy
    flat = upload(torch.cat([block.flatten() for block in blocks]), device)
    parts = flat.split([block.numel() for block in blocks])
    return [(*place, part.view(block.shape))
            for place, part, block in zip(places, parts, blocks, strict=True)]


def _check(probs, up_size, crop_size, out_size, mask_format):
    if probs.dim() != 3:
        raise ValueError(f'probs must have shape (N, h, w), not {tuple(probs.shape)}')
    if mask_format not in ('bitmap', 'rle'):
        raise ValueError(f"mask_format must be 'bitmap' or 'rle', not {mask_format!r}")
    if any(c > u for c, u in zip(crop_size, up_size)):
        raise ValueError(f'the crop {tuple(crop_size)} exceeds the resized map {tuple(up_size)}')
    if min(*up_size, *crop_size, *out_size) < 1:
        raise ValueError('every size must be at least one pixel')


def to_original_size(probs: Tensor, up_size: tuple[int, int], crop_size: tuple[int, int],
                     out_size: tuple[int, int], threshold: float,
                     mask_format: str = 'bitmap') -> Tensor | RLEMasks:
    """Masks at the size of the original image from probability maps of the network.

    Equals a bilinear resize to ``up_size``, a crop to ``crop_size``, a bilinear resize to
    ``out_size`` (both with ``align_corners=False``) and ``> threshold``, up to float rounding.

    Args:
        probs: Probabilities (N, h, w) of any floating type; computed in float32.
        up_size: (height, width) of the padded network input.
        crop_size: (height, width) of the network input without padding.
        out_size: (height, width) of the original image.
        threshold: A pixel belongs to the mask where its probability is above it.
        mask_format: ``'bitmap'`` for a bool tensor, ``'rle'`` for run lengths, made chunk by
            chunk, so that no array of N full-size masks exists.

    Returns:
        BoolTensor (N, H, W) on the device of ``probs``, or :class:`RLEMasks`.

    Raises:
        ValueError: If a shape, size or format is not as said above.
    """
    _check(probs, up_size, crop_size, out_size, mask_format)
    (height, width), count = out_size, len(probs)
    sizes = tuple(zip(probs.shape[1:], up_size, crop_size, out_size))
    step = chunk_size(height * width, device=probs.device)
    if probs.device.type == 'cpu':
        windows, others = small_masks(probs.float(), up_size, crop_size, out_size, threshold)
        make = _bitmaps if mask_format == 'bitmap' else _run_lengths
        return make(probs, windows, others, sizes, threshold, step)
    if mask_format == 'bitmap':
        masks = torch.empty(count, height, width, dtype=torch.bool, device=probs.device)
        for start in range(0, count, step):
            _resize_into(probs[start:start + step], sizes, threshold, masks[start:start + step])
        return masks
    masks = RLEMasks(size=out_size)
    for start in range(0, count, step):
        part = probs[start:start + step]
        buffer = torch.empty(len(part), height, width, dtype=torch.bool, device=probs.device)
        _resize_into(part, sizes, threshold, buffer)
        masks.extend(encode_masks(buffer))
    return masks


def _bitmaps(probs, windows, others, sizes, threshold, step):
    """On a CPU, of small masks from their windows, and of a few others at once."""
    size = [out for *_, out in sizes]
    masks = torch.zeros(len(probs), *size, dtype=torch.bool)
    for some in windows:
        _, width, height = some.columns.shape
        numbers, tops, lefts = (torch.from_numpy(one)[:, None, None] for one in some[:3])
        masks[numbers, tops + torch.arange(height)[:, None], lefts + torch.arange(width)] = \
            some.columns.transpose(1, 2)
    for start in range(0, len(others), step):
        some = others[start:start + step]
        found = torch.empty(len(some), *size, dtype=torch.bool)
        _resize_into(probs[some], sizes, threshold, found)
        masks[some] = found
    return masks


def _run_lengths(probs, windows, others, sizes, threshold, step):
    """The same as run lengths."""
    height, width = (out for *_, out in sizes)
    encoded = [None] * len(probs)
    for some in windows:
        rles = rles_of_crops(some.columns.numpy(), some.tops, some.lefts, (height, width))
        for number, rle in zip(some.masks.tolist(), rles):
            encoded[number] = rle
    for start in range(0, len(others), step):
        some = others[start:start + step]
        turned = torch.empty(len(some), width, height, dtype=torch.bool)
        # columns as rows: run lengths go down the columns
        _resize_into(probs[some].transpose(1, 2), sizes[::-1], threshold, turned)
        for number, rle in zip(some.tolist(), encode_masks(turned.transpose(1, 2))):
            encoded[number] = rle
    return RLEMasks(encoded, (height, width))


def _resize_into(probs, sizes, threshold, out):
    """Write the thresholded resize of a few maps into ``out``."""
    rows, columns = (_bands(*axis, str(probs.device)) for axis in sizes)
    # autocast would run the products in half precision
    with torch.autocast(probs.device.type, enabled=False):
        probs = probs.float()
        wide = torch.cat([probs[..., low:high] @ matrix.t() for _, low, high, matrix in columns],
                         dim=2)
        for start, low, high, matrix in rows:
            torch.gt(matrix @ wide[:, low:high], threshold,
                     out=out[:, start:start + len(matrix)])
