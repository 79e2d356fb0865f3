from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmdet_lordre.polarmask import InstanceContours, contour_centroids, largest_contour
from tests.parity.fill import ellipse_instances

from .reference import centroid_of, contour_of


def points_of(mask):
    """The contour of one mask as a set, and its centroid."""
    found = InstanceContours.from_masks(np.asarray(mask, np.uint8)[None])
    return {tuple(p) for p in found.points.tolist()}, found.centroids[0].tolist()


def rectangle(height, width, top, left, rows, columns):
    mask = np.zeros((height, width), np.uint8)
    mask[top:top + rows, left:left + columns] = 1
    return mask


def test_a_square_by_hand():
    border, centroid = points_of(rectangle(8, 10, 2, 3, 3, 3))
    assert border == {(x, y) for x in (3, 4, 5) for y in (2, 3, 4)} - {(4, 3)}
    assert centroid == [4, 3]


def test_an_integer_centroid_is_not_missed():
    # every odd square has its exact centroid on a pixel; float sums can fall one below
    for side in range(3, 60, 2):
        _, centroid = points_of(rectangle(90, 90, 7, 11, side, side))
        assert centroid == [11 + side // 2, 7 + side // 2]


def test_one_pixel_and_a_line():
    assert points_of(rectangle(5, 5, 4, 2, 1, 1)) == ({(2, 4)}, [2, 4])
    border, centroid = points_of(rectangle(5, 9, 1, 2, 1, 4))
    assert border == {(2, 1), (3, 1), (4, 1), (5, 1)}
    # no area: the mean of the contour's points (2, 3, 4, 5, 4, 3), truncated
    assert centroid == [3, 1]


def test_an_empty_mask_has_no_contour():
    found = InstanceContours.from_masks(np.stack((np.zeros((4, 6), np.uint8),
                                                  rectangle(4, 6, 0, 0, 2, 2))))
    assert found.sizes.tolist() == [0, 4]
    assert found.centroids.tolist()[1] == [0, 0]
    assert len(InstanceContours.from_masks(np.zeros((0, 4, 6), np.uint8))) == 0


def test_the_largest_part_without_its_hole():
    mask = rectangle(20, 30, 2, 2, 4, 4) | rectangle(20, 30, 8, 10, 9, 9)
    mask[10:15, 12:17] = 0
    border, centroid = points_of(mask)
    assert min(border) == (10, 8) and max(border) == (18, 16)
    assert len(border) == 32 and centroid == [14, 12]


def test_a_mask_that_fills_the_image():
    border, centroid = points_of(np.ones((5, 7), np.uint8))
    assert len(border) == 20 and centroid == [3, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 24), st.integers(3, 24), st.floats(.2, .9))
def test_noise_equals_opencv_on_the_whole_mask(seed, height, width, density):
    mask = (np.random.default_rng(seed).random((height, width)) < density).astype(np.uint8)
    if not mask.any():
        return
    found = InstanceContours.from_masks(mask[None])
    wanted = contour_of(mask)
    np.testing.assert_array_equal(found.points, wanted)
    assert found.centroids[0].tolist() == centroid_of(wanted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), max_size=9),
                max_size=6))
def test_centroids_are_exact(polygons):
    points = np.array([p for polygon in polygons for p in polygon], np.int32).reshape(-1, 2)
    found = contour_centroids(points, np.array([len(p) for p in polygons], np.int64))
    for polygon, centroid in zip(polygons, found.tolist()):
        area = moment_x = moment_y = 0
        for (x1, y1), (x0, y0) in zip(polygon, polygon[-1:] + polygon[:-1]):
            cross = x1 * y0 - y1 * x0
            area += cross
            moment_x += cross * (x0 + x1)
            moment_y += cross * (y0 + y1)
        if not polygon:
            assert centroid == [0, 0]
        elif area:
            assert centroid == [int(Fraction(moment_x, 3 * area)),
                                int(Fraction(moment_y, 3 * area))]
        else:
            assert centroid == [sum(axis) // len(polygon) for axis in zip(*polygon)]


class TestPolygons:
    def test_equal_bitmaps_of_the_same_polygons(self):
        rng = np.random.default_rng(0)
        polygons = [[(rng.normal(size=(9, 2)) * 20 + rng.uniform(0, 80, 2)).ravel()
                     for _ in range(parts)] for parts in (1, 2, 1, 3, 1, 1)]
        # one leaves the image on two sides, one lies outside
        polygons.append([np.array([-20, -9.5, 15, 3, 8, 99.0])])
        polygons.append([np.array([200, 200, 220, 200, 210, 230.0])])
        masks = PolygonMasks(polygons, 64, 96)
        from_polygons = InstanceContours.from_masks(masks)
        from_bitmaps = InstanceContours.from_masks(BitmapMasks(masks.to_ndarray(), 64, 96))
        assert torch.equal(from_polygons.points, from_bitmaps.points)
        assert torch.equal(from_polygons.sizes, from_bitmaps.sizes)
        assert torch.equal(from_polygons.centroids, from_bitmaps.centroids)
        assert from_polygons.sizes[-1] == 0 and (from_polygons.sizes[:7] > 0).all()

    def test_an_invalid_polygon_has_no_contour(self):
        found = InstanceContours.from_masks(PolygonMasks([[np.zeros(4)], [np.zeros(6)]], 9, 9))
        assert found.sizes[0] == 0 and len(found) == 2


class TestContainer:
    @pytest.fixture(scope='class')
    def masks(self):
        return ellipse_instances('container', 60, 80, 5, 3)[2]

    @pytest.mark.parametrize('index', [
        np.array([3, 0]), np.array([True, False, True, False, False]), slice(1, 4),
        torch.tensor([4]), torch.tensor([False] * 5), 2])
    def test_an_index_chooses_instances(self, masks, index):
        chosen = InstanceContours.from_masks(masks)[index]
        plain = masks[index.numpy() if isinstance(index, torch.Tensor) else index]
        wanted = InstanceContours.from_masks(plain.reshape(-1, 60, 80))
        assert torch.equal(chosen.points, wanted.points)
        assert torch.equal(chosen.centroids, wanted.centroids)
        assert torch.equal(chosen.sizes, wanted.sizes)

    def test_cat_pad_and_to(self, masks):
        found = InstanceContours.from_masks(masks)
        joined = InstanceContours.cat([found[:2], found[2:]])
        assert torch.equal(joined.points, found.points) and len(joined) == 5
        padded = found.pad((64, 96))
        assert padded.to_ndarray().shape == (5, 64, 96)
        half = found.to('cpu', torch.float16)
        assert half.points.dtype == torch.int32 and half.centroids.dtype == torch.int64

    def test_drawn_back_it_covers_the_mask(self, masks):
        found = InstanceContours.from_masks(masks)
        drawn = found.astype(bool)
        for bitmap, mask in zip(drawn, masks):
            contour = contour_of(mask)
            assert bitmap[contour[:, 1], contour[:, 0]].all()
        assert (found.areas == drawn.sum((1, 2))).all()

    def test_geometry_comes_too_late(self, masks):
        with pytest.raises(TypeError, match='put ExtractContours last'):
            InstanceContours.from_masks(masks).flip('horizontal')

    def test_other_types_are_refused(self):
        with pytest.raises(TypeError, match='not list'):
            InstanceContours.from_masks([1])


def test_offset_and_order_of_a_crop():
    mask = rectangle(30, 40, 5, 6, 9, 11)
    np.testing.assert_array_equal(largest_contour(mask[5:14, 6:17], (6, 5)), contour_of(mask))
