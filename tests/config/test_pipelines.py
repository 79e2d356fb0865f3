"""Transforms that leave masks behind are refused by name, and truly do."""
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.config.pipelines import BOXES_ALONE, check_pipelines
from mmdet_lordre.errors import UserError

from ..masks.test_lazy import HEIGHT, WIDTH, load


def config(*steps, load_masks=True, augments=()):
    loading = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_mask=load_masks)]
    return Config(dict(
        model=dict(data_preprocessor=dict(batch_augments=list(augments))),
        train_dataloader=dict(dataset=dict(
            type='MultiImageMixDataset', pipeline=list(steps),
            dataset=dict(type='CocoDataset', pipeline=loading)))))


@pytest.mark.parametrize('name', BOXES_ALONE)
def test_they_are_refused(name):
    step = dict(type='RandomApply', transforms=[dict(type=name)])
    cfg, where = config(step), 'train_dataloader'
    if name.startswith('Batch'):
        cfg, where = config(augments=[dict(type=name)]), r'model\.data_preprocessor'
    with pytest.raises(UserError, match=f'^{where}: {name} moves .*: take {BOXES_ALONE[name]}, or'):
        check_pipelines(cfg)


def of_head(head, *steps, load_masks=True):
    cfg = config(*steps, load_masks=load_masks)
    cfg.model['bbox_head' if head == 'PolarMaskHead' else 'mask_head'] = dict(type=head)
    return cfg


@pytest.mark.parametrize('head, steps, said', [
    ('LordreHead', ['ShrinkMasks', 'RandomFlip'], 'RandomFlip comes after ShrinkMasks, which .*: '
     'put ShrinkMasks last'),
    ('PolarMaskHead', ['ExtractContours', 'RandomErasing'], 'RandomErasing comes after Extract'),
    ('SOLOv2KernelHead', ['ShrinkMasks'], r'ShrinkMasks makes targets of another head than '
     r'SOLOv2KernelHead \(model\.mask_head\): take GridMaskTargets, or leave it out'),
    ('PolarMaskHead', ['GridMaskTargets'], r'PolarMaskHead \(model\.bbox_head\): take Extract')])
def test_targets_come_last_and_are_of_the_head(head, steps, said):
    with pytest.raises(UserError, match=said):
        check_pipelines(of_head(head, *(dict(type=name) for name in steps)))


@pytest.mark.parametrize('step, head, said', [
    (True, False, r'which the head does not draw: set model\.bbox_head\.holes=True'),
    (False, True, r'\(model\.bbox_head\.holes\), and ExtractContours leaves them out')])
def test_holes_are_kept_and_drawn_or_neither(step, head, said):
    cfg = of_head('PolarMaskHead', dict(type='ExtractContours', holes=step))
    cfg.model.bbox_head.holes = head
    with pytest.raises(UserError, match=said):
        check_pipelines(cfg)
    cfg.model.bbox_head.holes = step
    check_pipelines(cfg)


def test_targets_in_their_place():
    check_pipelines(of_head('LordreHead', dict(type='RandomFlip'), dict(type='ShrinkMasks'),
                            dict(type='PhotoMetricDistortion'), dict(type='PackDetInputs')))
    check_pipelines(of_head('SomebodyElses', dict(type='GridMaskTargets')))
    cfg = of_head('LordreHead', dict(type='ShrinkMasks'))
    one = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[one, one])
    check_pipelines(cfg)


def test_heads_of_masks_need_masks():
    with pytest.raises(UserError, match='AggMaskHead learns masks, and the pipeline loads none: '
                                        'set with_mask=True'):
        check_pipelines(of_head('AggMaskHead', load_masks=False))
    check_pipelines(of_head('RetinaHead', load_masks=False))
    lazy = of_head('LordreHead', load_masks=False)
    lazy.train_dataloader.dataset.dataset.pipeline[1].type = 'LoadLazyAnnotations'
    with pytest.raises(UserError, match='set with_mask=True of its LoadLazyAnnotations'):
        check_pipelines(lazy)


def test_what_has_no_masks_may_have_them():
    check_pipelines(config(dict(type='Mosaic'), load_masks=False))
    check_pipelines(config(dict(type='CachedMosaic'), dict(type='RandomCrop')))
    lazy = config(dict(type='mmdet.Mosaic'), load_masks=False)
    lazy.train_dataloader.dataset.dataset.pipeline[1] = dict(type='LoadLazyAnnotations')
    with pytest.raises(UserError, match='take CachedMosaic'):
        check_pipelines(lazy)


@pytest.mark.parametrize('step, others', [
    (dict(type='RandomShift', prob=1.0, max_shift_px=9), 0),
    (dict(type='Mosaic', img_scale=(64, 64)), 3), (dict(type='MixUp', img_scale=(64, 64)), 1)],
    ids=lambda value: value['type'] if isinstance(value, dict) else '')
def test_they_leave_masks_behind(step, others):
    """If one of them learns to move masks, it may be taken from the list."""
    init_default_scope('mmdet')
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    data = load('LoadAnnotations')
    data['gt_bboxes'] = data['gt_masks'].get_bboxes('hbox')
    masks, boxes = data['gt_masks'].masks.copy(), data['gt_bboxes'].tensor.clone()
    data.update(img=image, mix_results=[dict(load('LoadAnnotations', seed=9), img=image.copy())
                                        for _ in range(others)])
    np.random.seed(0)
    made = Compose([step])(data)
    assert made['img'].shape != image.shape or not np.array_equal(made['img'], image)
    assert made['gt_bboxes'].tensor.shape != boxes.shape or \
        not (made['gt_bboxes'].tensor == boxes).all()
    np.testing.assert_array_equal(made['gt_masks'].masks, masks)
