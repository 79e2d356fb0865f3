"""Masks as COCO run lengths."""
import numpy as np
import torch
from pycocotools import mask as mask_api
from torch import Tensor

from .chunks import chunk_size


class RLEMasks(list):
    """A list of COCO run-length encoded masks that stands where a mask tensor stands.

    Each item is ``{'size': [height, width], 'counts': bytes}``, as ``pycocotools.mask`` writes
    it. mmdet's metrics take the list as it is; mmdet's visualiser calls :meth:`astype`; its
    inferencer calls :meth:`cpu` where there is no box; an ``InstanceData`` that is indexed keeps
    the type.

    Args:
        items: The encoded masks, all of one size.
        size: (height, width), needed to decode a list without any mask.
    """

    def __init__(self, items=(), size: tuple[int, int] | None = None):
        super().__init__(items)
        if size is None:
            size = tuple(self[0]['size']) if len(self) else (0, 0)
        self.size = (int(size[0]), int(size[1]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(number of masks, height, width)."""
        return (len(self), *self.size)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return RLEMasks(super().__getitem__(index), self.size)
        return super().__getitem__(index)

    def __add__(self, other):
        return RLEMasks(list(self) + list(other), self.size)

    def __reduce__(self):
        return (RLEMasks, (list(self), self.size))

    def to_ndarray(self) -> np.ndarray:
        """Decode to a uint8 array (N, height, width)."""
        if not len(self):
            return np.zeros(self.shape, np.uint8)
        return mask_api.decode(list(self)).transpose(2, 0, 1)

    def cpu(self) -> Tensor:
        """Decode to a BoolTensor (N, height, width)."""
        return torch.from_numpy(self.to_ndarray().astype(bool))

    def astype(self, dtype) -> np.ndarray:
        """Decode to an array (N, height, width) of ``dtype``."""
        return self.to_ndarray().astype(dtype)


def encode_masks(masks: Tensor | np.ndarray) -> RLEMasks:
    """Encode bool or 0/1 masks (N, height, width) as run lengths.

    A tensor on another device is copied to the CPU: run lengths are bytes there.
    """
    if masks.ndim != 3:
        raise ValueError(f'masks must have shape (N, height, width), not {tuple(masks.shape)}')
    _, height, width = masks.shape
    encoded = RLEMasks(size=(height, width))
    step = chunk_size(height * width)  # a copy in another order is made of so many at once
    for start in range(0, len(masks), step):
        part = masks[start:start + step]
        if isinstance(part, Tensor):
            part = part.detach().to(torch.uint8).cpu().numpy()
        # pycocotools reads a Fortran-ordered (height, width, N) array
        columns = np.asfortranarray(part.transpose(1, 2, 0).astype(np.uint8, copy=False))
        encoded.extend(mask_api.encode(columns))
    return encoded
