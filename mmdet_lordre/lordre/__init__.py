"""Lordre: instance activation maps (published as SparseInst, CVPR 2022)."""
from .branches import InstanceBranch, MaskBranch
from .detector import Lordre
from .encoder import InstanceContextEncoder
from .head import LordreHead
from .matcher import LordreMatcher

__all__ = ['InstanceBranch', 'InstanceContextEncoder', 'Lordre', 'LordreHead', 'LordreMatcher',
           'MaskBranch']
