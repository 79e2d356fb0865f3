from .coco_mask_metric import CocoMaskMetric
from .dump import DumpMaskResults
from .lvis_cocofied import LVISMaskMetric

__all__ = ['CocoMaskMetric', 'DumpMaskResults', 'LVISMaskMetric']
