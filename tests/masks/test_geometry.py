"""Boxes, maskness and run lengths on cases worked by hand."""
import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

from mmdet_lordre.masks import (
    RLEMasks,
    central_sums,
    chunk_size,
    encode_masks,
    mask_boxes,
    maskness,
)


def some_masks():
    masks = torch.zeros(4, 6, 8, dtype=torch.bool)
    masks[0, 2:5, 1:4] = True
    masks[1, 5, 7] = True           # one pixel in the last corner
    masks[2, 0, 0] = masks[2, 3, 6] = True  # two parts
    return masks                    # the last is empty


@pytest.mark.parametrize('form', [lambda m: m, encode_masks, lambda m: m.to(torch.uint8)])
def test_boxes(form):
    boxes = mask_boxes(form(some_masks()))
    assert boxes.tolist() == [[1, 2, 4, 5], [7, 5, 8, 6], [0, 0, 7, 4], [0, 0, 0, 0]]
    assert boxes.dtype == torch.float32


@pytest.mark.parametrize('form', [lambda m: m, encode_masks])
def test_boxes_of_nothing(form):
    assert mask_boxes(form(torch.zeros(0, 6, 8, dtype=torch.bool))).shape == (0, 4)


def test_boxes_of_a_thousand_permuted():
    g = torch.Generator().manual_seed(1)
    masks = torch.rand(1000, 9, 7, generator=g) > 0.9
    order = torch.randperm(1000, generator=g)
    assert torch.equal(mask_boxes(masks)[order], mask_boxes(masks[order]))
    for mask, box in zip(masks[:50], mask_boxes(masks)[:50].tolist()):
        ys, xs = mask.nonzero(as_tuple=True)
        expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else [0] * 4
        assert box == [float(v) for v in expected]


def test_maskness():
    probs = torch.tensor([[[0.9, 0.5], [0.1, 0.4]], [[0.1, 0.1], [0.1, 0.1]]])
    got = maskness(probs, 0.45)
    assert got[0].item() == pytest.approx(0.7, abs=1e-6) and got[1] == 0
    # a half-precision sum over this many pixels would stop at 2048
    assert maskness(torch.full((1, 100, 100), 0.75, dtype=torch.float16),
                    0.5)[0].item() == pytest.approx(0.75, abs=1e-5)


def test_rle_round_trip_in_instance_data():
    masks = some_masks()
    rle = encode_masks(masks)
    assert np.array_equal(rle.astype(bool), masks.numpy())
    data = InstanceData(masks=rle, scores=torch.arange(4))
    kept = data[torch.tensor([True, False, True, False])]
    assert isinstance(kept.masks, RLEMasks)
    assert np.array_equal(kept.masks.astype(bool), masks[[0, 2]].numpy())
    nothing = data[data.scores > 9].masks
    assert isinstance(nothing, RLEMasks) and nothing.astype(bool).shape == (0, 6, 8)
    again = pickle.loads(pickle.dumps(rle))
    assert again == rle and again.size == rle.size
    assert mask_api.area(list(rle)).tolist() == [9, 1, 2, 0]


def test_rle_of_a_wrong_shape():
    with pytest.raises(ValueError, match='height, width'):
        encode_masks(torch.zeros(3, 3))


@pytest.mark.parametrize('factor', [2, 4, 8])
def test_central_sums_are_the_bilinear_shrink(factor):
    g = torch.Generator().manual_seed(factor)
    masks = (torch.rand(5, 32, 48, generator=g) > 0.5).to(torch.uint8)
    size = (32 // factor, 48 // factor)
    ours = central_sums(masks, factor, size).float() / 4
    theirs = torch.nn.functional.interpolate(masks[None].float(), size=size, mode='bilinear',
                                             align_corners=False)[0]
    assert torch.equal(ours, theirs)


def test_central_sums_pad_and_forms():
    array = np.zeros((1, 6, 7), np.uint8)
    array[0, 1:3, 1:3] = 1
    array[0, 5, 5] = 1
    # blocks of 4: the center of block (0, 0) is [1:3, 1:3]; that of block (1, 1) is [5:7, 5:7]
    expected = [[4, 0, 0], [0, 1, 0], [0, 0, 0]]
    for masks in (array, torch.from_numpy(array), BitmapMasks(array, 6, 7)):
        assert central_sums(masks, 4, (3, 3))[0].tolist() == expected
    square = PolygonMasks([[np.array([0., 0, 4, 0, 4, 4, 0, 4])]], 8, 8)
    assert central_sums(square, 4, (2, 2))[0].tolist() == [[4, 0], [0, 0]]
    assert central_sums(np.zeros((0, 6, 7), np.uint8), 4, (3, 3)).shape == (0, 3, 3)
    with pytest.raises(ValueError, match='even'):
        central_sums(array, 3, (2, 2))


def test_chunk_size():
    assert chunk_size(10, budget=100) == 10
    assert chunk_size(1000, budget=100) == 1
    assert chunk_size(0, budget=100) == 100
