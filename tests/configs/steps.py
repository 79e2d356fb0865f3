"""One step and a prediction of every model of the configs: small inputs, random weights.

A head is computed as it is once; behind other backbones, in fewer layers and on smaller grids.
"""
import functools
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401 - registers everything

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PATHS = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')
#: Families whose steps are in a file of their own.
GRIDS = ('solov2', 'aggmask')
HEIGHT, WIDTH = 96, 128


@functools.cache
def models():
    """One config for every distinct model."""
    return firsts(PATHS, lambda model: model)


def firsts(paths, part):
    """The first of the configs for everything that ``part`` finds in their models."""
    found = {}
    for path in paths:
        found.setdefault(str(part(Config.fromfile(path).model)), path)
    return list(found.values())


def head_of(model):
    return model.get('mask_head') or model.bbox_head


@functools.cache
def whole_heads():
    """Configs whose head no config before them has; where its grids alone are others, too."""
    return firsts(models(), head_of)


@functools.cache
def whole_towers():
    """The same, where other grids make no other head."""
    return firsts(models(), lambda model: dict(head_of(model), num_grids=None))


def without_downloads(model):
    """The config of a model without its ImageNet weights."""
    for value in model.values():
        if isinstance(value, dict):
            if 'checkpoint' in (value.get('init_cfg') or {}):
                value.pop('init_cfg')
            without_downloads(value)
    return model


def sample(num_classes, height=HEIGHT, width=WIDTH):
    """An image with a rectangle, a disc and a bar."""
    masks = np.zeros((3, height, width), np.uint8)
    masks[0, 8:68, 16:86] = 1
    masks[1] = np.hypot(*np.mgrid[-64:height - 64, 32 - width:32]) < 28
    masks[2, 76:92, 4:60] = 1
    result = DetDataSample(metainfo=dict(
        img_id=0, img_path='one.jpg', img_shape=(height, width), ori_shape=(height, width),
        scale_factor=(1.0, 1.0), batch_input_shape=(height, width), pad_shape=(height, width)))
    masks = BitmapMasks(masks, height, width)
    result.gt_instances = InstanceData(
        bboxes=masks.get_bboxes('hbox').tensor, labels=torch.tensor([0, 1, 2]) % num_classes,
        masks=masks)
    return result


def check_a_step(path):
    """Losses and gradients of one step are finite, and the model predicts."""
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    # mmcv's deformable convolution is slow on a CPU; it needs 3 x 3 pixels at stride 32
    height, width = (96, 96) if 'DCN' in str(cfg.model) else (HEIGHT, WIDTH)
    head = head_of(cfg.model)
    # with other backbones, what a step has shown of a head is not computed again
    if 'num_grids' in head and (path not in whole_heads() or head.get('dcn_cfg')):
        head.num_grids = [8, 7, 6, 5, 4]
    if 'stacked_convs' in head and path not in whole_towers():
        head.stacked_convs = 1
    model = MODELS.build(without_downloads(cfg.model))
    head = model.mask_head if getattr(model, 'mask_head', None) is not None else model.bbox_head
    # The backbones' is slow, and mmdet's own.
    head.init_weights()
    model.train()
    data = dict(inputs=[torch.randint(0, 256, (3, height, width), dtype=torch.uint8)],
                data_samples=[sample(head.num_classes, height, width)])
    batch = model.data_preprocessor(data, training=True)
    total, logs = model.parse_losses(model.loss(batch['inputs'], batch['data_samples']))
    total.backward()
    assert all(torch.isfinite(value).all() for value in logs.values()), logs
    for part in (head, model.backbone):
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)

    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor(data, training=False)
        result, = model.predict(batch['inputs'], batch['data_samples'], rescale=True)
    found = result.pred_instances
    assert {'scores', 'labels', 'masks', 'bboxes'} <= set(found.keys())
    assert len(found.scores) == len(found.labels) == len(found.bboxes) == len(found.masks)
