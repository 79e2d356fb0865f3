"""``LazyMasks`` stand for mmdet's bitmaps in every transform of mmdet, seed by seed."""
import pickle
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.datasets import transforms
from mmdet.datasets.utils import get_loading_pipeline
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_lordre.grid import read_masks
from mmdet_lordre.masks import LazyMasks, TransformedMasks, central_sums
from mmdet_lordre.polarmask.contours import InstanceContours

from .test_lazy import HEIGHT, WIDTH, instances, load

#: Transforms of one image.
SINGLE = [
    dict(type='RandomErasing', n_patches=(1, 4), ratio=(0.2, 0.5), squared=False),
    dict(type='RandomErasing', n_patches=3, ratio=0.3, bbox_erased_thr=0.5),
    dict(type='Rotate', prob=1.0), dict(type='ShearX', prob=1.0), dict(type='ShearY', prob=1.0),
    dict(type='TranslateX', prob=1.0), dict(type='TranslateY', prob=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=[0.3, 0.3, 0.3],
         direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='Resize', scale=(50, 90), keep_ratio=True),
    dict(type='Resize', scale=(50, 90), keep_ratio=False),
    dict(type='FixScaleResize', scale=(90, 70), keep_ratio=True),
    dict(type='ResizeShortestEdge', scale=30, max_size=64),
    dict(type='FixShapeResize', width=64, height=48, keep_ratio=True),
    dict(type='RandomResize', scale=(80, 70), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='Pad', size_divisor=32), dict(type='Pad', size=(100, 90)),
    dict(type='RandomCrop', crop_size=(20, 30), recompute_bbox=True, allow_negative_crop=True),
    dict(type='RandomCrop', crop_type='relative_range', crop_size=(0.3, 0.3)),
    dict(type='MinIoURandomCrop'), dict(type='Expand', ratio_range=(1, 3), prob=1.0),
    dict(type='CutOut', n_holes=3, cutout_shape=(5, 5)), dict(type='PhotoMetricDistortion'),
    dict(type='FilterAnnotations', by_mask=True, min_gt_mask_area=40),
    dict(type='RandAugment', aug_space=[[dict(type='Rotate')], [dict(type='ShearX')],
                                        [dict(type='TranslateY')]], aug_num=2),
    dict(type='AutoAugment', policies=[[dict(type='Rotate', prob=1.0), dict(type='ShearY')],
                                       [dict(type='TranslateX', prob=1.0)]]),
]
#: Transforms that mix it with others; how many others.
MIXED = [(dict(type='CopyPaste', max_num_pasted=4), 1),
         (dict(type='CopyPaste', bbox_occluded_thr=1, mask_occluded_thr=5), 1),
         (dict(type='CachedMixUp', img_scale=(64, 64), ratio_range=(1.0, 1.0), prob=1.0), 0),
         (dict(type='CachedMosaic', img_scale=(64, 64), prob=1.0, max_cached_images=4,
               random_pop=False), 0)]
#: No masks: mmdet gives back an image, or fails on bitmaps as well.
OTHERS = {
    'Albu', 'BaseFrameSample', 'Color', 'Brightness', 'Contrast', 'Sharpness', 'Solarize',
    'SolarizeAdd', 'Posterize', 'Equalize', 'AutoContrast', 'Invert', 'ColorTransform', 'Corrupt',
    'InstaBoost', 'Mosaic', 'MixUp', 'YOLOXHSVRandomAug', 'RandomAffine', 'RandomCenterCropPad',
    'RandomShift', 'SegRescale'}


def outcome(kind, step, seed, others=0):
    """What a step makes of an image with these masks, as arrays."""
    init_default_scope('mmdet')
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    run = Compose([step])
    result = None
    for turn in range(5 if step['type'].startswith('Cached') else 1):
        data = load(kind, seed=turn)
        data.update(img=image, dataset=None, mix_results=[
            dict(load(kind, seed=9), img=image[::-1].copy()) for _ in range(others)])
        np.random.seed(seed + turn)
        random.seed(seed + turn)
        result = run(data)
    return result


def compare(step, seeds, others=0):
    for seed in range(seeds):
        ours, theirs = (outcome(kind, step, seed, others)
                        for kind in ('LoadLazyAnnotations', 'LoadAnnotations'))
        assert (ours is None) == (theirs is None)
        if theirs is None:
            continue
        assert isinstance(ours['gt_masks'], BitmapMasks)
        np.testing.assert_array_equal(ours['gt_masks'].masks, theirs['gt_masks'].masks)
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        assert torch.equal(ours['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor)
        np.testing.assert_array_equal(ours['gt_bboxes_labels'], theirs['gt_bboxes_labels'])
        assert (ours['gt_masks'].height, ours['gt_masks'].width) \
            == (theirs['gt_masks'].height, theirs['gt_masks'].width)


@pytest.mark.parametrize('step', SINGLE, ids=lambda step: step['type'])
def test_transforms_of_one_image(step):
    compare(step, 4)


@pytest.mark.parametrize('step, others', MIXED, ids=lambda value: str(value)[:30])
def test_transforms_that_mix_images(step, others):
    compare(step, 3, others)


def test_erasing_reaches_the_targets():
    """What is erased from the picture is erased from what the heads read."""
    step = dict(type='RandomErasing', n_patches=4, ratio=(0.4, 0.6), squared=False)
    before = load('LoadLazyAnnotations')['gt_masks']
    after, plain = (outcome(kind, step, 2)['gt_masks']
                    for kind in ('LoadLazyAnnotations', 'LoadAnnotations'))
    assert after.is_drawn and after.areas.sum() < 0.9 * before.areas.sum()
    np.testing.assert_array_equal(after.areas, plain.areas)
    assert torch.equal(central_sums(after, 4, (12, 16)), central_sums(plain, 4, (12, 16)))
    for a, b in zip(read_masks(after, {4: None}), read_masks(plain, {4: None})):
        assert torch.equal(a[4], b[4]) if isinstance(a, dict) else torch.equal(a, b)
    assert torch.equal(InstanceContours.from_masks(after).points,
                       InstanceContours.from_masks(plain).points)
    # and goes through everything that follows
    for name, arguments in (('resize', ((80, 90),)), ('flip', ()), ('pad', ((64, 64),)),
                            ('crop', (np.array([3, 4, 40, 30]),)), ('rescale', ((100, 80),)),
                            ('expand', (64, 70, 3, 4)), ('__getitem__', (np.array([1, 3]),))):
        ours, theirs = (getattr(masks, name)(*arguments) for masks in (after, plain))
        np.testing.assert_array_equal(ours.masks, theirs.masks)
        assert torch.equal(ours.get_bboxes('hbox').tensor, theirs.get_bboxes('hbox').tensor)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(after)).masks, plain.masks)


@pytest.mark.parametrize('step', [step for step in SINGLE if step['type'] in (
    'RandomErasing', 'Rotate', 'ShearX', 'TranslateY', 'CutOut')] + [MIXED[0][0]],
    ids=lambda step: step['type'])
def test_what_writes_into_polygons_that_are_transformed(step):
    """From their pixels on they are as bitmaps of the same pixels, also in another process."""
    init_default_scope('mmdet')

    def started(as_bitmaps):
        data = load('LoadAnnotations')
        masks = TransformedMasks([i['mask'] for i in instances()], HEIGHT, WIDTH)
        masks = pickle.loads(pickle.dumps(masks.resize((66, 80)).flip()))
        if as_bitmaps:
            masks = BitmapMasks(masks.masks.copy(), *masks.masks.shape[1:])
        image = np.random.default_rng(1).integers(0, 256, (66, 80, 3), np.uint8)
        return dict(data, img=image, img_shape=(66, 80), gt_masks=masks)

    for seed in range(2):
        made = []
        for as_bitmaps in (False, True):
            np.random.seed(seed)
            random.seed(seed)
            made.append(Compose([step])(dict(started(as_bitmaps),
                                             mix_results=[started(as_bitmaps)])))
        ours, theirs = made
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_array_equal(ours['gt_masks'].masks, theirs['gt_masks'].masks)
            np.testing.assert_array_equal(ours['gt_masks'].areas, theirs['gt_masks'].areas)


def test_masks_can_be_set():
    masks = load('LoadLazyAnnotations')['gt_masks']
    masks.masks = masks.masks[:2] * 0
    assert len(masks) == 2 and not masks.areas.any() and masks[0].masks.shape == (1, HEIGHT, WIDTH)
    masks.masks[1, 3, 4] = 1
    assert masks.areas.tolist() == [0, 1] and list(map(np.sum, masks)) == [0, 1]
    assert type(LazyMasks.random(num_masks=2)) is BitmapMasks


def test_every_transform_of_mmdet_is_looked_at():
    """A new one of theirs is compared, or named here."""
    named = {step['type'] for step in SINGLE} | {step['type'] for step, _ in MIXED} | OTHERS
    loaders = {name for name in transforms.__all__
               if name.startswith(('Load', 'Pack', 'Infer', 'Filter', 'ImageTo', 'ToTensor'))}
    rest = set(transforms.__all__) - named - loaders
    assert rest <= {'GeomTransform', 'MultiBranch', 'RandomOrder', 'ProposalBroadcaster',
                    'Transpose', 'FixShapeResize', 'Uniform', 'UniformRefFrameSample',
                    'RandomSamplingNegPos', 'LanguageTokens', 'RandomFlip_GLIP',
                    'GTBoxSubOne_GLIP'}, rest


def test_mmdets_loading_pipeline():
    """What ``analyze_results`` keeps of a pipeline."""
    init_default_scope('mmdet')
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadLazyAnnotations', with_bbox=True),
             dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
    assert get_loading_pipeline(steps) == steps[:2]
    assert transforms.LoadAnnotations in {transforms.LoadAnnotations}


def test_mmdets_visualizer_draws_the_same():
    pictures = []
    for kind in ('LoadLazyAnnotations', 'LoadAnnotations'):
        data = load(kind)
        truth = InstanceData(masks=data['gt_masks'], labels=torch.arange(len(instances())),
                             bboxes=data['gt_bboxes'].tensor)
        visualizer = DetLocalVisualizer()
        count = len(instances())
        visualizer.dataset_meta = dict(classes=tuple('abcdefgh'[:count]),
                                       palette=[(9, 99, 199)] * count)
        visualizer.add_datasample('x', np.zeros((HEIGHT, WIDTH, 3), np.uint8),
                                  DetDataSample(gt_instances=truth), draw_pred=False)
        pictures.append(visualizer.get_image())
    np.testing.assert_array_equal(*pictures)
