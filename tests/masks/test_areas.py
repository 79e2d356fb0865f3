"""Areas of run lengths, of more masks than pycocotools counts at once."""
import numpy as np

from mmdet_lordre.masks import encode_masks, mask_areas


def test_areas():
    masks = np.zeros((600, 5, 7), np.uint8)
    for number, mask in enumerate(masks):
        mask.flat[:number % 36] = 1
    assert mask_areas(encode_masks(masks)).tolist() == masks.sum((1, 2)).tolist()
    assert mask_areas([]).tolist() == []
