"""Backbones that mmdet lacks."""
from .darknet import TimmDarknet
from .deformable import DeformableOpsHook, check_deformable_ops
from .pvt_v2 import LordrePVTv2

__all__ = ['DeformableOpsHook', 'LordrePVTv2', 'TimmDarknet', 'check_deformable_ops']
