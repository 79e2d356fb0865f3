"""Mask targets in the data-loading workers."""
from collections.abc import Sequence

from mmdet.registry import TRANSFORMS

from ..masks.transforms import MaskTargets
from .ground_truths import GridMasks, grid_factors, read_masks


@TRANSFORMS.register_module()
class GridMaskTargets(MaskTargets):
    """Replace an image's masks by what SOLOv2 and AggMask need of them.

    Those are the masks shrunk to the size of the mask targets, and each mask's area and mass
    center (as exact sums). Put it after the last transform that changes masks, just before
    ``PackDetInputs``. The heads compute the same from plain masks; with this transform the
    workers do it, and a 16th of the masks' bytes or less leaves them.

    Required keys: ``gt_masks`` (``BitmapMasks`` or ``PolygonMasks``). Modified keys: ``gt_masks``
    (:class:`GridMasks`).

    Args:
        factors: What the masks are shrunk by: the stride of the head's mask maps, 4 in SOLOv2
            and AggMask*, 4, 8 and 16 in AggMask. Defaults to 4.

    Raises:
        ValueError: If a factor is not even.
        KeyError: If the results have no ``gt_masks``.
    """

    kind = GridMasks

    def __init__(self, factors: int | Sequence[int] = 4):
        self.factors = grid_factors(factors)

    def make(self, masks: object) -> GridMasks:
        sums, shrunk = read_masks(masks, dict.fromkeys(self.factors))
        return GridMasks(sums.numpy(),
                         {factor: part.numpy() for factor, part in shrunk.items()},
                         masks.height, masks.width)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(factors={self.factors})'
