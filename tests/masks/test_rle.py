"""Run lengths stand where mmdet expects masks."""
import pickle

import numpy as np
import pytest
import torch
from mmdet.apis import det_inferencer
from mmdet.structures.mask import mask2bbox

from mmdet_lordre.masks import RLEMasks, encode_masks, mask_boxes


@pytest.fixture
def masks():
    found = torch.zeros(3, 5, 7, dtype=torch.bool)
    found[0, 1:3, 2:6] = True
    found[2, 4, 6] = True
    return found


def test_mmdets_encoding_of_each(masks):
    """What ``DetInferencer`` does with the masks of its results."""
    encoded = encode_masks(masks)
    found = det_inferencer.encode_mask_results(encoded)
    assert found == det_inferencer.encode_mask_results(masks.numpy()) == list(encoded)
    found[0]['counts'] = 'text'  # as it does
    assert isinstance(encoded[0]['counts'], bytes)


def test_as_a_tensor(masks):
    assert torch.equal(encode_masks(masks).cpu(), masks)
    assert encode_masks(masks[:0]).cpu().shape == (0, 5, 7)
    # what it falls back to without boxes
    assert torch.equal(mask2bbox(encode_masks(masks).cpu()), mask_boxes(masks))


def test_files_hold_plain_dictionaries(masks):
    encoded = encode_masks(masks)
    assert {type(mask) for mask in encoded} == {dict} and encoded[0]['size'] == [5, 7]
    again = pickle.loads(pickle.dumps(encoded))
    assert isinstance(again, RLEMasks) and again == encoded and again.shape == (3, 5, 7)


@pytest.mark.parametrize('step', [1, 2, 100])
def test_a_few_at_a_time(masks, monkeypatch, step):
    monkeypatch.setattr('mmdet_lordre.masks.rle.chunk_size', lambda elements: step)
    for form in (masks, masks.numpy(), masks.to(torch.uint8)):
        np.testing.assert_array_equal(encode_masks(form).to_ndarray(), masks)
