"""The Lordre configs follow the authors' recipe: decay, schedule, augmentation."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.checkpoints.verify import build_untrained
from tests.checkpoints import publish

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'lordre'


def config(name):
    init_default_scope('mmdet')
    return Config.fromfile(CONFIGS / f'lordre_{name}_8xb8-270k_coco.py')


@pytest.mark.parametrize('name, rename', [
    ('r50_giam', publish.detectron2), ('r50vd_iam', publish.timm_d),
    ('pvt-b1_giam', publish.pvt), ('pvt-b2-li_giam', publish.pvt),
    ('darknet53_giam', publish.timm_darknet)])
def test_norms_and_patch_embeddings_do_not_decay(name, rename):
    cfg = config(name)
    model = build_untrained(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    for ours, parameter in model.named_parameters():
        published = publish.sparseinst(ours, rename)[0]
        if not parameter.requires_grad:
            assert 'bn' in ours or 'downsample' in ours or 'stem' in ours
            continue
        free = any(word in published for word in ('norm', 'patch_embed', 'cls_token'))
        assert decay[id(parameter)] == (0 if free else 0.05), published
    assert {group['lr'] for group in groups} == {5e-5}
    assert not cfg.optim_wrapper.get('clip_grad')


def test_learning_rate():
    cfg = config('r50_giam')
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=5e-5)
    schedulers = [PARAM_SCHEDULERS.build(dict(optimizer=optimizer, **scheduler))
                  for scheduler in cfg.param_scheduler]
    expected = {0: 5e-8, 999: 5e-5, 209999: 5e-5, 210001: 5e-6, 249999: 5e-6, 250001: 5e-7,
                269999: 5e-7}
    assert cfg.train_cfg.max_iters == 270000
    for iteration in range(270000):
        if iteration in expected:
            assert optimizer.param_groups[0]['lr'] == pytest.approx(expected[iteration], rel=2e-3)
        optimizer.step = lambda: None
        for scheduler in schedulers:
            scheduler.step()


def test_batch_is_of_sixty_four():
    cfg = config('r50_giam')
    assert 8 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 64


def photograph(height, width):
    """A random image with a square in the middle and a dot in a corner."""
    rng = np.random.default_rng(0)
    masks = np.zeros((2, height, width), np.uint8)
    masks[0, height // 3:2 * height // 3, width // 3:2 * width // 3] = 1
    masks[1, :4, :4] = 1
    masks = BitmapMasks(masks, height, width)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), np.uint8), img_shape=(height, width),
        ori_shape=(height, width), img_id=0, img_path='', gt_masks=masks,
        gt_bboxes=HorizontalBoxes(masks.get_bboxes('hbox').tensor),
        gt_bboxes_labels=np.array([3, 7]), gt_ignore_flags=np.array([False, False]))


def run(cfg, height, width, times):
    # Without reading files, without targets and without packing.
    pipeline = Compose(cfg.train_pipeline[2:-2])
    np.random.seed(0)
    return [pipeline(photograph(height, width)) for _ in range(times)]


def test_training_sizes():
    results = run(config('r50_giam'), 300, 400, 60)
    sides = {min(result['img_shape']) for result in results}
    assert sides == set(range(416, 641, 32))
    assert {result['flip'] for result in results} == {True, False}
    # 300 x 1000: the long side stops at 853.
    assert {result['img_shape'] for result in run(config('r50_giam'), 300, 1000, 3)} == {(256, 853)}


def test_half_of_the_images_are_cropped_in_aug_configs():
    results = run(config('r50_giam_aug'), 300, 400, 80)
    whole = [result for result in results if result.get('homography_matrix') is None
             or (len(result['gt_bboxes_labels']) == 2
             and abs(result['img_shape'][1] / result['img_shape'][0] - 4 / 3) < 0.01)]
    assert 25 <= len(whole) <= 60
    ratios = {round(result['img_shape'][1] / result['img_shape'][0], 2) for result in results}
    assert len(ratios) > 10
    for result in results:
        assert min(result['img_shape']) <= 640 and max(result['img_shape']) <= 853
        labels = result['gt_bboxes_labels']
        assert len(labels) == len(result['gt_masks']) == len(result['gt_bboxes'])
        # A dot that the crop has cut off is gone; what is left has pixels, and a box around them.
        assert (result['gt_masks'].areas > 0).all()
        tight = result['gt_masks'].get_bboxes('hbox').tensor
        assert (tight - result['gt_bboxes'].tensor).abs().max() < 3 if len(labels) else True


def test_an_image_without_anything_left_still_trains():
    cfg = config('r50_giam_aug')
    empty = photograph(300, 400)
    keep = np.zeros(2, bool)
    for key in ('gt_masks', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
        empty[key] = empty[key][keep]
    assert Compose(cfg.train_pipeline[2:-1])(empty) is not None


@pytest.mark.parametrize('name', ['r50_giam', 'pvt-b1_giam', 'cspdarknet53_giam-soft'])
def test_images_are_tested_at_640_and_resized_with_antialiasing(name):
    resize = Compose(config(name).test_pipeline[1:2])
    stripes = np.zeros((1280, 1600, 3), np.uint8)
    stripes[:, ::2] = 255
    result = resize(dict(img=stripes))
    assert result['img_shape'] == (640, 800)
    # Halving stripes of one pixel gives gray; sampling them would give black or white.
    assert (np.abs(result['img'][:, 2:-2].astype(int) - 127) <= 1).all()
