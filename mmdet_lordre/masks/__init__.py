"""Mask arithmetic that every family uses."""
from .chunks import chunk_size
from .geometry import mask_boxes, maskness
from .instances import MaskInstances
from .lazy import LazyMasks
from .resize import to_original_size
from .rle import RLEMasks, encode_masks
from .runs import bounds_of, mask_areas
from .shrink import ShrunkMasks, central_sums
from .transfer import constant, upload
from .transformed import TransformedMasks
from .transforms import LoadLazyAnnotations, ShrinkMasks
from .transpose import RandomTranspose

__all__ = ['LazyMasks', 'LoadLazyAnnotations', 'MaskInstances', 'RLEMasks', 'RandomTranspose',
           'ShrinkMasks', 'ShrunkMasks', 'TransformedMasks', 'bounds_of', 'central_sums',
           'chunk_size', 'constant', 'encode_masks', 'mask_areas', 'mask_boxes', 'maskness',
           'to_original_size', 'upload']
