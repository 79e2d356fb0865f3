"""Masks in the data-loading workers."""
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask.structures import BaseInstanceMasks

from .lazy import LazyMasks
from .shrink import ShrunkMasks, central_pieces
from .transformed import TransformedMasks


class _CountsAsLoadAnnotations(type(LoadAnnotations)):
    """mmdet looks for the very class among the steps that load, as ``analyze_results`` does."""

    def __eq__(cls, other):
        return other is cls or other is LoadAnnotations

    def __hash__(cls):
        return hash(LoadAnnotations)


@TRANSFORMS.register_module()
class LoadLazyAnnotations(LoadAnnotations, metaclass=_CountsAsLoadAnnotations):
    """mmdet's ``LoadAnnotations`` with masks that are drawn at the end of the pipeline.

    The masks have the same pixels as with ``LoadAnnotations(with_mask=True)``, whatever is resized,
    flipped, cropped or padded in between; they take a fraction of the time. Modified keys as
    there, ``gt_masks`` being :class:`LazyMasks`.

    A transform of this project that turns masks into targets (``ShrinkMasks``, ``GridMaskTargets``,
    ``ExtractContours``) belongs at the end, so that the workers draw; where there is none, the
    masks are drawn by whoever reads them.

    Args:
        with_mask: Whether to load masks.
        transform_polygons: Whether polygons are transformed, and drawn at the size of the network's
            input (:class:`TransformedMasks`), instead of drawn at the size of the image file.
        kwargs: Of ``LoadAnnotations``.
    """

    def __init__(self, with_mask: bool = True, transform_polygons: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(with_mask=with_mask, poly2mask=True, **kwargs)
        self.kind = TransformedMasks if transform_polygons else LazyMasks

    def _load_masks(self, results: dict) -> None:
        height, width = results['ori_shape']
        results['gt_masks'] = self.kind(self._process_masks(results), height, width)


class MaskTargets(BaseTransform):
    """Replace ``gt_masks`` by what a head's targets are made of, once.

    A subclass says in ``kind`` which class that is and in ``make`` how it comes from masks.

    Raises:
        KeyError: Without ``gt_masks``.
        ValueError: They have another size than the image: a step before has left them behind.
    """

    kind: type

    def make(self, masks: BaseInstanceMasks) -> BaseInstanceMasks:
        """``kind`` from any of mmdet's masks."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        """Replace ``gt_masks``."""
        if 'gt_masks' not in results:
            raise KeyError(f'{type(self).__name__} found no gt_masks: set with_mask=True in the '
                           "pipeline's LoadAnnotations")
        masks = results['gt_masks']
        size = results['img'].shape[:2] if 'img' in results else results.get('img_shape')
        if size is not None and tuple(size[:2]) != (masks.height, masks.width):
            raise ValueError(f'{type(self).__name__}: the masks of {results.get("img_path")} have '
                             f'{masks.height} x {masks.width} pixels, and the image {size[0]} x '
                             f'{size[1]}: a step before moves images and leaves masks behind; '
                             'leave it out')
        if not isinstance(masks, self.kind):
            results['gt_masks'] = self.make(results['gt_masks'])
        return results


@TRANSFORMS.register_module()
class ShrinkMasks(MaskTargets):
    """Replace an image's masks by what Lordre's targets are made of.

    Its place is the end of the pipeline, just before ``PackDetInputs``: nothing may resize, flip
    or crop afterwards. The head computes the same from plain masks; with this transform the workers
    do it, and only what is not zero leaves them.

    Modified keys: ``gt_masks`` (any of mmdet's masks -> :class:`ShrunkMasks`).

    Args:
        factor: Stride of the head's mask logits in pixels of the network input; of
            ``LordrePlaceHead`` with ``mask_upsample`` also that of its features.

    Raises:
        ValueError: If a factor is not even.
        KeyError: Without ``gt_masks``.
    """

    kind = ShrunkMasks

    def __init__(self, factor: int | Sequence[int] = 4) -> None:
        self.factors = (factor, ) if isinstance(factor, int) else tuple(factor)
        for one in self.factors:
            if one < 2 or one % 2:
                raise ValueError(f'factor must be even, not {one}')

    def make(self, masks: BaseInstanceMasks) -> ShrunkMasks:
        return ShrunkMasks({factor: central_pieces(masks, factor) for factor in self.factors},
                           masks.height, masks.width)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(factor={self.factors})'
