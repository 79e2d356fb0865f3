import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from mmdet_lordre.masks import encode_masks
from tests.cli.tiny import NAMES


class PerfectModel(nn.Module):
    """Finds every area of one color as an object: what a perfect model would, in tiles too.

    Black is background. The label is the blue value modulo three, the score falls with green.
    """

    def __init__(self, rle=False):
        super().__init__()
        self.rle, self.calls = rle, []
        self.mask_head = nn.Identity()
        self.dataset_meta = dict(classes=NAMES, palette=None)
        self.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape'))]))))

    def test_step(self, data):
        self.calls.append([tuple(image.shape) for image in data['inputs']])
        return [self.sample(image.permute(1, 2, 0).numpy()) for image in data['inputs']]

    def sample(self, image):
        values = image.astype(np.int64) @ [1, 256, 65536]
        colors = np.unique(values[values > 0])
        masks = values == colors[:, None, None]
        masks = encode_masks(masks) if self.rle else torch.from_numpy(masks)
        return DetDataSample(pred_instances=InstanceData(
            masks=masks, labels=torch.from_numpy(colors % 256 % 3),
            scores=torch.from_numpy(1 - colors // 256 % 256 / 512).float()))


@pytest.fixture
def perfect():
    init_default_scope('mmdet')
    return PerfectModel()
