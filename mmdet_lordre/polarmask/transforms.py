"""What PolarMask's data pipeline adds to mmdet's."""
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks

from .contours import InstanceContours


def _require_masks(results: dict, transform: str):
    if 'gt_masks' not in results:
        raise KeyError(f"{transform} needs 'gt_masks' ({results.get('img_path', 'unnamed image')})"
                       ': set with_mask=True in LoadAnnotations')
    return results['gt_masks']


@TRANSFORMS.register_module()
class ExtractContours(BaseTransform):
    """Replace each mask by its largest contour and centroid, once per instance.

    Its place is the end of the pipeline, before ``PackDetInputs``: nothing may resize, flip or
    crop afterwards. `PolarMask <https://arxiv.org/abs/1909.13226>`_ needs no more of a mask, and
    what a worker sends to the training process shrinks from N bitmaps to a few kilobytes.

    With ``LoadAnnotations(poly2mask=False)`` polygons are drawn at the size of the network's
    input, each within its bounds. That is several times faster and finer than resizing bitmaps;
    published models were trained on bitmaps resized with nearest neighbor.

    Modified keys:

    - gt_masks (BitmapMasks | PolygonMasks -> InstanceContours)

    Args:
        holes: Whether to keep the contour of the largest hole, too, for ``PolarMaskHead`` with
            ``holes=True``.

    Raises:
        KeyError: Without ``gt_masks``.
    """

    def __init__(self, holes: bool = False) -> None:
        self.holes = holes

    def transform(self, results: dict) -> dict:
        masks = _require_masks(results, type(self).__name__)
        results['gt_masks'] = InstanceContours.from_masks(masks, self.holes)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(holes={self.holes})'


@TRANSFORMS.register_module()
class FilterTinyInstances(BaseTransform):
    """Leave out instances too small to learn, measured in pixels of the original image.

    Its place is right behind ``LoadAnnotations``, before anything resizes. Left out is an
    instance whose mask has ``max_area`` pixels or fewer, or whose box is smaller than
    ``min_side`` in both directions. Ignored instances (crowds) stay as they are.

    Modified keys: gt_bboxes, gt_bboxes_labels, gt_masks, gt_ignore_flags.

    Args:
        max_area: Largest area, in pixels, that is left out.
        min_side: Length in pixels.
        skip_empty: Skip an image without a trainable instance; otherwise it is background.

    Raises:
        KeyError: Without ``gt_masks``.
    """

    KEYS = ('gt_bboxes', 'gt_bboxes_labels', 'gt_masks', 'gt_ignore_flags')

    def __init__(self, max_area: float = 15, min_side: float = 10,
                 skip_empty: bool = True) -> None:
        self.max_area, self.min_side, self.skip_empty = max_area, min_side, skip_empty

    def transform(self, results: dict) -> dict | None:
        masks = _require_masks(results, type(self).__name__)
        # lazy masks count without being drawn whole
        if type(masks) is BitmapMasks:
            areas = np.array([cv2.countNonZero(mask) for mask in masks.masks])
        else:
            areas = np.asarray(masks.areas)
        boxes = results['gt_bboxes']
        boxes = np.asarray(getattr(boxes, 'tensor', boxes)).reshape(-1, 4)
        sides = boxes[:, 2:] - boxes[:, :2]
        trained = (areas > self.max_area) & (sides >= self.min_side).any(1)
        ignored = np.asarray(results.get('gt_ignore_flags', np.zeros(len(masks))), bool)
        trained &= ~ignored
        if self.skip_empty and not trained.any():
            return None
        keep = trained | ignored
        if not keep.all():
            for key in self.KEYS:
                if key in results:
                    results[key] = results[key][keep]
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(max_area={self.max_area}, min_side={self.min_side}, '
                f'skip_empty={self.skip_empty})')
