"""Areas and bounds of run lengths: of more masks than pycocotools counts at once, and of none."""
import numpy as np
import pytest
from pycocotools import mask as mask_api

from mmdet_lordre.masks import RLEMasks, bounds_of, encode_masks, mask_areas, mask_boxes
from mmdet_lordre.masks.drawing import draw_segment
from mmdet_lordre.masks.runs import crop_of_rle


def test_areas():
    masks = np.zeros((600, 5, 7), np.uint8)
    for number, mask in enumerate(masks):
        mask.flat[:number % 36] = 1
    assert mask_areas(encode_masks(masks)).tolist() == masks.sum((1, 2)).tolist()
    assert mask_areas([]).tolist() == []
    assert bounds_of([]).shape == (0, 4)


@pytest.mark.parametrize('counts', [[100], [100, 0], [50, 0, 50], [0, 0, 100], [30, 0, 0, 0, 70]],
                         ids=str)
def test_an_empty_mask_has_no_bounds(counts):
    """Also where it is written with runs of no pixels."""
    segment = dict(size=[10, 10], counts=counts)
    empty = mask_api.frPyObjects(segment, 10, 10)
    full = mask_api.frPyObjects(dict(size=[10, 10], counts=[23, 4, 6, 4, 63]), 10, 10)
    assert bounds_of([full, empty]).tolist() == [[2, 3, 2, 4], [0, 0, 0, 0]]
    boxes = mask_boxes(RLEMasks([empty, full]))
    assert boxes.tolist() == [[0, 0, 0, 0], [2, 3, 4, 7]]
    assert crop_of_rle(empty).bitmap.shape == (0, 0)
    for form in (segment, dict(empty, counts=empty['counts'].decode())):
        corner, pixels = draw_segment(form, 10, 10)
        assert corner == (0, 0) and not pixels.size
