"""Lordre: instance activation maps (published as SparseInst, CVPR 2022)."""
from .branches import InstanceBranch, MaskBranch
from .detector import Lordre
from .encoder import LordreEncoder
from .head import LordreHead
from .matcher import LordreMatcher
from .region_classifier import RegionClassifier, region_owners

__all__ = [
           'InstanceBranch',
           'Lordre',
           'LordreEncoder',
           'LordreHead',
           'LordreMatcher',
           'MaskBranch',
           'RegionClassifier',
           'region_owners',
]
