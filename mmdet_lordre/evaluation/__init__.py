from .coco_mask_metric import CocoMaskMetric
from .dump import DumpMaskResults

__all__ = ['CocoMaskMetric', 'DumpMaskResults']
