"""Rays that begin behind a hole: contours, targets and masks."""
import math

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmdet_lordre.errors import UserError
from mmdet_lordre.masks import LazyMasks
from mmdet_lordre.polarmask import (
    InstanceContours,
    PolarRayCoder,
    contours_to_bitmaps,
    contours_to_rle,
    polar_centerness,
)
from mmdet_lordre.polarmask.contours import contour_and_hole

from .test_head import build, sample


def square_ring(outer=10, hole=3, center=20, side=41):
    """A square whose contour lies ``outer`` px from its center, with a hole of ``hole`` px."""
    mask = np.zeros((side, side), np.uint8)
    mask[center - outer:center + outer + 1, center - outer:center + outer + 1] = 1
    mask[center - hole:center + hole + 1, center - hole:center + hole + 1] = 0
    return mask


def ring(radius, hole, center=(48, 32), size=(64, 96)):
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, center, radius, 1, cv2.FILLED)
    cv2.circle(mask, center, hole, 0, cv2.FILLED)
    return mask


def coded(mask, points, num_rays=8):
    contours = InstanceContours.from_masks(mask[None], holes=True)
    points = torch.tensor(points)
    owners = torch.zeros(len(points), dtype=torch.long)
    return PolarRayCoder(num_rays, exact=True).encode_with_holes(points, owners, contours, 200)


class TestContours:
    def test_the_largest_hole_of_the_largest_part(self):
        mask = np.zeros((60, 80), np.uint8)
        mask[5:45, 5:45] = 1
        mask[10:20, 10:20] = mask[25:40, 25:40] = 0
        mask[30:33, 30:33] = 1                      # an island in the hole
        mask[0:50, 60:80] = 1
        mask[1:49, 61:79] = 0                       # of a smaller part, and larger
        outer, hole = contour_and_hole(mask, (100, 0))
        assert (outer.min(0) == (105, 5)).all() and (outer.max(0) == (144, 44)).all()
        # pixels of the mask around the hole
        assert (hole.min(0) == (124, 24)).all() and (hole.max(0) == (140, 40)).all()
        assert mask[hole[:, 1], hole[:, 0] - 100].all()

    def test_without_a_hole(self):
        for mask in (np.zeros((9, 9), np.uint8), np.ones((9, 9), np.uint8)):
            assert contour_and_hole(mask)[1].shape == (0, 2)

    def test_every_kind_of_masks(self):
        mask = np.stack([square_ring(), square_ring(hole=-1), square_ring(outer=-1)])
        wanted = InstanceContours.from_masks(mask, holes=True)
        assert wanted.hole_sizes.tolist()[1:] == [0, 0] and wanted.hole_sizes[0] > 20
        polygons = PolygonMasks([[np.array(
            [10., 10, 31, 10, 31, 31, 10, 31, 10, 17, 17, 17, 17, 24, 24, 24, 24, 17, 10, 17])]],
            41, 41)
        assert InstanceContours.from_masks(polygons, holes=True).hole_sizes[0] > 20
        rle = [contours_to_rle(np.array([[[10, 10], [30, 10], [30, 30], [10, 30]]], np.float32),
                               (41, 41), holes=np.array(
                                   [[[16, 16], [24, 16], [24, 24], [16, 24]]], np.float32))[0]]
        for masks in (BitmapMasks(mask, 41, 41), torch.from_numpy(mask), LazyMasks(rle, 41, 41)):
            found = InstanceContours.from_masks(masks, holes=True)
            assert found.hole_sizes[0] == wanted.hole_sizes[0]
            assert set(map(tuple, found.hole_points.tolist())) == set(
                map(tuple, wanted.hole_points.tolist()))

    def test_they_go_where_contours_go(self):
        found = InstanceContours.from_masks(
            np.stack([square_ring(hole=h) for h in (2, -1, 4)]), holes=True)
        count = found.hole_sizes.tolist()
        last = found[torch.tensor([2, 1])].pad((50, 60)).to('cpu')
        assert last.hole_sizes.tolist() == [count[2], 0] and last.height == 50
        assert torch.equal(last.hole_points, found.hole_points[count[0]:])
        joined = InstanceContours.cat([found, last])
        assert joined.hole_sizes.tolist() == [count[0], 0, count[2], count[2], 0]
        assert len(joined.hole_points) == sum(joined.hole_sizes)
        plain = InstanceContours.from_masks(square_ring()[None])
        for masks in (plain, plain[:0], plain.pad((50, 50)), InstanceContours.cat([plain, plain])):
            assert masks.hole_points is masks.hole_sizes is None

    def test_holes_that_were_left_out_are_missed(self):
        plain = InstanceContours.from_masks(square_ring()[None])
        with pytest.raises(UserError, match='ExtractContours has left them out: set its holes=T'):
            InstanceContours.from_masks(plain, holes=True)


class TestRays:
    def test_by_hand(self):
        """The hole's contour lies 4 px from the center, its corners are cut: 3.5 px in x and y."""
        rays, shares = coded(square_ring(), [[20, 20]])
        torch.testing.assert_close(rays[0], torch.tensor([10, 10 * 2**0.5] * 4))
        torch.testing.assert_close(shares[0], torch.tensor([4 / 10, 3.5 / 10] * 4))

    def test_beside_the_center(self):
        rays, shares = coded(square_ring(), [[22, 20]], num_rays=4)
        # down, right, up, left
        torch.testing.assert_close(rays[0], torch.tensor([10., 8, 10, 12]))
        torch.testing.assert_close(shares[0], torch.tensor([4 / 10, 2 / 8, 4 / 10, 6 / 12]))

    def test_between_pixels(self):
        """A tilted square: 45 degrees cross its sides halfway, where there may be no pixel."""
        mask = np.zeros((41, 41), np.uint8)
        cv2.fillPoly(mask, [np.array([[20, 9], [31, 20], [20, 31], [9, 20]])], 1)
        rays, shares = coded(mask, [[20, 20]])
        torch.testing.assert_close(rays[0], torch.tensor([11, 5.5 * 2**0.5] * 4))
        assert not shares.any()

    def test_points_of_the_mask_see_no_hole(self):
        # within it, on a pixel of its outer contour, on one of its hole's
        rays, shares = coded(square_ring(), [[13, 20], [10, 20], [16, 20], [30, 30]], num_rays=4)
        assert not shares.any()
        torch.testing.assert_close(rays[0], torch.tensor([10., 17, 10, 3]))
        torch.testing.assert_close(rays[1:3, 1], torch.tensor([20., 14]))

    def test_from_outside_what_lies_before_the_mask(self):
        mask = np.zeros((41, 41), np.uint8)
        mask[10:31, 10:31] = 1
        rays, shares = coded(mask, [[5, 20]], num_rays=4)
        # right: the mask begins after 5 px and ends after 25; nothing is to be seen elsewhere
        torch.testing.assert_close(rays[0], torch.tensor([1e-6, 25, 1e-6, 1e-6]))
        torch.testing.assert_close(shares[0], torch.tensor([1., 5 / 25, 1., 1.]))

    def test_a_gap(self):
        """A ring that is open to the right."""
        mask = square_ring()
        mask[14:27, 20:] = 0
        rays, shares = coded(mask, [[20, 20]], num_rays=4)
        torch.testing.assert_close(rays[0], torch.tensor([10, 1e-6, 10, 10]))
        torch.testing.assert_close(shares[0], torch.tensor([7 / 10, 1., 7 / 10, 4 / 10]))

    @pytest.mark.parametrize('reach', [200, 5000], ids=['table', 'computed'])
    def test_any_mask_from_any_point(self, reach):
        """Intersections of every ray with every segment."""
        rng = np.random.default_rng(3)
        masks = np.zeros((9, 60, 70), np.uint8)
        for k, mask in enumerate(masks[:8]):
            center = tuple(int(v) for v in rng.integers(22, 38, 2))
            cv2.ellipse(mask, center, (26, 17), 40 * k, 0, 360, 1, -1)
            cv2.circle(mask, center, 2 * k, 0, -1)
            mask[center[1]:center[1] + k % 3 * 3, center[0]:] = 0
        contours = InstanceContours.from_masks(masks, holes=True)
        points = torch.from_numpy(rng.integers(0, 60, (300, 2)))
        owners = torch.from_numpy(rng.integers(0, 9, 300))
        coder = PolarRayCoder(36, exact=True)
        rays, shares = coder.encode_with_holes(points, owners, contours, reach)
        plain = coder.encode(points, owners, contours.points, contours.sizes, reach)
        assert torch.equal(rays, plain)
        lines = [[part.numpy() for part in pixels.split(sizes.tolist())] for pixels, sizes in (
            (contours.points, contours.sizes), (contours.hole_points, contours.hole_sizes))]
        seen = dict(inside=0, outside=0)
        for point, owner, lengths, found in zip(points.numpy(), owners, rays, shares):
            outer, hole = (line[owner] for line in lines)
            at = tuple(map(float, point))
            inside = len(outer) and cv2.pointPolygonTest(outer, at, False) >= 0 and not (
                len(hole) and cv2.pointPolygonTest(hole, at, False) > 0)
            seen['inside' if inside else 'outside'] += 1
            distances = np.concatenate([crossings(line - point) for line in (outer, hole)], axis=1)
            last = np.where(np.isfinite(distances), distances, 1e-6).max(1, initial=1e-6)
            if not (outer == point).all(1).any():
                np.testing.assert_allclose(lengths, last, atol=2e-3)
            wanted = np.minimum(distances.min(1, initial=np.inf) / last, 1)
            np.testing.assert_allclose(found, 0 if inside else wanted, atol=2e-3)
        assert min(seen.values()) > 50

    def test_chunks_are_the_whole(self, monkeypatch):
        mask, points = square_ring(), [[x, 20] for x in range(12, 30)]
        whole = coded(mask, points)
        monkeypatch.setattr('mmdet_lordre.polarmask.crossings.chunk_size', lambda *_, **__: 5)
        for a, b in zip(coded(mask, points), whole):
            assert torch.equal(a, b) and a.any()

    def test_none_at_all(self):
        none = InstanceContours.from_masks(np.zeros((0, 9, 9), np.uint8), holes=True)
        empty = torch.zeros(0, 2, dtype=torch.long)
        for part in PolarRayCoder(36, exact=True).encode_with_holes(empty, empty[:, 0], none, 9):
            assert part.shape == (0, 36)

    def test_exact_rays_without_holes(self):
        """A thin crescent of few pixels: none is missed, and none in front of it is taken."""
        mask = ring(20, 19)
        mask[:, 48:] = 0
        head, gt = build(exact_rays=True), sample(mask[None]).gt_instances
        found = head.targets([gt], [(8, 12), (4, 6)])
        assert found.shares is None and len(found.positives)
        wanted = build(holes=True).targets([gt], [(8, 12), (4, 6)])
        assert torch.equal(found.rays, wanted.rays) and wanted.shares.any()


def crossings(line):
    """Distances (36, n) at which rays from the origin cross the sides of a polygon."""
    angle = np.arange(36) * math.tau / 36
    ahead = np.stack((np.sin(angle), np.cos(angle)), 1)[:, None]
    along = np.roll(line, -1, 0) - line

    def cross(a, b):
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    sides = cross(ahead, line[None]).round(9) > 0
    with np.errstate(all='ignore'):
        distances = cross(line, along) / cross(ahead, along[None])
    return np.where((sides != np.roll(sides, -1, 1)) & (distances > 0), distances, np.inf)


def test_centerness_of_a_gap():
    rays = torch.tensor([[4., 1e-6, 16, 9], [4., 4, 16, 9], [1e-6, 4, 16, 1e-6], [1e-6] * 4])
    torch.testing.assert_close(polar_centerness(rays, gaps=True),
                               torch.tensor([0.5 * 3 / 4, 0.5, 0., 0.]))
    assert polar_centerness(rays)[0] < 1e-3


def corners(*sides):
    """Squares around (10, 10), by half their side."""
    return torch.tensor([[[10. - s, 10 - s], [10 + s, 10 - s], [10 + s, 10 + s], [10 - s, 10 + s]]
                         for s in sides])


class TestFilling:
    @pytest.mark.parametrize('fill, pixels', [('opencv', 11**2 - 3**2), ('rounded', 11**2 - 3**2),
                                              ('coco', 10**2 - 4**2)])
    def test_by_hand(self, fill, pixels):
        """A square of 11 px with a contour of 5 px in it, 3 px of which are inside."""
        mask, = contours_to_bitmaps(corners(5), (21, 21), fill, holes=corners(2))
        assert mask.sum() == pixels and not mask[9:12, 9:12].any() and mask[6:15, 6:8].all()

    @pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
    @pytest.mark.parametrize('center', [10, 2, 60], ids=['inside', 'half-outside', 'outside'])
    def test_run_lengths_equal_bitmaps(self, fill, center):
        rng = np.random.default_rng(0)
        angle = torch.arange(36).float() * math.tau / 36
        ahead = torch.stack((angle.sin(), angle.cos()), 1)
        lengths = torch.from_numpy(rng.uniform(4, 9, (8, 36, 1))).float()
        contours, holes = (center + part * lengths * ahead for part in (1, 0.5))
        holes[3] = center                              # none
        holes[4] = center + 20 * ahead                 # larger than the contour
        holes[5] += 6                                  # across it
        found = contours_to_bitmaps(contours, (30, 40), fill, (0.3, 0.7), holes)
        rle = contours_to_rle(contours, (30, 40), fill, (0.3, 0.7), holes)
        np.testing.assert_array_equal(rle.to_ndarray(), found.numpy())
        plain = contours_to_bitmaps(contours, (30, 40), fill, (0.3, 0.7))
        assert (found <= plain).all() and torch.equal(found[3], plain[3])
        assert not found[4].any()
        if center == 10:
            assert (found.sum((1, 2)) < plain.sum((1, 2)))[[0, 1, 2, 5]].all()

    @pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
    def test_holes_of_a_point_change_nothing(self, fill):
        contours = corners(5, 3.3)
        points = torch.full((2, 36, 2), 10.)
        assert list(contours_to_rle(contours, (21, 21), fill, holes=points)) == list(
            contours_to_rle(contours, (21, 21), fill))
        assert contours_to_bitmaps(contours[:0], (21, 21), fill, holes=points[:0]).shape == (
            0, 21, 21)

    @pytest.mark.parametrize('open_to', [0, 7])
    def test_perfect_rays_draw_the_ring(self, open_to):
        mask = ring(20, 12)
        mask[32:32 + open_to, 48:] = 0
        point, coder = torch.tensor([[48, 32]]), PolarRayCoder(36)
        rays, shares = coded(mask, point.tolist(), 36)
        drawn = contours_to_bitmaps(coder.decode(point, rays), mask.shape, 'rounded',
                                    holes=coder.decode(point, rays * shares)).numpy()[0]
        iou = (drawn & (mask > 0)).sum() / (drawn | (mask > 0)).sum()
        assert iou > 0.9
