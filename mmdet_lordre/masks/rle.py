"""Masks as COCO run lengths."""
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike
from pycocotools import mask as mask_api
from torch import Tensor

from .chunks import chunk_size
from .runs import Crop, crop_of_rle, rles_of_changes


class RLEMasks(Sequence):
    """COCO run-length encoded masks that stand where a mask tensor stands.

    Each item is ``{'size': [height, width], 'counts': bytes}``, as ``pycocotools.mask`` writes
    it. mmdet's metrics take the items; what it does with tensors of masks (:meth:`numpy`,
    :meth:`cpu`, :meth:`astype`) decodes them; an ``InstanceData`` that is indexed keeps the type.
    It is no list, since mmengine takes lists apart on their way to the CPU.

    Args:
        items: The encoded masks, all of one size.
        size: (height, width), needed to decode a sequence without any mask.
    """

    def __init__(self, items: Iterable[dict] = (), size: tuple[int, int] | None = None):
        self._items = list(items)
        if size is None:
            size = tuple(self._items[0]['size']) if self._items else (0, 0)
        self.size = (int(size[0]), int(size[1]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(number of masks, height, width)."""
        return (len(self), *self.size)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return RLEMasks(self._items[index], self.size)
        return self._items[index]

    def __eq__(self, other) -> bool:
        if not isinstance(other, RLEMasks):
            return NotImplemented
        return self.size == other.size and self._items == other._items

    __hash__ = None

    def __repr__(self) -> str:
        return f'RLEMasks(num_masks={len(self)}, height={self.size[0]}, width={self.size[1]})'

    def __reduce__(self):
        return (RLEMasks, (self._items, self.size))

    @staticmethod
    def cat(masks: Sequence['RLEMasks']) -> 'RLEMasks':
        """The masks of several objects of this class, of one image."""
        return RLEMasks([mask for part in masks for mask in part], masks[0].size)

    def extend(self, items: Iterable[dict]) -> None:
        """Add masks of the same size at the end."""
        self._items.extend(items)

    def crops(self) -> Iterator[Crop]:
        """The pixels of each mask inside its bounds: nothing of the image's size is made."""
        return map(crop_of_rle, self)

    def to_ndarray(self) -> np.ndarray:
        """Decode to a uint8 array (N, height, width)."""
        if not len(self):
            return np.zeros(self.shape, np.uint8)
        return mask_api.decode(self._items).transpose(2, 0, 1)

    def numpy(self) -> np.ndarray:
        """:meth:`to_ndarray`, under the name that tensors have for it."""
        return self.to_ndarray()

    def cpu(self) -> Tensor:
        """Decode to a BoolTensor (N, height, width)."""
        return torch.from_numpy(self.to_ndarray().astype(bool))

    def astype(self, dtype: DTypeLike) -> np.ndarray:
        """Decode to an array (N, height, width) of ``dtype``."""
        return self.to_ndarray().astype(dtype)


def encode_masks(masks: Tensor | np.ndarray) -> RLEMasks:
    """Encode bool or 0/1 masks (N, height, width) as run lengths.

    Run lengths are bytes of the CPU. Of a tensor on another device only the places where runs
    begin come there, a few hundredths of what the masks are.

    Raises:
        ValueError: Another number of dimensions.
    """
    if masks.ndim != 3:
        raise ValueError(f'masks must have shape (N, height, width), not {tuple(masks.shape)}')
    _, height, width = masks.shape
    encoded = RLEMasks(size=(height, width))
    if isinstance(masks, Tensor) and masks.device.type != 'cpu':
        step = chunk_size(2 * height * width, device=masks.device)
        for start in range(0, len(masks), step):
            part = masks[start:start + step]
            encoded.extend(rles_of_changes(_changes(part), len(part), (height, width)))
        return encoded
    step = chunk_size(height * width)  # a copy in another order is made of so many at once
    for start in range(0, len(masks), step):
        part = masks[start:start + step]
        if isinstance(part, Tensor):
            part = part.detach().to(torch.uint8).cpu().numpy()
        # pycocotools reads a Fortran-ordered (height, width, N) array
        columns = np.asfortranarray(part.transpose(1, 2, 0).astype(np.uint8, copy=False))
        encoded.extend(mask_api.encode(columns))
    return encoded


def _changes(masks):
    """Places (k,) at which pixels differ from those before them, down the columns of each mask."""
    columns = masks.detach().transpose(1, 2).flatten(1) != 0
    changed = torch.cat((columns[:, :1], columns[:, 1:] != columns[:, :-1]), dim=1)
    return changed.flatten().nonzero().flatten().cpu().numpy()
