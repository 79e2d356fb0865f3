"""Ground-truth masks that are drawn once, at the end, and only where they are needed.

mmdet draws every polygon at the size of the image file and then resizes, flips and crops N bitmaps
of the whole image. All of that picks pixels: pixel (y, x) of the result is pixel (rows[y],
columns[x]) of the drawing, whatever the order of the steps. So only ``rows`` and ``columns`` are
kept up to date, and a mask is drawn when somebody asks for its pixels, inside its own bounds. The
pixels are mmdet's, bit by bit.
"""
from functools import lru_cache

import mmcv
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmdet.structures.mask.structures import BaseInstanceMasks
from pycocotools import mask as mask_api
from torch import Tensor

#: Row or column of a pixel that lies outside of the drawing.
_OUTSIDE = -1


@lru_cache(maxsize=1024)
def _nearest(source: int, target: int) -> np.ndarray:
    """The sample that a nearest-neighbour resize from ``source`` to ``target`` samples picks."""
    line = np.arange(source, dtype=np.float32)[None]
    return mmcv.imresize(line, (target, 1), interpolation='nearest')[0].astype(np.intp)


class _Drawing:
    """One mask inside its bounds, with a row and a column of zeros at the end.

    Args:
        segment: Polygons, or run lengths of COCO.
        height: Of the whole drawing.
        width: Of the whole drawing.
    """

    def __init__(self, segment: list | dict, height: int, width: int):
        if isinstance(segment, list):
            runs = mask_api.frPyObjects(segment, height, width)
            runs = runs[0] if len(runs) == 1 else mask_api.merge(runs)
        elif isinstance(segment['counts'], list):
            runs = mask_api.frPyObjects(segment, height, width)
        else:
            runs = segment
        left, top, columns, rows = (int(side) for side in mask_api.toBbox(runs))
        self.rows, self.columns = (top, top + rows), (left, left + columns)
        self.pixels = np.zeros((rows + 1, columns + 1), np.uint8)
        if rows and columns:
            self.pixels[:-1, :-1] = mask_api.decode(runs)[slice(*self.rows), slice(*self.columns)]


def draw_segment(segment: list | dict, height: int,
                 width: int) -> tuple[tuple[int, int], np.ndarray]:
    """Draw one annotated mask inside its own bounds.

    Args:
        segment: Polygons, or run lengths of COCO.
        height: Of the image in pixels.
        width: Of the image in pixels.

    Returns:
        (top, left) of the bounds, and uint8 (rows, columns) of the mask's pixels in them.
    """
    drawing = _Drawing(segment, height, width)
    return (drawing.rows[0], drawing.columns[0]), np.ascontiguousarray(drawing.pixels[:-1, :-1])


class _Axis:
    """The rows (or the columns) of masks: for each that of the drawing, -1 outside of it."""

    def __init__(self, index: np.ndarray, source: int):
        self.index, self.source = index, source
        self._moments, self._pairs = None, {}

    @property
    def moments(self) -> np.ndarray:
        """(2, source): how often each row of the drawing is picked, and the sum of the places."""
        if self._moments is None:
            places = np.flatnonzero(self.index >= 0)
            picked = self.index[places]
            self._moments = np.stack([np.bincount(picked, minlength=self.source),
                                      np.bincount(picked, places, minlength=self.source)])
        return self._moments

    def pair(self, factor: int, length: int) -> np.ndarray:
        """(2, length): the two central rows of each block of ``factor``."""
        if (factor, length) not in self._pairs:
            pair = np.full((2, length), _OUTSIDE)
            for row, start in zip(pair, (factor // 2 - 1, factor // 2)):
                picked = self.index[start::factor][:length]
                row[:len(picked)] = picked
            self._pairs[factor, length] = pair
        return self._pairs[factor, length]


def _local(index: np.ndarray, bounds: tuple[int, int]) -> tuple[int, np.ndarray]:
    """The stretch of an index (k, n) that meets a drawing's bounds.

    Returns:
        Where it starts, and the stretch in rows of the drawing's pixels; -1, the row of zeros,
        where it leaves the bounds.
    """
    inside = (index >= bounds[0]) & (index < bounds[1])
    hits = np.flatnonzero(inside.any(axis=0))
    if not len(hits):
        return 0, index[:, :0]
    stretch = slice(hits[0], hits[-1] + 1)
    return int(hits[0]), np.where(inside[:, stretch], index[:, stretch] - bounds[0], _OUTSIDE)


class LazyMasks(BaseInstanceMasks):
    """N masks of an image as mmdet's ``BitmapMasks``, drawn when their pixels are asked for.

    Resizing (nearest neighbour), flipping, cropping and padding cost next to nothing; anything
    else goes on with ``BitmapMasks``. Made by :class:`LoadLazyAnnotations`.

    Args:
        segments: For each instance its polygons (a list of arrays x1, y1, x2, y2, ...) or run
            lengths of COCO, in pixels of the drawing.
        height: Of the drawing, which is of the size of the image file.
        width: Of the drawing.
        rows: For each row of the masks that of the drawing, -1 where it lies outside.
        columns: The same for columns.
    """

    def __init__(self, segments: list, height: int, width: int, rows: np.ndarray | None = None,
                 columns: np.ndarray | None = None):
        self.segments = list(segments)
        self.source = (int(height), int(width))
        self.rows = np.arange(height) if rows is None else rows
        self.columns = np.arange(width) if columns is None else columns
        self._drawings = [None] * len(self.segments)
        self._axes = None

    @property
    def height(self) -> int:
        """Height of the masks in pixels."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Width of the masks in pixels."""
        return len(self.columns)

    def __len__(self) -> int:
        return len(self.segments)

    def __repr__(self) -> str:
        return f'LazyMasks(num_masks={len(self)}, height={self.height}, width={self.width})'

    def __getitem__(self, index) -> 'LazyMasks':
        index = index.cpu().numpy() if isinstance(index, Tensor) else index
        chosen = np.atleast_1d(np.arange(len(self))[index])
        masks = LazyMasks([self.segments[i] for i in chosen], *self.source, self.rows,
                          self.columns)
        masks._drawings = [self._drawings[i] for i in chosen]
        masks._axes = self._axes
        return masks

    @classmethod
    def cat(cls, masks: list['LazyMasks']) -> BitmapMasks:
        """The instances of several objects of this class, of one image."""
        return BitmapMasks(np.concatenate([part.to_ndarray() for part in masks]),
                           masks[0].height, masks[0].width)

    # What only picks pixels

    def _picked(self, rows, columns) -> 'LazyMasks':
        masks = LazyMasks(self.segments, *self.source, rows, columns)
        masks._drawings = self._drawings
        return masks

    def rescale(self, scale, interpolation='nearest'):
        """Resize to the largest size within ``scale`` that keeps the aspect ratio."""
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width), interpolation)

    def resize(self, out_shape, interpolation='nearest'):
        """Resize to ``out_shape``, (height, width)."""
        if interpolation != 'nearest':
            return self.to_bitmaps().resize(out_shape, interpolation)
        height, width = out_shape
        return self._picked(self.rows[_nearest(self.height, int(height))],
                            self.columns[_nearest(self.width, int(width))])

    def flip(self, flip_direction='horizontal'):
        """Flip ``'horizontal'``, ``'vertical'`` or ``'diagonal'`` (both)."""
        if flip_direction not in ('horizontal', 'vertical', 'diagonal'):
            raise ValueError("flip_direction must be 'horizontal', 'vertical' or 'diagonal', not "
                             f'{flip_direction!r}')
        rows = self.rows if flip_direction == 'horizontal' else self.rows[::-1]
        columns = self.columns if flip_direction == 'vertical' else self.columns[::-1]
        return self._picked(rows, columns)

    def crop(self, bbox):
        """Crop to ``bbox``, an array x1, y1, x2, y2; at least one pixel is left."""
        limits = np.array([self.width, self.height] * 2)
        x1, y1, x2, y2 = np.clip(bbox, 0, limits).astype(int)
        return self._picked(self.rows[y1:max(y2, y1 + 1)], self.columns[x1:max(x2, x1 + 1)])

    def pad(self, out_shape, pad_val=0):
        """Pad to ``out_shape`` at the bottom and the right."""
        if pad_val:
            return self.to_bitmaps().pad(out_shape, pad_val)
        return self.expand(*out_shape, 0, 0)

    def expand(self, expanded_h, expanded_w, top, left):
        """Put the masks at (top, left) of a larger image."""
        rows = np.full(expanded_h, _OUTSIDE)
        columns = np.full(expanded_w, _OUTSIDE)
        rows[top:top + self.height] = self.rows
        columns[left:left + self.width] = self.columns
        return self._picked(rows, columns)

    # What needs pixels

    def _drawn(self, i) -> _Drawing:
        if self._drawings[i] is None:
            self._drawings[i] = _Drawing(self.segments[i], *self.source)
        return self._drawings[i]

    @property
    def axes(self) -> tuple[_Axis, _Axis]:
        """What all masks share: rows and columns."""
        if self._axes is None:
            self._axes = (_Axis(self.rows, self.source[0]), _Axis(self.columns, self.source[1]))
        return self._axes

    def pieces(self):
        """Yield (top, left, uint8 array) of each mask: what lies outside of it is zero."""
        for i in range(len(self)):
            drawing = self._drawn(i)
            top, (rows, ) = _local(self.rows[None], drawing.rows)
            left, (columns, ) = _local(self.columns[None], drawing.columns)
            # columns first: there are as many rows as in the drawing, mostly fewer
            yield top, left, drawing.pixels[:, columns][rows]

    def central_sums(self, factor: int, size: tuple[int, int]) -> np.ndarray:
        """See :func:`~mmdet_lordre.masks.central_sums`: uint8 (N, *size)."""
        sums = np.zeros((len(self), *size), np.uint8)
        down, right = (axis.pair(factor, length) for axis, length in zip(self.axes, size))
        for i, result in enumerate(sums):
            drawing = self._drawn(i)
            top, rows = _local(down, drawing.rows)
            left, columns = _local(right, drawing.columns)
            total = drawing.pixels[rows[0]] + drawing.pixels[rows[1]]
            result[top:top + rows.shape[1], left:left + columns.shape[1]] = (
                total[:, columns[0]] + total[:, columns[1]])
        return sums

    def moment_sums(self) -> np.ndarray:
        """int64 (N, 3) for each mask: sum of x, sum of y, area; in pixels of the masks."""
        sums = np.zeros((len(self), 3), np.int64)
        for i, result in enumerate(sums):
            drawing = self._drawn(i)
            down, right = (axis.moments[:, slice(*bounds)] for axis, bounds in zip(
                self.axes, (drawing.rows, drawing.columns)))
            # exact: sums of integers far below 2 ** 53
            (area, x), (y, _) = down @ drawing.pixels[:-1, :-1].astype(np.float64) @ right.T
            result[:] = x, y, area
        return sums

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, (N,)."""
        return self.moment_sums()[:, 2]

    def to_ndarray(self) -> np.ndarray:
        """uint8 (N, height, width)."""
        masks = np.zeros((len(self), self.height, self.width), np.uint8)
        for mask, (top, left, piece) in zip(masks, self.pieces()):
            mask[top:top + piece.shape[0], left:left + piece.shape[1]] = piece
        return masks

    @property
    def masks(self) -> np.ndarray:
        """:meth:`to_ndarray`, under the name that ``BitmapMasks`` has for it."""
        return self.to_ndarray()

    def __iter__(self):
        return iter(self.to_ndarray())

    def to_bitmaps(self) -> BitmapMasks:
        """As mmdet's ``BitmapMasks``."""
        return BitmapMasks(self.to_ndarray(), self.height, self.width)

    def to_tensor(self, dtype, device) -> Tensor:
        """:meth:`to_ndarray` as a tensor."""
        return torch.tensor(self.to_ndarray(), dtype=dtype, device=device)

    def get_bboxes(self, dst_type='hbb'):
        """Tight boxes in mmdet's box type."""
        return self.to_bitmaps().get_bboxes(dst_type)

    def crop_and_resize(self, *args, **kwargs):
        """As ``BitmapMasks`` do."""
        return self.to_bitmaps().crop_and_resize(*args, **kwargs)

    def translate(self, *args, **kwargs):
        """As ``BitmapMasks`` do."""
        return self.to_bitmaps().translate(*args, **kwargs)

    def shear(self, *args, **kwargs):
        """As ``BitmapMasks`` do."""
        return self.to_bitmaps().shear(*args, **kwargs)

    def rotate(self, *args, **kwargs):
        """As ``BitmapMasks`` do."""
        return self.to_bitmaps().rotate(*args, **kwargs)

