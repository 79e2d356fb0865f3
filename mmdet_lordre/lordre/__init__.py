"""Lordre: instance activation maps (published as SparseInst, CVPR 2022)."""
from .base_head import LordreBaseHead
from .branches import InstanceBranch, MaskBranch
from .detector import Lordre
from .encoder import LordreEncoder
from .head import LordreHead
from .matcher import LordreMatcher
from .place_head import LordrePlaceHead
from .places import PlaceBranch
from .region_classifier import RegionClassifier, region_owners

__all__ = [
           'InstanceBranch',
           'Lordre',
           'LordreBaseHead',
           'LordreEncoder',
           'LordreHead',
           'LordreMatcher',
           'LordrePlaceHead',
           'MaskBranch',
           'PlaceBranch',
           'RegionClassifier',
           'region_owners',
]
