"""What stands in the place of an image's masks when its geometry changes no more."""
from __future__ import annotations

from typing import Any, NoReturn

from mmdet.structures.mask.structures import BaseInstanceMasks


class InPlaceOfMasks(BaseInstanceMasks):
    """Targets of a head, made in a data-loading worker, where mmdet expects masks.

    ``PackDetInputs``, the data preprocessor and ``InstanceData`` handle them as they handle masks.
    A subclass can be indexed, padded and joined, and names the transform that makes it; what would
    change the geometry is refused.
    """

    #: Name of the transform.
    made_by: str

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f'{type(self).__name__} hold targets, and are masks no more: put '
                        f'{self.made_by} last in the pipeline, just before PackDetInputs')

    #: What would be written to, or drawn.
    masks = property(_refuse)

    rescale = resize = flip = crop = crop_and_resize = expand = _refuse
    to_ndarray = to_tensor = translate = shear = rotate = get_bboxes = _refuse
