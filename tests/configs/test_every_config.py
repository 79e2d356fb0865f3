"""Every config builds, trains one step and predicts: small inputs, random weights.

Configs that share a model (other schedules, augmentations, precisions) share the run; their
pipelines, optimizers, schedules and evaluators are built for each.
"""
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.checkpoints.verify import build_untrained

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PATHS = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')
# Deformable convolution needs 3 x 3 pixels at stride 32.
HEIGHT, WIDTH = 128, 160


def models():
    """One config for every distinct model."""
    groups = defaultdict(list)
    for path in PATHS:
        groups[str(Config.fromfile(path).model)].append(path)
    return [group[0] for group in groups.values()]


def without_downloads(model):
    """The config of a model without its ImageNet weights."""
    for value in model.values():
        if isinstance(value, dict):
            if 'checkpoint' in (value.get('init_cfg') or {}):
                value.pop('init_cfg')
            without_downloads(value)
    return model


def sample(num_classes):
    """An image with a rectangle, a disc and a bar."""
    masks = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    masks[0, 10:70, 20:90] = 1
    masks[1] = np.hypot(*np.mgrid[-80:HEIGHT - 80, -110:WIDTH - 110]) < 30
    masks[2, 100:120, 4:60] = 1
    result = DetDataSample(metainfo=dict(
        img_id=0, img_path='one.jpg', img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH),
        scale_factor=(1.0, 1.0), batch_input_shape=(HEIGHT, WIDTH), pad_shape=(HEIGHT, WIDTH)))
    masks = BitmapMasks(masks, HEIGHT, WIDTH)
    result.gt_instances = InstanceData(
        bboxes=masks.get_bboxes('hbox').tensor, labels=torch.tensor([0, 1, 2]) % num_classes,
        masks=masks)
    return result


@pytest.mark.parametrize('path', models(), ids=lambda path: path.stem)
def test_a_step(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    if cfg.model.get('mask_head', {}).get('dcn_cfg'):
        # mmcv's deformable convolution is slow on a CPU: five small grids in place of 40 to 12.
        cfg.model.mask_head.num_grids = [8, 7, 6, 5, 4]
    model = MODELS.build(without_downloads(cfg.model))
    head = model.mask_head if getattr(model, 'mask_head', None) is not None else model.bbox_head
    # The backbones' is slow, and mmdet's own.
    head.init_weights()
    model.train()
    data = dict(inputs=[torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8)],
                data_samples=[sample(head.num_classes)])
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


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_rest_is_complete(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        assert DATASETS.get(dataset.type), dataset.type
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
            assert METRICS.get(metric.type), metric.type
    if cfg.optim_wrapper.type == 'AmpOptimWrapper':
        # It builds on a GPU only.
        cfg.optim_wrapper = dict(cfg.optim_wrapper, type='OptimWrapper')
        cfg.optim_wrapper.pop('loss_scale')
    wrapper = build_optim_wrapper(build_untrained(cfg), cfg.optim_wrapper)
    assert wrapper.param_groups
    assert cfg.param_scheduler and cfg.train_cfg and cfg.val_cfg is not None
    # What is written into a checkpoint must read back.
    assert Config.fromstring(cfg.pretty_text, '.py').model == cfg.model
