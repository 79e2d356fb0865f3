"""Predictions in a pickle file."""
import pickle

import pytest
import torch
from pycocotools import mask as mask_api

from mmdet_lordre.evaluation import DumpMaskResults
from mmdet_lordre.masks import encode_masks


@pytest.mark.parametrize('form', [lambda masks: masks, encode_masks])
def test_masks_are_run_lengths(tmp_path, form):
    masks = torch.rand(3, 10, 12) > 0.5
    path = tmp_path / 'r.pkl'
    metric = DumpMaskResults(out_file_path=str(path))
    metric.process(None, [dict(img_id=7, gt_instances=dict(labels=torch.ones(9)),
                               pred_instances=dict(masks=form(masks), scores=torch.rand(3)))])
    metric.evaluate(1)
    (result,) = pickle.loads(path.read_bytes())
    assert result['img_id'] == 7 and 'gt_instances' not in result
    decoded = mask_api.decode(result['pred_instances']['masks']).transpose(2, 0, 1)
    assert torch.equal(torch.from_numpy(decoded).bool(), masks)
