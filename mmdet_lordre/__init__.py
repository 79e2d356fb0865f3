"""Instance segmentation for MMDetection 3: Lordre (SparseInst), SOLOv2, AggMask and PolarMask.

Importing the package registers everything with mmdet's registries; what else it changes is in
:mod:`.patches`.
"""
# ruff: noqa: E402
from .compat import check_stack

__version__ = '0.1.0'

check_stack()

from . import (  # noqa: F401 - each registers what it has
    aggmask,
    backbones,
    checkpoints,
    evaluation,
    grid,
    lordre,
    masks,
    patches,
    polarmask,
    solov2,
    training,
    visualization,
)

patches.apply()
