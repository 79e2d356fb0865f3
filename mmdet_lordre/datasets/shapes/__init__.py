"""The embedded data set "shapes": pictures of plain shapes with exact masks, made from a seed.

Needs NumPy, OpenCV and pycocotools only, so that it can be made before (or without) torch.
"""
from .dataset import ExistingDataError, make_dataset
from .outlines import CLASSES, PALETTE
from .scene import Scene, make_scene

__all__ = ['CLASSES', 'PALETTE', 'ExistingDataError', 'Scene', 'make_dataset', 'make_scene']
