"""Ground-truth masks whose polygons are transformed, and drawn at the size that they come to."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmdet.structures.mask import BitmapMasks

from .drawing import Axis, Drawing
from .lazy import LazyMasks, transposed_bitmaps

#: Scale and offset along an axis.
Line = tuple[float, float]
#: What leaves coordinates as they are.
_KEEP = 1.0, 0.0


class TransformedMasks(LazyMasks):
    """Masks as detectron2 makes them in training, and so the authors of Lordre.

    Where :class:`LazyMasks` draw polygons at the size of the image file and pick pixels, here
    resizing, flipping and cropping move the corners of the polygons, which are drawn afterwards:
    objects of a few pixels keep their shape. Of run lengths pixels are picked.

    Args:
        segments: As of :class:`LazyMasks`.
        height: Of the image file.
        width: Of the image file.
        rows: As of :class:`LazyMasks`.
        columns: As of :class:`LazyMasks`.
        down: Scales and offsets that lead, one after another, from y in the image file to y in
            the masks; not multiplied out, which would round otherwise.
        right: The same for x.
    """

    def __init__(self, segments: Sequence, height: int, width: int,
                 rows: np.ndarray | None = None, columns: np.ndarray | None = None,
                 down: tuple[Line, ...] = (), right: tuple[Line, ...] = ()):
        super().__init__(segments, height, width, rows, columns)
        self.down, self.right = down, right
        self._own_axes = self._window = None

    def _with(self, segments, rows, columns) -> TransformedMasks:
        masks = TransformedMasks(segments, *self.source, rows, columns, self.down, self.right)
        masks._own_axes = self._own_axes
        return masks

    def _moved(self, masks, down: Line, right: Line):
        """What another step does to the corners, after all before."""
        if not isinstance(masks, TransformedMasks):
            return masks
        masks.down, masks.right = (*self.down, down), (*self.right, right)
        masks._own_axes = None
        # of polygons there is nothing drawn at this size yet
        masks._drawings = [None if isinstance(segment, list) else drawing
                           for segment, drawing in zip(self.segments, self._drawings)]
        return masks

    def resize(self, out_shape: tuple[int, int], interpolation: str = 'nearest') -> Any:
        """Resize to ``out_shape``, (height, width)."""
        height, width = out_shape
        return self._moved(super().resize(out_shape, interpolation),
                           (height / self.height, 0.0), (width / self.width, 0.0))

    def rescale(self, scale: Any, interpolation: str = 'nearest') -> Any:
        """Resize to the largest size within ``scale`` that keeps the aspect ratio."""
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width), interpolation)

    def flip(self, flip_direction: str = 'horizontal') -> Any:
        """Flip ``'horizontal'``, ``'vertical'`` or ``'diagonal'`` (both)."""
        return self._moved(
            super().flip(flip_direction),
            _KEEP if flip_direction == 'horizontal' else (-1.0, float(self.height)),
            _KEEP if flip_direction == 'vertical' else (-1.0, float(self.width)))

    def transpose(self) -> BitmapMasks:
        """Rows become columns: of what is drawn, as corners would be rounded otherwise."""
        return transposed_bitmaps(self)

    def crop(self, bbox: np.ndarray) -> Any:
        """Crop to ``bbox``, an array x1, y1, x2, y2; at least one pixel is left."""
        x, y = np.clip(bbox[:2], 0, (self.width, self.height)).astype(int).tolist()
        return self._moved(super().crop(bbox), (1.0, -y), (1.0, -x))

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> Any:
        """Put the masks at (top, left) of a larger image."""
        return self._moved(super().expand(expanded_h, expanded_w, top, left), (1.0, top),
                           (1.0, left))

    def _inside(self):
        """First row and number of rows, and the same of columns, that were not cropped away.

        What lies outside does not come back by padding.
        """
        if self._window is None:
            lines = [np.flatnonzero(index >= 0) for index in (self.rows, self.columns)]
            self._window = [(int(line[0]), len(line)) if len(line) else (0, 0) for line in lines]
        return self._window

    def _drawn(self, i) -> Drawing:
        segment = self.segments[i]
        if self._drawings[i] is None and isinstance(segment, list):
            (top, height), (left, width) = self._inside()
            parts = []
            for part in segment if height and width else ():
                points = np.array(part, dtype=np.float64).reshape(-1, 2)
                for right, down in zip((*self.right, (1.0, -left)), (*self.down, (1.0, -top))):
                    points = points * (right[0], down[0]) + (right[1], down[1])
                parts.append(points.ravel())
            self._drawings[i] = Drawing(parts, height, width, corner=(top, left))
        return super()._drawn(i)

    def _axes_of(self, i) -> tuple[Axis, Axis]:
        if not isinstance(self.segments[i], list):
            return super()._axes_of(i)
        if self._own_axes is None:
            self._own_axes = tuple(Axis(np.arange(side), side)
                                   for side in (self.height, self.width))
        return self._own_axes
