"""A large picture in tiles on the simulated device."""
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.tiles import TiledStream

from ..deployment.models import build
from .simulated import recorded, to_device
from .test_heads import FORMS, PREDICT

CFG = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape'))]))))
#: Waits of a tile when its results come to the CPU.
KEPT = {'prediction/stream.py:result_of': (2, 'scores and classes'),
        'masks/rle.py:_changes': (2, 'how many runs begin, and where')}
#: mmengine turns the channels of a picture by a list of indices, which goes to the device.
CHANNELS = {'prediction/stream.py:samples': (1, 'the order of the channels')}


def model_of(form):
    model = build(FORMS[form] | dict(data_preprocessor=dict(
        type='DetDataPreprocessor', non_blocking=True, mean=[120.0] * 3, std=[30.0] * 3,
        bgr_to_rgb=True, pad_size_divisor=32)))
    model.cfg, model.dataset_meta = CFG, dict(classes=('a', 'b', 'c'))
    return model


@pytest.mark.parametrize('form', ['lordre', 'solov2'])
def test_tiles(form):
    picture = torch.randint(0, 255, (3, 5, 3), generator=torch.Generator().manual_seed(0))
    picture = np.kron(picture.numpy().astype(np.uint8), np.ones((32, 32, 1), np.uint8))
    settings = Settings(tile=64, overlap=0.25, score_thr=0.05, workers=1)
    expected, = TiledStream(model_of(form), settings).run(open_source(picture))
    model = to_device(model_of(form))
    model.data_preprocessor._device = torch.device('sim')
    stream = TiledStream(model, settings)
    list(stream.run(open_source(picture)))
    with recorded() as record:
        found, = stream.run(open_source(picture))
    assert len(found) == len(expected) > 0 and list(found.masks) == list(expected.masks)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    waits = Counter()
    for (_, place), count in record.waits.items():
        waits[place] += count
    tiles = waits['prediction/stream.py:result_of'] // 2
    assert tiles > 4
    for place, (each, _) in {**PREDICT[form], **KEPT, **CHANNELS}.items():
        assert waits.pop(place) == each * tiles, (place, record)
    assert not waits, record
