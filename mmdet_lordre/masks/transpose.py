"""Images whose rows become columns: with flips, all eight ways to lay a picture on a table."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks, PolygonMasks

from .lazy import LazyMasks, transposed_bitmaps

_SWAP = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)


@TRANSFORMS.register_module()
class RandomTranspose(BaseTransform):
    """Transpose an image and all that is annotated in it.

    Together with ``RandomFlip`` in three directions at a quarter each, all turns by 90 degrees and
    their mirror images are equally frequent. Where only tall things stand, this lays them down.

    Modified keys: ``img``, ``img_shape``, ``pad_shape``, ``scale_factor``, ``gt_bboxes``,
    ``gt_masks``, ``gt_seg_map``, ``homography_matrix``.

    Args:
        prob: Of doing so, for each image.

    Raises:
        ValueError: ``prob`` is not in [0, 1].
        TypeError: Boxes or masks of another kind.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob} is not in [0, 1]')
        self.prob = prob

    @cache_randomness
    def _chosen(self) -> bool:
        return bool(np.random.rand() < self.prob)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Transpose, or not."""
        if not self._chosen():
            return results
        results['img'] = np.ascontiguousarray(results['img'].swapaxes(0, 1))
        results['img_shape'] = results['img'].shape[:2]
        if 'pad_shape' in results:
            results['pad_shape'] = results['img'].shape
        if 'scale_factor' in results:
            results['scale_factor'] = tuple(results['scale_factor'][::-1])
        if 'gt_bboxes' in results:
            results['gt_bboxes'] = _transposed_boxes(results['gt_bboxes'])
        if 'gt_masks' in results:
            results['gt_masks'] = transposed(results['gt_masks'])
        if results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = np.ascontiguousarray(results['gt_seg_map'].T)
        results['homography_matrix'] = _SWAP @ results.get('homography_matrix',
                                                           np.eye(3, dtype=np.float32))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def transposed(masks: BaseInstanceMasks) -> BaseInstanceMasks:
    """Masks (N, height, width) with rows and columns in each other's place.

    Raises:
        TypeError: Of masks that are targets already, or of a kind that is not known.
    """
    if isinstance(masks, LazyMasks):
        return masks.transpose()
    if isinstance(masks, BitmapMasks):
        return transposed_bitmaps(masks)
    if isinstance(masks, PolygonMasks):
        swapped = [[np.asarray(part).reshape(-1, 2)[:, ::-1].ravel() for part in polygons]
                   for polygons in masks.masks]
        return PolygonMasks(swapped, masks.width, masks.height)
    raise TypeError(f'RandomTranspose cannot turn {type(masks).__name__}: its place in the '
                    'pipeline is before what makes targets of masks')


def _transposed_boxes(boxes):
    if not isinstance(boxes, HorizontalBoxes):
        raise TypeError(f'RandomTranspose cannot turn {type(boxes).__name__}')
    return HorizontalBoxes(boxes.tensor[..., [1, 0, 3, 2]], clone=False)
