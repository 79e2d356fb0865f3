"""PolarMask: an instance as a center and rays (Xie et al., CVPR 2020)."""
from .contours import InstanceContours, contour_centroids, largest_contour
from .detector import PolarMask
from .head import PolarMaskHead, polar_centerness
from .losses import PolarIoULoss, polar_iou_loss
from .polygons import contours_to_bitmaps, contours_to_rle
from .rays import PolarRayCoder
from .targets import PolarTargets, level_points, polar_targets, positive_points
from .transforms import ExtractContours, FilterTinyInstances

__all__ = [
    'ExtractContours', 'FilterTinyInstances', 'InstanceContours', 'PolarIoULoss', 'PolarMask',
    'PolarMaskHead', 'PolarRayCoder', 'PolarTargets', 'contour_centroids', 'contours_to_bitmaps',
    'contours_to_rle', 'largest_contour', 'level_points', 'polar_centerness', 'polar_iou_loss',
    'polar_targets', 'positive_points',
]
