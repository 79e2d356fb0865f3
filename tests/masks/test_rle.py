"""Run lengths stand where mmdet expects masks."""
import pickle

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.evaluation import DumpDetResults
from mmdet.structures import DetDataSample
from mmdet.structures.mask import mask2bbox

from mmdet_lordre.masks import MaskInstances, RLEMasks, encode_masks, mask_boxes


@pytest.fixture
def masks():
    found = torch.zeros(3, 5, 7, dtype=torch.bool)
    found[0, 1:3, 2:6] = True
    found[2, 4, 6] = True
    return found


@pytest.mark.parametrize('boxes', [True, False])
@pytest.mark.parametrize('count', [3, 0])
def test_the_dictionaries_of_mmdets_inferencer(masks, count, boxes):
    """Of results with run lengths they are those of bitmaps."""
    def dictionary(form):
        found = MaskInstances(labels=torch.arange(count), scores=torch.ones(count), masks=form)
        if boxes:
            found.bboxes = mask_boxes(masks[:count])
        sample = DetDataSample(pred_instances=found)
        return DetInferencer.pred2dict(None, sample.cpu()), sample

    found, sample = dictionary(encode_masks(masks[:count]))
    assert found == dictionary(masks[:count])[0] and len(found['masks']) == count
    assert isinstance(sample.pred_instances.masks, RLEMasks)  # as they were
    assert all(isinstance(mask['counts'], bytes) for mask in sample.pred_instances.masks)


def test_mmdets_results_file(masks, tmp_path):
    """``test.py --out`` of mmdet, which its analysis tools read."""
    contents = []
    for form in (masks, encode_masks(masks)):
        path = tmp_path / 'r.pkl'
        sample = DetDataSample(pred_instances=MaskInstances(scores=torch.ones(3), masks=form))
        metric = DumpDetResults(out_file_path=str(path))
        metric.process(None, [sample.to_dict()])
        metric.evaluate(1)
        contents.append(pickle.loads(path.read_bytes())[0]['pred_instances']['masks'])
    assert contents[0] == contents[1] and len(contents[1]) == 3


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
