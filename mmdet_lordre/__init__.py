"""Instance segmentation for MMDetection 3: Lordre (SparseInst), SOLOv2, AggMask and PolarMask.

Importing the package registers everything with mmdet's registries.
"""
# ruff: noqa: E402, I001
from .compat import check_stack

__version__ = '0.1.0'

check_stack()

from . import (masks, grid, lordre, solov2, aggmask, polarmask, backbones, checkpoints,  # noqa: F401
               evaluation, visualization, runtime, mim)
