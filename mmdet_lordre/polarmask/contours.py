"""From an instance's mask to what PolarMask learns from: one contour and one center."""
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from pycocotools import mask as mask_api
from torch import Tensor

from ..errors import UserError
from ..grid.heads import refuse_targets
from ..masks import LazyMasks, upload
from ..masks.targets import InPlaceOfMasks

_NO_POINTS = np.zeros((0, 2), np.int32)


def largest_contour(mask: np.ndarray, offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Pixels of the contour with the largest area.

    Args:
        mask: uint8 (height, width), non-zero inside.
        offset: (x, y) added to every point, for a mask cut out of a larger image.

    Returns:
        int32 (n, 2): x, y of every border pixel in order; (0, 2) for an empty mask. Of contours
        with equal area, the one that OpenCV finds first.
    """
    return contour_and_hole(mask, offset)[0]


def contour_and_hole(mask: np.ndarray, offset: tuple[int, int] = (0, 0)
                     ) -> tuple[np.ndarray, np.ndarray]:
    """:func:`largest_contour`, and that of the largest hole in it: (n, 2) and (m, 2).

    The contour of a hole consists of pixels of the mask, too: those around the hole.
    """
    found, tree = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE, offset=offset)
    if not found:
        return _NO_POINTS, _NO_POINTS
    if len(found) == 1:
        return found[0].reshape(-1, 2), _NO_POINTS
    areas = [cv2.contourArea(contour) for contour in found]
    best = max(range(len(found)), key=areas.__getitem__)
    hole = max((i for i in range(len(found)) if tree[0, i, 3] == best), key=areas.__getitem__,
               default=None)
    return (found[best].reshape(-1, 2),
            _NO_POINTS if hole is None else found[hole].reshape(-1, 2))


def contour_centroids(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Centroids of contour polygons, truncated to integers, exact.

    The shoelace sums stay in integers, so a centroid that is an integer is not missed by a
    rounding error. A contour without area has the mean of its points.

    Args:
        points: Integers (P, 2), the points (x, y) of all contours one after another.
        sizes: Integers (N,), the number of points of each contour; they sum to P.

    Returns:
        int64 (N, 2): x, y; (0, 0) for a contour without points.
    """
    sizes = np.asarray(sizes, np.int64)
    centroids = np.zeros((len(sizes), 2), np.int64)
    filled = np.flatnonzero(sizes)
    if not len(filled):
        return centroids
    points = np.asarray(points).astype(np.int64)
    counts = sizes[filled]
    ends = np.cumsum(counts)
    starts = ends - counts
    before = np.empty_like(points)
    before[1:] = points[:-1]
    before[starts] = points[ends - 1]
    cross = points[:, 0] * before[:, 1] - points[:, 1] * before[:, 0]
    sums = np.stack([cross, *((points + before) * cross[:, None]).T, *points.T])
    double_area, moment_x, moment_y, sum_x, sum_y = np.add.reduceat(sums, starts, axis=1)
    flat = double_area == 0
    divisor = np.where(flat, counts, 3 * double_area)
    moments = np.stack([np.where(flat, sum_x, moment_x), np.where(flat, sum_y, moment_y)], axis=1)
    # // rounds down and the published division truncates: they differ where the quotient of
    # a contour that crosses itself is negative
    sign = np.sign(moments) * np.sign(divisor)[:, None]
    centroids[filled] = sign * (np.abs(moments) // np.abs(divisor)[:, None])
    return centroids


def _of_bitmap(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # OR-ing the rows runs at memory speed, several times faster than findContours or
    # boundingRect on the whole mask
    columns = np.flatnonzero(np.bitwise_or.reduce(mask, axis=0)) if mask.size else ()
    if not len(columns):
        return _NO_POINTS, _NO_POINTS
    left = int(columns[0])
    mask = mask[:, left:int(columns[-1]) + 1]
    _, top, _, height = cv2.boundingRect(mask)
    return contour_and_hole(mask[top:top + height], (left, top))


def _of_polygons(polygons, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Contour and hole of the union of polygons, drawn within their bounds and the image only."""
    polygons = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    # pycocotools draws from three corners on
    polygons = [polygon for polygon in polygons if len(polygon) > 2]
    if not polygons:
        return _NO_POINTS, _NO_POINTS
    limits = np.array([width, height])
    corners = np.concatenate(polygons)
    low = np.clip(np.floor(corners.min(0)) - 1, 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 1, 0, limits).astype(int)
    if (high <= low).any():
        return _NO_POINTS, _NO_POINTS
    (crop_width, crop_height), (x, y) = high - low, low
    parts = mask_api.frPyObjects([(polygon - low).ravel() for polygon in polygons],
                                 int(crop_height), int(crop_width))
    mask = np.ascontiguousarray(mask_api.decode(mask_api.merge(parts)))
    return contour_and_hole(mask, (int(x), int(y)))


def _joined(contours: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Their points one after another, and the number of each."""
    sizes = np.array([len(contour) for contour in contours], np.int64)
    return torch.from_numpy(np.concatenate([_NO_POINTS, *contours])), torch.from_numpy(sizes)


class InstanceContours(InPlaceOfMasks):
    """The largest contour and the centroid of each instance of one image.

    It takes the place of mmdet's ``BitmapMasks`` as ``gt_masks`` once nothing changes the
    geometry any more: ``PackDetInputs``, the data preprocessor and ``InstanceData`` handle it as
    they handle masks, and a data-loading worker hands over a few kilobytes, not N full bitmaps.

    Args:
        points: int32 (P, 2), the contour pixels (x, y) of all instances one after another.
        sizes: int64 (N,), the number of contour pixels of each instance, on the CPU.
        centroids: int64 (N, 2), x, y.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        hole_points: int32 (Q, 2), the contour pixels of the largest hole of each instance, like
            ``points``; None where nobody has asked for holes.
        hole_sizes: int64 (N,), how many of them each instance has, on the CPU; None like them.
    """

    made_by = 'ExtractContours'

    def __init__(self, points: Tensor, sizes: Tensor, centroids: Tensor, height: int,
                 width: int, hole_points: Tensor | None = None,
                 hole_sizes: Tensor | None = None) -> None:
        self.points, self.sizes, self.centroids = points, sizes, centroids
        self.height, self.width = int(height), int(width)
        self.hole_points, self.hole_sizes = hole_points, hole_sizes

    @classmethod
    def from_contours(cls, contours: Sequence[np.ndarray], height: int, width: int,
                      holes: Sequence[np.ndarray] | None = None) -> 'InstanceContours':
        """From lists of int32 (n, 2) arrays of contour pixels; ``holes`` may have (0, 2)."""
        points, sizes = _joined(contours)
        centroids = torch.from_numpy(contour_centroids(points.numpy(), sizes.numpy()))
        return cls(points, sizes, centroids, height, width,
                   *(() if holes is None else _joined(holes)))

    @classmethod
    def from_masks(cls, masks: object, holes: bool = False) -> 'InstanceContours':
        """From ``BitmapMasks``, ``PolygonMasks``, ``LazyMasks``, or a tensor or array (N, height,
        width).

        OpenCV finds the contours, on the CPU; a tensor on another device is copied there.

        Args:
            masks: Of one image; contours are returned as they are.
            holes: Whether the holes are needed, too.

        Raises:
            TypeError: If ``masks`` is none of these.
            UserError: If they are targets of another head, or contours without their holes.
        """
        if isinstance(masks, cls):
            if holes and masks.hole_sizes is None:
                raise UserError('the head draws holes (model.bbox_head.holes), and '
                                'ExtractContours has left them out: set its holes=True')
            return masks
        refuse_targets(masks, cls.made_by)
        if isinstance(masks, PolygonMasks):
            found = [_of_polygons(polygons, masks.height, masks.width)
                     for polygons in masks.masks]
            return cls._from_pairs(found, masks.height, masks.width, holes)
        if isinstance(masks, LazyMasks) and not masks.is_drawn:
            found = [contour_and_hole(np.ascontiguousarray(piece), (left, top))
                     if piece.size else (_NO_POINTS, _NO_POINTS)
                     for top, left, piece in masks.pieces()]
            return cls._from_pairs(found, masks.height, masks.width, holes)
        if isinstance(masks, BitmapMasks):
            bitmaps = masks.masks
        elif isinstance(masks, Tensor):
            bitmaps = masks.detach().cpu().to(torch.uint8).numpy()
        elif isinstance(masks, np.ndarray):
            bitmaps = masks
        else:
            raise TypeError('PolarMask reads BitmapMasks, PolygonMasks, LazyMasks, a tensor or an '
                            f'array (N, height, width), not {type(masks).__name__}')
        bitmaps = np.ascontiguousarray(bitmaps, np.uint8)
        return cls._from_pairs([_of_bitmap(mask) for mask in bitmaps], *bitmaps.shape[1:], holes)

    @classmethod
    def _from_pairs(cls, found, height, width, holes):
        return cls.from_contours([outer for outer, _ in found], height, width,
                                 [hole for _, hole in found] if holes else None)

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return (f'InstanceContours(num_instances={len(self)}, height={self.height}, '
                f'width={self.width})')

    def __getitem__(self, index) -> 'InstanceContours':
        """Instances by an index, a slice, or an array or tensor of indices or booleans."""
        index = index.cpu().numpy() if isinstance(index, Tensor) else index
        chosen = np.atleast_1d(np.arange(len(self))[index])
        if len(chosen) == len(self) and (chosen == np.arange(len(self))).all():
            return self

        def pick(points, sizes):
            if sizes is None:
                return None, None
            parts = points.split(sizes.tolist())
            return torch.cat([points[:0], *(parts[i] for i in chosen)]), sizes[chosen]

        points, sizes = pick(self.points, self.sizes)
        return InstanceContours(points, sizes, self.centroids[chosen], self.height, self.width,
                                *pick(self.hole_points, self.hole_sizes))

    def to(self, *args, **kwargs) -> 'InstanceContours':
        """Points and centroids on another device; the arguments of ``Tensor.to``.

        A floating type is not followed: the coordinates stay integers.
        """
        device = torch.empty(0).to(*args, **kwargs).device
        holes = None if self.hole_points is None else upload(self.hole_points, device)
        return InstanceContours(upload(self.points, device), self.sizes,
                                upload(self.centroids, device), self.height, self.width,
                                holes, self.hole_sizes)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> 'InstanceContours':
        """The same contours in an image padded at the right and the bottom to ``out_shape``."""
        return InstanceContours(self.points, self.sizes, self.centroids, *out_shape,
                                self.hole_points, self.hole_sizes)

    @classmethod
    def cat(cls, masks: Sequence['InstanceContours']) -> 'InstanceContours':
        """The instances of several objects of this class, which must belong to one image."""
        parts = [(m.points, m.sizes, m.centroids) for m in masks]
        holes = []
        if all(m.hole_sizes is not None for m in masks):
            holes = [(m.hole_points, m.hole_sizes) for m in masks]
        return cls(*map(torch.cat, zip(*parts)), masks[0].height, masks[0].width,
                   *map(torch.cat, zip(*holes)))

    def to_ndarray(self) -> np.ndarray:
        """The filled contours (largest part only, holes closed), uint8 (N, height, width)."""
        bitmaps = np.zeros((len(self), self.height, self.width), np.uint8)
        for bitmap, contour in zip(bitmaps, self.points.cpu().split(self.sizes.tolist())):
            if len(contour):
                cv2.drawContours(bitmap, [contour.numpy()], 0, 1, cv2.FILLED)
        return bitmaps

    def astype(self, dtype: object) -> np.ndarray:
        """:meth:`to_ndarray` in another type; mmdet's visualizer asks for it."""
        return self.to_ndarray().astype(dtype)

    def to_tensor(self, dtype: object, device: torch.device | str) -> Tensor:
        """:meth:`to_ndarray` as a tensor."""
        return torch.as_tensor(self.to_ndarray(), dtype=dtype, device=device)

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each filled contour, (N,)."""
        return self.to_ndarray().sum((1, 2), dtype=np.int64)
