"""What a head finds in an image."""
from mmengine.structures import InstanceData

from .rle import RLEMasks


class MaskInstances(InstanceData):
    """mmengine's ``InstanceData``, which decodes run lengths where it turns tensors into arrays.

    mmdet's ``DetInferencer`` encodes the masks of ``numpy()``, and expects bitmaps there.
    """

    def numpy(self) -> 'MaskInstances':
        """The same with arrays in place of tensors and of run lengths, (N, height, width)."""
        arrays = super().numpy()
        if isinstance(arrays.get('masks'), RLEMasks):
            arrays.masks = arrays.masks.numpy()
        return arrays
