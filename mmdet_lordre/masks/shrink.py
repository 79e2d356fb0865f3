"""Ground-truth masks at the size of the network's maps."""
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.structures.mask.structures import BaseInstanceMasks
from torch import Tensor

from .lazy import LazyMasks
from .pieces import Piece, whole_maps
from .targets import InPlaceOfMasks
from .transfer import upload


class ShrunkMasks(InPlaceOfMasks):
    """What :func:`central_sums` gives, in place of an image's masks.

    Args:
        pieces: Of each even factor that the masks were shrunk by, the part of every mask's sums
            (values 0 to 4) that is not zero.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """

    made_by = 'ShrinkMasks'

    def __init__(self, pieces: dict[int, list[Piece]], height: int, width: int):
        self.pieces = pieces
        self.height, self.width = int(height), int(width)

    def __len__(self) -> int:
        return len(next(iter(self.pieces.values())))

    def __getitem__(self, index) -> 'ShrunkMasks':
        index = index.cpu().numpy() if isinstance(index, Tensor) else index
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return ShrunkMasks({factor: [pieces[i] for i in chosen]
                            for factor, pieces in self.pieces.items()}, self.height, self.width)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> 'ShrunkMasks':
        """Only the size is noted: what the sums lack counts as zero."""
        return ShrunkMasks(self.pieces, *out_shape)

    @classmethod
    def cat(cls, masks: list['ShrunkMasks']) -> 'ShrunkMasks':
        """The instances of several objects of this class, of one image."""
        return cls({factor: [piece for part in masks for piece in part.pieces[factor]]
                    for factor in masks[0].pieces}, masks[0].height, masks[0].width)

    @property
    def areas(self) -> np.ndarray:
        """Approximate pixels of each mask, (N,)."""
        factor = min(self.pieces)
        return np.array([piece.sum(dtype=np.int64) for _, _, piece in self.pieces[factor]],
                        np.int64) * factor**2 // 4

    def central_sums(self, factor: int, size: tuple[int, int]) -> np.ndarray:
        """See :func:`central_sums`: uint8 (N, *size)."""
        if factor not in self.pieces:
            raise ValueError(f'the masks were shrunk by {", ".join(map(str, self.pieces))}, but '
                             f'the head needs {factor}: set ShrinkMasks(factor={factor})')
        return whole_maps(self.pieces[factor], len(self), size)


def central_pieces(masks: BaseInstanceMasks, factor: int) -> list[Piece]:
    """The parts of :func:`central_sums` that are not zero.

    Args:
        masks: N masks of an image.
        factor: Even size of a block.
    """
    size = tuple(-(-side // factor) for side in (masks.height, masks.width))
    if isinstance(masks, LazyMasks) and not masks.is_drawn:
        return list(masks.central_pieces(factor, size))
    found = []
    for sums in central_sums(masks, factor, size).numpy():
        rows, columns = (np.flatnonzero(sums.any(axis)) for axis in (1, 0))
        if len(rows):
            top, left = int(rows[0]), int(columns[0])
            # a copy: a view would keep the whole
            found.append((top, left, sums[top:rows[-1] + 1, left:columns[-1] + 1].copy()))
        else:
            found.append((0, 0, sums[:0, :0]))
    return found


def central_sums(masks: BaseInstanceMasks | Tensor | np.ndarray, factor: int,
                 size: tuple[int, int], device: torch.device | str | None = None) -> Tensor:
    """Sum of the central 2x2 pixels of each ``factor`` x ``factor`` block.

    A quarter of it is the bilinear resize (``align_corners=False``) by ``1 / factor``, exactly,
    for even factors. Only four pixels of a block are read, where the masks are (mmdet keeps them
    on the CPU), and only the small result goes to ``device``.

    Args:
        masks: N masks (N, h, w) of the image without padding, 0 or 1: mmdet's, a tensor, an array,
            :class:`LazyMasks`, or :class:`ShrunkMasks` of this factor.
        factor: Even size of a block.
        size: (height, width) of the result; what lies beyond the masks counts as zero.
        device: Where the result goes; where the masks are, if not given.

    Returns:
        uint8 Tensor (N, *size) with values 0 to 4.

    Raises:
        ValueError: If ``factor`` is odd, or not the one that the masks were shrunk by.
    """
    if factor % 2 or factor < 2:
        raise ValueError(f'factor must be even, not {factor}')
    if isinstance(masks, ShrunkMasks) or (isinstance(masks, LazyMasks) and not masks.is_drawn):
        sums = torch.from_numpy(masks.central_sums(factor, size))
        return sums if device is None else upload(sums, device)
    if isinstance(masks, BitmapMasks):
        masks = masks.masks
    elif isinstance(masks, PolygonMasks):
        masks = masks.to_ndarray()
    if not isinstance(masks, Tensor):
        masks = torch.from_numpy(np.ascontiguousarray(masks, dtype=np.uint8))
    sums = torch.zeros(len(masks), *size, dtype=torch.uint8, device=masks.device)
    first = factor // 2 - 1
    for row in (first, first + 1):
        for column in (first, first + 1):
            read = masks[:, row::factor, column::factor][:, :size[0], :size[1]]
            sums[:, :read.shape[1], :read.shape[2]] += read
    return sums if device is None else upload(sums, device)
