import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from mmdet_lordre.masks import encode_masks
from tests.cli.tiny import NAMES, make_coco, write_config


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
    """A folder with val.json and five pictures in val/."""
    folder = tmp_path_factory.mktemp('pictures')
    make_coco(folder, 'val', 'val.json', count=5, seed=1)
    return folder


@pytest.fixture(scope='session')
def work_folder(tmp_path_factory):
    """A work folder as training leaves it, of a model that has learned nothing."""
    folder = tmp_path_factory.mktemp('model') / 'work'
    folder.mkdir()
    config = write_config(folder / 'tiny.py')
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    cfg.model.mask_head.num_classes = len(NAMES)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        cfg=cfg.pretty_text, dataset_meta=dict(classes=NAMES), iter=3, epoch=1)),
        folder / 'iter_3.pth')
    (folder / 'last_checkpoint').write_text('/moved/elsewhere/iter_3.pth')
    return folder


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
