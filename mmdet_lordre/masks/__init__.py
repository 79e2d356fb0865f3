"""Mask arithmetic that every family uses."""
from .chunks import chunk_size
from .geometry import mask_boxes, maskness
from .resize import to_original_size
from .rle import RLEMasks, encode_masks

__all__ = ['RLEMasks', 'chunk_size', 'encode_masks', 'mask_boxes', 'maskness', 'to_original_size']
