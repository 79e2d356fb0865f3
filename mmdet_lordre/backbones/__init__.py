"""Backbones that mmdet lacks."""
from .darknet import TimmDarknet
from .deformable import DeformableOpsHook, check_deformable_ops
from .pvt_v2 import PVTv2

__all__ = ['DeformableOpsHook', 'PVTv2', 'TimmDarknet', 'check_deformable_ops']
