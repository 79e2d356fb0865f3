from .coco_mask_metric import CocoMaskMetric

__all__ = ['CocoMaskMetric']
