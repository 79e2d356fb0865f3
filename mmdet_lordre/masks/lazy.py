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
            runs = mask_api.merge(mask_api.frPyObjects(segment, height, width))
        elif isinstance(segment['counts'], list):
            runs = mask_api.frPyObjects(segment, height, width)
        else:
            runs = segment
        self.left, self.top, columns, rows = (int(side) for side in mask_api.toBbox(runs))
        self.pixels = np.zeros((rows + 1, columns + 1), np.uint8)
        if rows and columns:
            self.pixels[:-1, :-1] = mask_api.decode(runs)[self.top:self.top + rows,
                                                          self.left:self.left + columns]

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Rows of the drawing as rows of ``pixels``, the last one where there is nothing."""
        return _within(index, self.top, len(self.pixels) - 1)

    def columns(self, index: np.ndarray) -> np.ndarray:
        """The same for columns."""
        return _within(index, self.left, self.pixels.shape[1] - 1)


def _within(index, first, count):
    index = index - first
    index[(index < 0) | (index >= count)] = _OUTSIDE
    return index


def _span(index):
    """First and one past the last entry that lies inside of a drawing."""
    inside = np.flatnonzero(index >= 0)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


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

    def pieces(self):
        """Yield (top, left, uint8 array) of each mask: what lies outside of it is zero."""
        for i in range(len(self)):
            drawing = self._drawn(i)
            rows, columns = drawing.rows(self.rows), drawing.columns(self.columns)
            (top, bottom), (left, right) = _span(rows), _span(columns)
            # columns first: there are as many rows as in the drawing, mostly fewer
            narrow = drawing.pixels[:, columns[left:right]]
            yield top, left, narrow[rows[top:bottom]]

    def central_sums(self, factor: int, size: tuple[int, int]) -> np.ndarray:
        """See :func:`~mmdet_lordre.masks.central_sums`: uint8 (N, *size)."""
        first = factor // 2 - 1
        sums = np.zeros((len(self), *size), np.uint8)
        rows, columns = ([index[start::factor][:limit] for start in (first, first + 1)]
                         for index, limit in zip((self.rows, self.columns), size))
        for i, result in enumerate(sums):
            drawing = self._drawn(i)
            total = 0
            for axis_rows in rows:
                picked = _fill(drawing.rows(axis_rows), size[0])
                total = total + drawing.pixels[picked]
            for axis_columns in columns:
                result += total[:, _fill(drawing.columns(axis_columns), size[1])]
        return sums

    def moment_sums(self) -> np.ndarray:
        """int64 (N, 3) for each mask: sum of x, sum of y, area; in pixels of the masks."""
        sums = np.zeros((len(self), 3), np.int64)
        for i, result in enumerate(sums):
            drawing = self._drawn(i)
            # how often a row of the drawing is picked, and the sum of the places
            down, right = (
                np.stack([np.bincount(index[kept], minlength=length),
                          np.bincount(index[kept], kept, minlength=length)])
                for index, length in zip((drawing.rows(self.rows), drawing.columns(self.columns)),
                                         drawing.pixels.shape)
                for kept in [np.flatnonzero(index >= 0)])
            (area, x), (y, _) = down @ drawing.pixels.astype(np.float64) @ right.T
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


def _fill(index, length):
    """An index as long as ``length``; what is missing lies outside."""
    return np.pad(index, (0, length - len(index)), constant_values=_OUTSIDE)
