"""Instance segmentation for MMDetection 3: Lordre (SparseInst), SOLOv2, AggMask and PolarMask.

Importing the package registers everything with mmdet's registries; what else it adds to other
packages is listed in :mod:`.patches`. :func:`secure` makes mmengine read files as data only.
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
    prediction,
    solov2,
    training,
    visualization,
)
from .datasets import pixel_values  # noqa: F401 - a transform

patches.apply()
secure = patches.secure


def __getattr__(name):
    """``mmdet_lordre.Segmenter``, imported when somebody asks for it."""
    if name == 'Segmenter':
        from .segmenter import Segmenter
        return Segmenter
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
