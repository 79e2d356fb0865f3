"""Polygons of masks: the same pixels when they are drawn again, by our and by others' rules."""
import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api
from shapely.geometry import Polygon

from mmdet_lordre.masks.outlines import one_ring, outlines_of, ring_area

from .filled import bitmap_of_outlines
from .test_runs import bitmaps


def blobs(count=25):
    """Smooth random shapes with parts, holes and islands in holes."""
    rng = np.random.default_rng(1)
    for number in range(count):
        noise = cv2.GaussianBlur(rng.standard_normal((40, 50)), (0, 0), 1 + number % 4)
        yield (noise > 0.3 * noise.std()).astype(np.uint8)


@pytest.mark.parametrize('mask', [*bitmaps(30, seed=3), *blobs()],
                         ids=lambda m: 'x'.join(map(str, m.shape)))
def test_drawn_again(mask):
    outlines = outlines_of(mask)
    assert np.array_equal(bitmap_of_outlines(outlines, mask.shape), mask.astype(bool))
    areas = [Polygon(part.exterior, part.holes) for part in outlines]
    assert all(polygon.is_valid for polygon in areas)
    assert sum(polygon.area for polygon in areas) == mask.sum()
    if outlines:
        ring = one_ring(outlines)
        assert abs(ring_area(ring)) >= 0
        runs = mask_api.frPyObjects([ring.astype(float).ravel().tolist()], *mask.shape)
        assert np.array_equal(mask_api.decode(mask_api.merge(runs)), mask)


def test_corners_can_join_parts():
    mask = np.eye(3, dtype=np.uint8)
    mask[0, 2] = mask[2, 0] = 1
    assert len(outlines_of(mask)) == 5
    part, = outlines_of(mask, connectivity=8)
    assert np.array_equal(bitmap_of_outlines([part], mask.shape), mask.astype(bool))


@pytest.mark.parametrize('mask', [*bitmaps(30, seed=4), *blobs(8)],
                         ids=lambda m: 'x'.join(map(str, m.shape)))
def test_parts_that_are_joined_by_corners_are_drawn_again(mask):
    outlines = outlines_of(mask, 2, 3, connectivity=8)
    whole = np.pad(mask.astype(bool), ((2, 0), (3, 0)))
    assert np.array_equal(bitmap_of_outlines(outlines, whole.shape), whole)
    count = cv2.connectedComponents(mask, connectivity=8)[0] - 1
    assert len(outlines) == count <= len(outlines_of(mask))


def test_holes_and_parts_by_hand():
    mask = np.zeros((8, 9), np.uint8)
    mask[1:6, 1:6] = 1
    mask[2:5, 2:5] = 0
    mask[3, 3] = 1        # an island in the hole
    mask[7, 7] = 1
    large, *small = outlines_of(mask, y=10, x=20)
    assert large.exterior.tolist() == [[21, 11], [21, 16], [26, 16], [26, 11]]
    assert [sorted(map(tuple, hole)) for hole in large.holes] == [
        [(22, 12), (22, 15), (25, 12), (25, 15)]]
    assert sorted(part.exterior.min(axis=0).tolist() for part in small) == [[23, 13], [27, 17]]
    assert not any(part.holes for part in small)


def test_pixels_that_touch_at_a_corner():
    parts = outlines_of(np.eye(4, dtype=np.uint8))
    assert len(parts) == 4 and all(len(part.exterior) == 4 for part in parts)
    # a ring of pixels that is closed at a corner, with a pixel of its own inside
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 1]], np.uint8)
    assert np.array_equal(bitmap_of_outlines(outlines_of(mask), mask.shape), mask.astype(bool))


def test_simplified():
    y, x = np.mgrid[:60, :60]
    disk = ((x - 30) ** 2 + (y - 30) ** 2 < 25 ** 2).astype(np.uint8)
    exact, = outlines_of(disk)
    loose, = outlines_of(disk, simplify=1.0)
    assert len(loose.exterior) < len(exact.exterior) / 3
    again = bitmap_of_outlines([loose], disk.shape)
    assert (again & (disk > 0)).sum() / (again | (disk > 0)).sum() > 0.94
    dot = np.ones((1, 1), np.uint8)
    assert len(outlines_of(dot, simplify=50)[0].exterior) == 4
    assert outlines_of(np.zeros((3, 3), np.uint8)) == []
