"""A small head and small images."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData


def make_head(**kwargs):
    torch.manual_seed(0)
    settings = dict(type='LordreHead', num_classes=3, in_channels=8, channels=16, depth=2,
                    num_queries=6, kernel_dim=8, groups=2)
    # None takes a setting out
    head = MODELS.build({k: v for k, v in (settings | kwargs).items() if v is not None})
    # larger than the published initialization, so that predictions differ
    for parameter in head.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel()**-0.5)
        else:
            torch.nn.init.normal_(parameter, std=0.5)
    return head


def make_sample(count, size=(60, 90), padded=(64, 96), seed=0):
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), np.uint8)
    for mask in masks:
        y, x = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        mask[y:y + rng.integers(4, 20), x:x + rng.integers(4, 20)] = 1
    sample = DetDataSample(metainfo=dict(
        img_path=f'image{seed}.jpg', img_shape=size, ori_shape=(size[0] * 2, size[1] * 2),
        batch_input_shape=padded, pad_shape=padded, scale_factor=(0.5, 0.5)))
    sample.gt_instances = InstanceData(
        labels=torch.from_numpy(rng.integers(0, 3, count)), bboxes=torch.zeros(count, 4),
        masks=BitmapMasks(masks, *size))
    return sample


@pytest.fixture
def features():
    g = torch.Generator().manual_seed(3)
    return (torch.randn(2, 8, 8, 12, generator=g), )
