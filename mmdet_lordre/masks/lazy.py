"""Ground-truth masks that are drawn once, at the end, and only where they are needed.

mmdet draws every polygon at the size of the image file and then resizes, flips and crops N bitmaps
of the whole image. All of that picks pixels: pixel (y, x) of the result is pixel (rows[y],
columns[x]) of the drawing, whatever the order of the steps. So only ``rows`` and ``columns`` are
kept up to date, and a mask is drawn when somebody asks for its pixels, inside its own bounds. The
pixels are mmdet's, bit by bit.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mmcv
import numpy as np
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, get_box_type
from mmdet.structures.mask import BitmapMasks
from torch import Tensor

from .drawing import OUTSIDE, Axis, Drawing, local, nearest
from .pieces import Piece, whole_maps


def transposed_bitmaps(masks: BitmapMasks) -> BitmapMasks:
    """A copy whose rows are the columns of ``masks``."""
    return BitmapMasks(np.ascontiguousarray(masks.masks.transpose(0, 2, 1)), masks.width,
                       masks.height)


class LazyMasks(BitmapMasks):
    """mmdet's ``BitmapMasks`` of an image, drawn when their pixels are asked for.

    Resizing (nearest neighbor), flipping, cropping and padding cost next to nothing. Whoever
    reads :attr:`masks` gets an array that stays, may be written to or replaced, and is what counts
    from then on. Made by :class:`LoadLazyAnnotations`.

    Args:
        segments: For each instance its polygons (a list of arrays x1, y1, x2, y2, ...) or run
            lengths of COCO, in pixels of the drawing.
        height: Of the drawing, which is of the size of the image file.
        width: Of the drawing.
        rows: For each row of the masks that of the drawing, -1 where it lies outside.
        columns: The same for columns.
        transposed: Whether rows and columns of the drawing have changed places.
    """

    def __init__(self, segments: Sequence, height: int, width: int,
                 rows: np.ndarray | None = None, columns: np.ndarray | None = None,
                 transposed: bool = False):
        self.segments = list(segments)
        self.source = (int(height), int(width))
        self.transposed = transposed
        self.rows = np.arange(height) if rows is None else rows
        self.columns = np.arange(width) if columns is None else columns
        self.height, self.width = len(self.rows), len(self.columns)
        self._drawings = [None] * len(self.segments)
        self._axes = self._masks = None

    @property
    def is_drawn(self) -> bool:
        """Whether :attr:`masks` have been read or set, and count in place of the segments."""
        return self._masks is not None

    @property
    def masks(self) -> np.ndarray:
        """uint8 (N, height, width)."""
        if self._masks is None:
            self._masks = self._whole()
        return self._masks

    @masks.setter
    def masks(self, masks: np.ndarray) -> None:
        self._masks = masks

    def __len__(self) -> int:
        return len(self._masks if self.is_drawn else self.segments)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_masks={len(self)}, height={self.height}, '
                f'width={self.width})')

    def __getitem__(self, index: Any) -> BitmapMasks:
        index = index.cpu().numpy() if isinstance(index, Tensor) else index
        if self.is_drawn:
            return super().__getitem__(index)
        chosen = np.atleast_1d(np.arange(len(self))[index])
        masks = self._with([self.segments[i] for i in chosen], self.rows, self.columns)
        masks._drawings = [self._drawings[i] for i in chosen]
        masks._axes = self._axes
        return masks

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """The instances of several objects, of one image."""
        return BitmapMasks(np.concatenate([part.masks for part in masks]), masks[0].height,
                           masks[0].width)

    @classmethod
    def random(cls, *args: Any, **kwargs: Any) -> BitmapMasks:
        """As of ``BitmapMasks``."""
        return BitmapMasks.random(*args, **kwargs)

    # What only picks pixels

    def _with(self, segments, rows, columns) -> LazyMasks:
        return LazyMasks(segments, *self.source, rows, columns, self.transposed)

    def _picked(self, rows, columns) -> LazyMasks:
        masks = self._with(self.segments, rows, columns)
        masks._drawings = self._drawings
        return masks

    def rescale(self, scale: Any, interpolation: str = 'nearest') -> BitmapMasks:
        """Resize to the largest size within ``scale`` that keeps the aspect ratio."""
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width), interpolation)

    def resize(self, out_shape: tuple[int, int], interpolation: str = 'nearest') -> BitmapMasks:
        """Resize to ``out_shape``, (height, width)."""
        if self.is_drawn or interpolation != 'nearest':
            return super().resize(out_shape, interpolation)
        height, width = out_shape
        return self._picked(self.rows[nearest(self.height, int(height))],
                            self.columns[nearest(self.width, int(width))])

    def flip(self, flip_direction: str = 'horizontal') -> BitmapMasks:
        """Flip ``'horizontal'``, ``'vertical'`` or ``'diagonal'`` (both)."""
        if flip_direction not in ('horizontal', 'vertical', 'diagonal'):
            raise ValueError("flip_direction must be 'horizontal', 'vertical' or 'diagonal', not "
                             f'{flip_direction!r}')
        if self.is_drawn:
            return super().flip(flip_direction)
        rows = self.rows if flip_direction == 'horizontal' else self.rows[::-1]
        columns = self.columns if flip_direction == 'vertical' else self.columns[::-1]
        return self._picked(rows, columns)

    def transpose(self) -> BitmapMasks:
        """Rows become columns."""
        if self.is_drawn:
            return transposed_bitmaps(self)
        return LazyMasks(self.segments, *self.source[::-1], self.columns, self.rows,
                         not self.transposed)

    def crop(self, bbox: np.ndarray) -> BitmapMasks:
        """Crop to ``bbox``, an array x1, y1, x2, y2; at least one pixel is left."""
        if self.is_drawn:
            return super().crop(bbox)
        limits = np.array([self.width, self.height] * 2)
        x1, y1, x2, y2 = np.clip(bbox, 0, limits).astype(int)
        return self._picked(self.rows[y1:max(y2, y1 + 1)], self.columns[x1:max(x2, x1 + 1)])

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Pad to ``out_shape`` at the bottom and the right."""
        if self.is_drawn or pad_val:
            return super().pad(out_shape, pad_val)
        return self.expand(*out_shape, 0, 0)

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> BitmapMasks:
        """Put the masks at (top, left) of a larger image."""
        if self.is_drawn:
            return super().expand(expanded_h, expanded_w, top, left)
        rows = np.full(expanded_h, OUTSIDE)
        columns = np.full(expanded_w, OUTSIDE)
        rows[top:top + self.height] = self.rows
        columns[left:left + self.width] = self.columns
        return self._picked(rows, columns)

    # What needs pixels

    def _drawn(self, i) -> Drawing:
        if self._drawings[i] is None:
            size = self.source[::-1] if self.transposed else self.source
            drawing = Drawing(self.segments[i], *size)
            self._drawings[i] = drawing.transpose() if self.transposed else drawing
        return self._drawings[i]

    def _axes_of(self, i) -> tuple[Axis, Axis]:
        """Rows and columns as they are picked from a mask's drawing; all masks share them."""
        if self._axes is None:
            self._axes = Axis(self.rows, self.source[0]), Axis(self.columns, self.source[1])
        return self._axes

    def pieces(self) -> Iterator[Piece]:
        """Yield the pixels of each mask."""
        for i in range(len(self)):
            drawing, (down, right) = self._drawn(i), self._axes_of(i)
            top, (rows, ) = local(down.index[None], drawing.rows)
            left, (columns, ) = local(right.index[None], drawing.columns)
            # columns first: there are as many rows as in the drawing, mostly fewer
            yield top, left, drawing.pixels[:, columns][rows]

    def central_pieces(self, factor: int, size: tuple[int, int]) -> Iterator[Piece]:
        """Yield, of each mask, what of its :func:`~mmdet_lordre.masks.central_sums` is not zero."""
        for i in range(len(self)):
            drawing = self._drawn(i)
            down, right = (axis.pair(factor, length)
                           for axis, length in zip(self._axes_of(i), size))
            top, rows = local(down, drawing.rows)
            left, columns = local(right, drawing.columns)
            total = drawing.pixels[rows[0]] + drawing.pixels[rows[1]]
            yield top, left, total[:, columns[0]] + total[:, columns[1]]

    def central_sums(self, factor: int, size: tuple[int, int]) -> np.ndarray:
        """See :func:`~mmdet_lordre.masks.central_sums`: uint8 (N, *size)."""
        return whole_maps(self.central_pieces(factor, size), len(self), size)

    def moment_sums(self) -> np.ndarray:
        """int64 (N, 3) for each mask: sum of x, sum of y, area; in pixels of the masks."""
        sums = np.zeros((len(self), 3), np.int64)
        for i, result in enumerate(sums):
            drawing = self._drawn(i)
            down, right = (axis.moments[:, slice(*bounds)] for axis, bounds in zip(
                self._axes_of(i), (drawing.rows, drawing.columns)))
            # of a mask that is made much smaller few rows and columns are picked
            rows, columns = down[0].nonzero()[0], right[0].nonzero()[0]
            picked = drawing.pixels[rows][:, columns].astype(np.float64)
            # exact: sums of integers far below 2 ** 53
            (area, x), (y, _) = down[:, rows] @ picked @ right[:, columns].T
            result[:] = x, y, area
        return sums

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, (N,)."""
        return self._masks.sum((1, 2)) if self.is_drawn else self.moment_sums()[:, 2]

    def _whole(self) -> np.ndarray:
        return whole_maps(self.pieces(), len(self), (self.height, self.width))

    def get_bboxes(self, dst_type: Any = 'hbb') -> BaseBoxes:
        """Tight boxes in mmdet's box type."""
        _, box_type = get_box_type(dst_type)
        if self.is_drawn or box_type is not HorizontalBoxes:
            return super().get_bboxes(dst_type)
        boxes = np.zeros((len(self), 4), np.float32)
        for box, (top, left, piece) in zip(boxes, self.pieces()):
            rows, columns = (np.flatnonzero(piece.any(axis)) for axis in (1, 0))
            if len(rows):
                box[:] = (left + columns[0], top + rows[0], left + columns[-1] + 1,
                          top + rows[-1] + 1)
        return HorizontalBoxes(boxes)
