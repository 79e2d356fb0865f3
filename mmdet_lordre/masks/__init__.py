"""Mask arithmetic that every family uses."""
from .chunks import chunk_size
from .geometry import mask_boxes, maskness
from .resize import to_original_size
from .rle import RLEMasks, encode_masks
from .shrink import central_sums

__all__ = ['RLEMasks', 'central_sums', 'chunk_size', 'encode_masks', 'mask_boxes', 'maskness',
           'to_original_size']
