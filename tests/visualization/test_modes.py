"""The registry of what the demo can draw."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_lordre.cli.demo import picture_mode_of, picture_of
from mmdet_lordre.errors import UserError
from mmdet_lordre.visualization import PICTURE_MODES, picture_mode


@pytest.fixture
def sample():
    return DetDataSample(
        metainfo=dict(img_shape=(400, 400), batch_input_shape=(416, 416)),
        pred_instances=InstanceData(
            scores=torch.tensor([0.2, 0.9, 0.5]), labels=torch.tensor([0, 1, 0]),
            masks=torch.ones(3, 400, 400, dtype=torch.bool), order=torch.arange(3)))


META = dict(classes=('a', 'b'), palette=None)
IMAGE = np.zeros((400, 400, 3), np.uint8)


def test_a_family_adds_its_own(sample, monkeypatch):
    monkeypatch.setattr('mmdet_lordre.visualization.modes.PICTURE_MODES', {})
    seen = []

    @picture_mode('mine', needs='order', of='this test', test_cfg=dict(order=True))
    def draw(image, sample, classes, palette):
        seen.append(sample.pred_instances.order.tolist())
        return image
    from mmdet_lordre.visualization import modes
    mode = modes.PICTURE_MODES['mine']
    assert mode.test_cfg == dict(order=True)
    picture_of(mode, IMAGE, sample, META, score_thr=0.3)
    picture_of(mode, IMAGE, sample, META, score_thr=0.5)
    assert seen == [[1, 2]] * 2  # from the score on, best first


def test_modes_there_are(sample):
    assert {'masks', 'activation-maps', 'rays'} <= set(PICTURE_MODES)
    with pytest.raises(UserError, match='unknown mode'):
        picture_mode_of('sketch')
    with pytest.raises(UserError, match='is for Lordre'):
        picture_of(PICTURE_MODES['activation-maps'], IMAGE, sample, META)


def test_nothing_above_the_score(sample):
    sample.pred_instances.activation_maps = torch.rand(3, 26, 26)
    picture = picture_of(PICTURE_MODES['activation-maps'], IMAGE, sample, META, score_thr=1.0)
    assert np.array_equal(picture, IMAGE)
