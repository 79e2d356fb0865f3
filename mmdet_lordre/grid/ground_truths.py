"""The ground truths of a batch as a grid head needs them."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks, PolygonMasks
from mmdet.utils import InstanceList
from torch import Tensor

from ..errors import UserError
from ..masks import LazyMasks, central_sums, chunk_size, upload
from ..masks.targets import InPlaceOfMasks
from .heads import refuse_targets
from .masks import mass_centers, moment_sums, shrink_masks

Size = tuple[int, int]


@dataclass
class GroundTruths:
    """All ground truths of a batch, image after image, on one device.

    Attributes:
        boxes: (N, 4) x1, y1, x2, y2 in pixels of the network input.
        labels: (N,) classes.
        images: (N,) image of each.
        sums: (N, 3) int64, of each mask: sum of x, sum of y, area, in the same pixels.
        masks: BoolTensor (N, h, w) of mask targets for each factor.
    """
    boxes: Tensor
    labels: Tensor
    images: Tensor
    sums: Tensor
    masks: dict[int, Tensor]

    @property
    def areas(self) -> Tensor:
        """(N,) int64 areas of the masks in pixels of the network input."""
        return self.sums[:, 2]

    def centers(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, 2) mass centers x, y in pixels of the network input."""
        return mass_centers(self.sums, dtype)


class GridMasks(InPlaceOfMasks):
    """What grid heads need of an image's masks, instead of the masks.

    Made by the :class:`GridMaskTargets` transform in the data-loading workers: full-size masks
    then reach neither the main process nor the device.

    Args:
        sums: int64 array (N, 3): sum of x, sum of y, area.
        shrunk: For each factor the bool array (N, ceil(H / factor), ceil(W / factor)).
        height: H of the image in pixels.
        width: W of the image in pixels.
    """

    made_by = 'GridMaskTargets'

    def __init__(self, sums: np.ndarray, shrunk: Mapping[int, np.ndarray], height: int,
                 width: int):
        self.sums = sums
        self.shrunk = dict(shrunk)
        self.height = height
        self.width = width

    def __len__(self):
        return len(self.sums)

    def __getitem__(self, index):
        index = np.atleast_1d(index) if np.isscalar(index) else index
        shrunk = {factor: masks[index] for factor, masks in self.shrunk.items()}
        return GridMasks(self.sums[index], shrunk, self.height, self.width)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> 'GridMasks':
        """Only the size is noted: what a mask target lacks counts as zero."""
        return GridMasks(self.sums, self.shrunk, *out_shape)

    @classmethod
    def cat(cls, masks: Sequence['GridMasks']) -> 'GridMasks':
        """Join the masks of one image."""
        shrunk = {factor: np.concatenate([part.shrunk[factor] for part in masks])
                  for factor in masks[0].shrunk}
        return cls(np.concatenate([part.sums for part in masks]), shrunk, masks[0].height,
                   masks[0].width)

    @property
    def areas(self) -> np.ndarray:
        """Areas in pixels of the image, (N,)."""
        return self.sums[:, 2]



def read_masks(masks: BaseInstanceMasks | Tensor | np.ndarray,
               sizes: Mapping[int, Size | None]) -> tuple[Tensor, dict[int, Tensor]]:
    """Moment sums and mask targets of an image's masks, computed where the masks are.

    mmdet keeps masks on the CPU; all that has to go from there to another device is the result,
    a sixteenth of the masks or less.

    Args:
        masks: N masks of an image, padded or not: ``BitmapMasks``, ``PolygonMasks``,
            ``LazyMasks``, :class:`GridMasks`, or an array or tensor (N, H, W).
        sizes: For each factor to shrink by the size (h, w) wanted, None for the masks' own.

    Returns:
        - sums: int64 (N, 3): sum of x, sum of y, area.
        - shrunk: BoolTensor (N, h, w) for each factor.

    Raises:
        TypeError: If the masks are something else.
        UserError: If :class:`GridMasks` lack a factor, or the masks are targets of another head.
    """
    if isinstance(masks, GridMasks):
        return _read_grid_masks(masks, sizes)
    refuse_targets(masks, f'GridMaskTargets(factors={tuple(sizes)})')
    if isinstance(masks, LazyMasks) and not masks.is_drawn:
        # only the pixels that count are ever drawn
        whole = (masks.height, masks.width)
        return torch.from_numpy(masks.moment_sums()), {
            factor: central_sums(masks, factor, size or tuple(-(-s // factor) for s in whole)) >= 2
            for factor, size in sizes.items()}
    if isinstance(masks, BitmapMasks):
        masks = masks.masks
    if isinstance(masks, np.ndarray):
        masks = torch.from_numpy(np.ascontiguousarray(masks))
    if not isinstance(masks, Tensor | PolygonMasks):
        raise TypeError(f'masks must be BitmapMasks, PolygonMasks, GridMasks, a tensor or an '
                        f'array, not {type(masks).__name__}')
    polygons = isinstance(masks, PolygonMasks)
    height, width = (masks.height, masks.width) if polygons else masks.shape[1:]
    step = chunk_size(height * width // 4, device=None if polygons else masks.device)
    sums, shrunk = [], {factor: [] for factor in sizes}
    for start in range(0, max(1, len(masks)), step):
        part = masks[start:start + step]
        if polygons:
            part = torch.from_numpy(part.to_ndarray())
        sums.append(moment_sums(part))
        for factor, size in sizes.items():
            shrunk[factor].append(shrink_masks(part, factor, size))
    return torch.cat(sums), {factor: torch.cat(parts) for factor, parts in shrunk.items()}


def _read_grid_masks(masks, sizes):
    shrunk = {}
    for factor, size in sizes.items():
        if factor not in masks.shrunk:
            raise UserError(f'the masks were shrunk by {tuple(masks.shrunk)}, but the head needs '
                            f'{factor}: set GridMaskTargets(factors={tuple(sizes)})')
        part = torch.from_numpy(masks.shrunk[factor])
        if size is not None and part.shape[1:] != tuple(size):
            part = part[:, :size[0], :size[1]]
            part = F.pad(part, (0, size[1] - part.shape[2], 0, size[0] - part.shape[1]))
        shrunk[factor] = part
    return torch.from_numpy(masks.sums), shrunk


def collect_ground_truths(instances: InstanceList, sizes: Mapping[int, Size],
                          device: torch.device | str) -> GroundTruths:
    """Gather the ground truths of a batch.

    Args:
        instances: For each image an ``InstanceData`` with ``bboxes``, ``labels`` and ``masks``.
        sizes: For each factor that masks are shrunk by the size (h, w) of the network's maps.
        device: Where the result goes.

    Returns:
        :class:`GroundTruths`.

    Raises:
        ValueError: If an image has no masks, or not one for each box.
    """
    boxes, labels, images, sums = [], [], [], []
    masks: dict[int, list[Tensor]] = {factor: [] for factor in sizes}
    for image, gt in enumerate(instances):
        if 'masks' not in gt:
            raise ValueError("gt_instances have no 'masks': set with_mask=True in the "
                             "pipeline's LoadAnnotations")
        if not len(gt.masks) == len(gt.bboxes) == len(gt.labels):
            raise ValueError(f'image {image} of the batch has {len(gt.bboxes)} bboxes, '
                             f'{len(gt.labels)} labels and {len(gt.masks)} masks')
        box = gt.bboxes.tensor if hasattr(gt.bboxes, 'tensor') else gt.bboxes
        boxes.append(upload(box, device).float().reshape(-1, 4))
        labels.append(upload(gt.labels, device).long())
        images.append(torch.full((len(gt.labels),), image, device=device))
        part_sums, shrunk = read_masks(gt.masks, sizes)
        sums.append(part_sums)
        for factor in sizes:
            masks[factor].append(shrunk[factor])
    return GroundTruths(torch.cat(boxes), torch.cat(labels), torch.cat(images),
                        _joined(sums, device),
                        {factor: _joined(parts, device) for factor, parts in masks.items()})


def _joined(parts, device):
    """Tensors of the images as one on the device: those of the CPU travel together."""
    if len({part.device for part in parts}) > 1:
        parts = [upload(part, device) for part in parts]
    return upload(torch.cat(parts), device)


def grid_factors(factors: int | Sequence[int]) -> tuple[int, ...]:
    """Check factors to shrink by, and sort out doubles.

    Raises:
        ValueError: There is none, or one that is not even.
    """
    factors = (factors,) if isinstance(factors, int) else tuple(factors)
    if not factors or any(factor < 2 or factor % 2 for factor in factors):
        raise ValueError(f'factors must be even numbers, not {factors}')
    return tuple(sorted(set(factors)))
