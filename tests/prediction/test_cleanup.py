"""Post-processing: small cases by hand, and what must not change."""
import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.masks.runs import Crop
from mmdet_lordre.prediction.cleanup import clean, mask_nms, smoothed, without_holes, without_specks
from mmdet_lordre.prediction.measures import measures_of, touches_border
from mmdet_lordre.prediction.overlaps import box_pairs
from mmdet_lordre.prediction.result import Result
from mmdet_lordre.prediction.settings import Settings


def result_of(*masks, labels=None):
    masks = encode_masks(np.array(masks, np.uint8))
    count = len(masks)
    return Result('a', 0, masks.size, masks, np.linspace(1, 0.5, count),
                  np.zeros(count) if labels is None else labels)


def box(y, x, h, w, size=(40, 50)):
    mask = np.zeros(size, np.uint8)
    mask[y:y + h, x:x + w] = 1
    return mask


def disk(radius, size=(80, 90), center=(40, 45)):
    y, x = np.mgrid[:size[0], :size[1]]
    return ((y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius ** 2).astype(np.uint8)


def test_nothing_is_done_unless_it_is_asked_for():
    result = result_of(box(0, 0, 10, 10), box(0, 0, 10, 10))
    assert clean(result, Settings()) is result


def test_objects_without_a_pixel_are_none():
    result = clean(result_of(box(0, 0, 0, 0), box(2, 3, 10, 10), box(0, 0, 0, 0)), Settings())
    assert len(result) == 1 and result.scores == [0.75]
    assert result.boxes.tolist() == [[3, 2, 13, 12]] and result.areas.tolist() == [100]
    assert len(clean(result_of(box(0, 0, 0, 0)), Settings())) == 0


def test_specks_and_holes():
    mask = box(5, 5, 20, 20) + box(30, 30, 2, 2)
    mask[10:13, 10:13] = 0
    mask[20, 20] = 0
    kept = without_specks(mask, 5)
    assert kept.sum() == mask.sum() - 4 and not kept[30:, 30:].any()
    assert without_specks(mask, 4).sum() == mask.sum()
    assert not without_specks(mask, 10_000).any()
    filled = without_holes(mask, 1)
    assert filled.sum() == mask.sum() + 1 and filled[20, 20]
    assert without_holes(mask, 9).sum() == mask.sum() + 10
    edge = 1 - box(0, 0, 3, 3)  # open to the border of the bounds: no hole
    assert np.array_equal(without_holes(edge, 100), edge)
    found = clean(result_of(mask, box(0, 0, 1, 3)), Settings(min_area=5, fill_holes=9))
    assert found.areas.tolist() == [400] and found.boxes.tolist() == [[5, 5, 25, 25]]


def test_smoothing_keeps_the_area():
    rng = np.random.default_rng(0)
    for radius in (3, 6, 20):
        noisy = disk(radius) ^ ((cv2.Canny(disk(radius) * 255, 50, 100) > 0)
                                & (rng.random((80, 90)) < 0.5)).astype(np.uint8)
        before = result_of(noisy)
        crop = before.crop(0)
        after = smoothed(crop, 1.5, (80, 90))
        assert abs(int(after.bitmap.sum()) - int(crop.bitmap.sum())) <= 2
        again = clean(before, Settings(smooth=1.5))
        true = disk(radius).astype(bool)

        def iou(mask, true=true):
            return (mask & true).sum() / (mask | true).sum()
        assert iou(again.bitmaps()[0]) > iou(noisy.astype(bool))
    # it does not draw back from the border of the picture
    half = box(0, 0, 40, 25)
    assert np.array_equal(clean(result_of(half), Settings(smooth=2)).bitmaps()[0], half > 0)
    dot = clean(result_of(box(3, 3, 1, 1)), Settings(smooth=3))
    assert dot.areas.tolist() == [1]


def test_one_label_a_pixel():
    first, second, third = box(0, 0, 20, 20), box(10, 10, 20, 20), box(12, 12, 4, 4)
    found = clean(result_of(first, second, third), Settings(one_label=True))
    masks = found.bitmaps()
    assert np.array_equal(masks[0], first > 0)
    assert np.array_equal(masks[1], (second > 0) & (first == 0))
    assert len(found) == 2  # nothing is left of the third


def test_mask_nms():
    masks = [box(0, 0, 10, 10), box(0, 1, 10, 10), box(0, 2, 10, 10), box(20, 20, 5, 5)]
    # IoU 90/110 of neighbors, 80/120 of the first and the third
    assert len(mask_nms(result_of(*masks), 0.85)) == 4
    kept = mask_nms(result_of(*masks), 0.7)
    assert kept.boxes[:, 0].tolist() == [0, 2, 20]
    assert len(mask_nms(result_of(*masks), 0.5)) == 2
    assert len(mask_nms(result_of(*masks, labels=np.array([0, 1, 2, 0])), 0.5)) == 4


def test_pairs_of_boxes():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 50, (60, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 12, (60, 2))], axis=1)
    found = {tuple(p) for pairs in box_pairs(boxes) for p in pairs.tolist()}
    expected = {(i, j) for i in range(60) for j in range(i + 1, 60)
                if mask_api.iou([[*boxes[i, :2], *(boxes[i, 2:] - boxes[i, :2])]],
                                [[*boxes[j, :2], *(boxes[j, 2:] - boxes[j, :2])]], [0])[0, 0] > 0}
    assert found == expected and found
    both = {tuple(p) for pairs in box_pairs(boxes[:20], boxes[20:]) for p in pairs.tolist()}
    assert both == {(i, j - 20) for i, j in expected if i < 20 <= j}


class TestMeasures:

    @pytest.mark.parametrize('radius', [8, 15, 30])
    def test_a_disk(self, radius):
        found = measures_of(Crop(100, 200, disk(radius)))
        assert found['area'] == pytest.approx(np.pi * radius ** 2, rel=0.03)
        assert found['perimeter'] == pytest.approx(2 * np.pi * radius, rel=0.04)
        assert found['circularity'] == pytest.approx(1, abs=0.1)
        assert found['length'] == pytest.approx(2 * radius, rel=0.12)
        assert (found['center_x'], found['center_y']) == (245.5, 140.5)

    def test_a_turned_rectangle(self):
        mask = np.zeros((120, 120), np.uint8)
        points = cv2.boxPoints(((60, 60), (60, 20), 30)).astype(np.int32)
        cv2.fillPoly(mask, [points], 1)
        found = measures_of(Crop(0, 0, mask))
        assert found['length'] == pytest.approx(61, abs=2)
        assert found['width'] == pytest.approx(21, abs=2)
        assert found['perimeter'] == pytest.approx(164, rel=0.05)

    def test_boxes_and_borders(self):
        found = measures_of(Crop(3, 4, np.ones((2, 5), np.uint8)))
        assert [found[f'box_{key}'] for key in ('x', 'y', 'width', 'height')] == [4, 3, 5, 2]
        assert (found['length'], found['width']) == (5, 2)
        assert touches_border(Crop(3, 4, np.ones((2, 5))), (5, 20))
        assert touches_border(Crop(0, 4, np.ones((2, 5))), (9, 20))
        assert not touches_border(Crop(3, 4, np.ones((2, 5))), (6, 10))
