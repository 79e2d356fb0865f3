import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmdet_lordre.polarmask import (
    InstanceContours,
    PolarRayCoder,
    level_points,
    polar_targets,
    positive_points,
)
from tests.parity.fill import ellipse_instances

from .reference import image_targets

STRIDES = (8, 16, 32)
RANGES = ((-1, 24), (24, 48), (48, 1e8))


def sizes_of(height, width):
    return [(height // stride, width // stride) for stride in STRIDES]


def image_of(name, height, width, count):
    boxes, labels, masks = ellipse_instances(name, height, width, count, 7)
    return InstanceData(bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
                        masks=BitmapMasks(masks, height, width))


def targets_of(images, sizes, coder=None, radius=1.5):
    return polar_targets(images, sizes, STRIDES, RANGES, 7, coder or PolarRayCoder(36), radius)


def test_points_of_a_few_sizes_are_kept():
    """Training at random sizes does not collect those of all."""
    for width in range(100):
        level_points((1, width), 8)
    assert level_points.cache_info().currsize <= 32


def test_points_of_a_level():
    assert level_points((2, 3), 8).tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12],
                                                [20, 12]]


@pytest.mark.parametrize('num_rays,radius,wrap', [(36, 1.5, False), (18, 1.5, True),
                                                  (72, 2.3, False)])
@pytest.mark.parametrize('counts', [(4, 9, 0, 1)])
def test_a_batch_equals_the_published_algorithm(counts, num_rays, radius, wrap):
    height, width = 160, 224
    images = [image_of(f'targets/{i}', height, width, count) if count else InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long),
        masks=BitmapMasks(np.zeros((0, height, width), np.uint8), height, width))
        for i, count in enumerate(counts)]
    sizes = sizes_of(height, width)
    found = targets_of(images, sizes, PolarRayCoder(num_rays, wrap), radius)
    count = sum(h * w for h, w in sizes)
    seen = 0
    for i, image in enumerate(images):
        labels = found.labels[i * count:(i + 1) * count]
        here = found.positives // count == i
        if not len(image.bboxes):
            assert (labels == 7).all() and not here.any()
            continue
        wanted = image_targets(image.bboxes, image.labels, image.masks.masks, sizes, STRIDES,
                               RANGES, 7, num_rays, radius, wrap)
        assert torch.equal(labels, wanted[0])
        assert torch.equal(found.positives[here] % count, wanted[1])
        torch.testing.assert_close(found.rays[here], wanted[2])
        assert torch.equal(found.boxes[here], wanted[3])
        seen += len(wanted[1])
    assert seen == len(found.positives) > 30


def test_contours_of_the_loader_give_the_same():
    images, sizes = [image_of('same', 96, 96, 6)], sizes_of(96, 96)
    wanted = targets_of(images, sizes)
    packed = [InstanceData(bboxes=image.bboxes, labels=image.labels,
                           masks=InstanceContours.from_masks(image.masks)) for image in images]
    found = targets_of(packed, sizes)
    assert found.shares is wanted.shares is None
    assert all(torch.equal(getattr(found, key), value)
               for key, value in vars(wanted).items() if key != 'shares')


def test_the_order_of_instances_does_not_matter():
    image, sizes = image_of('order', 128, 160, 8), sizes_of(128, 160)
    order = torch.tensor([5, 2, 7, 0, 1, 6, 4, 3])
    shuffled = InstanceData(bboxes=image.bboxes[order], labels=image.labels[order],
                            masks=image.masks[order.numpy()])
    first, second = targets_of([image], sizes), targets_of([shuffled], sizes)
    assert torch.equal(first.labels, second.labels) and torch.equal(first.rays, second.rays)
    assert torch.equal(first.instances, order[second.instances])


def positives(centroids, boxes, sizes=((10, 10), (5, 5), (2, 2)), radius=1.5, ranges=RANGES):
    centroids, boxes = torch.tensor(centroids), torch.tensor(boxes, dtype=torch.float32)
    images = torch.zeros(len(boxes), dtype=torch.long)
    point, instance = positive_points(centroids, boxes, images, sizes, STRIDES, ranges, radius)
    return point.tolist(), instance.tolist()


class TestPositives:
    EVERY = ((-1, 1e8), (1e9, 1e9), (1e9, 1e9))

    def test_strictly_within_the_radius(self):
        # points at 4, 12, 20, 28, 36; 28 - 16 = 12 is the radius itself
        point, _ = positives([[16, 28]], [[0, 0, 80, 80]], ranges=self.EVERY)
        assert point == [21, 22, 31, 32, 41, 42]
        assert positives([[16, 28]], [[0, 0, 80, 80]], radius=1.6, ranges=self.EVERY)[0] == [
            20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43]

    def test_strictly_inside_the_box(self):
        point, _ = positives([[16, 28]], [[12, 20, 80, 36]], ranges=self.EVERY)
        assert point == [32]

    def test_both_ends_of_a_range_count(self):
        # the point (20, 20) of the first level and (24, 24) of the second, 24 from the far sides
        point, _ = positives([[20, 20]], [[0, 0, 44, 44]], radius=0.3)
        assert 22 in point
        point, _ = positives([[24, 24]], [[0, 0, 48, 48]], radius=0.3)
        assert point == [100 + 6]

    def test_the_smallest_box_wins_and_ties_go_to_the_first(self):
        boxes = [[0, 0, 80, 80], [0, 0, 60, 60], [0, 0, 60, 60]]
        _, instance = positives([[28, 28]] * 3, boxes, ranges=self.EVERY)
        assert set(instance) == {1}

    def test_a_centroid_at_the_left_border_learns(self):
        # the published loader gives up on the whole image when the first centroid has x = 0
        point, instance = positives([[0, 20], [40, 40]], [[0, 0, 9, 40], [20, 20, 60, 60]])
        assert set(instance) == {0, 1} and 20 in point

    def test_outside_the_image_or_nan(self):
        assert positives([[-50., 20.], [torch.nan, 20.], [500., 500.]],
                         [[-90, 0, -10, 40], [0, 0, 80, 80], [400, 400, 600, 600]])[0] == []

    def test_a_level_in_the_corner(self):
        point, _ = positives([[79, 79]], [[60, 60, 90, 90]], ranges=self.EVERY)
        assert point == [88, 89, 98, 99]


def test_instances_without_a_contour_are_not_learned():
    masks = np.zeros((2, 64, 64), np.uint8)
    masks[1, 20:40, 20:40] = 1
    image = InstanceData(bboxes=torch.tensor([[0., 0, 30, 30], [20., 20, 40, 40]]),
                         labels=torch.tensor([1, 2]), masks=BitmapMasks(masks, 64, 64))
    found = targets_of([image], sizes_of(64, 64))
    assert set(found.instances.tolist()) == {1}


def test_a_thousand_instances():
    rng = np.random.default_rng(0)
    masks = np.zeros((1000, 128, 128), np.uint8)
    corners = rng.integers(0, 118, (1000, 2))
    for mask, (x, y) in zip(masks, corners):
        mask[y:y + 10, x:x + 10] = 1
    boxes = torch.from_numpy(np.concatenate((corners, corners + 10), 1)).float()
    image = InstanceData(bboxes=boxes, labels=torch.zeros(1000).long(), masks=masks)
    found = targets_of([image], sizes_of(128, 128))
    assert len(found.positives) > 200 and found.rays.isfinite().all()
    assert len(found.positives.unique()) == len(found.positives)


def test_missing_masks_are_named():
    image = InstanceData(bboxes=torch.zeros(1, 4), labels=torch.zeros(1).long())
    with pytest.raises(KeyError, match='with_mask=True'):
        targets_of([image], sizes_of(64, 64))
