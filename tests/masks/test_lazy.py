"""Masks drawn at the end are those of mmdet's pipeline, bit by bit."""
import pickle

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope
from pycocotools import mask as mask_api

from mmdet_lordre.cli.main import explain
from mmdet_lordre.grid import read_masks
from mmdet_lordre.masks import LazyMasks, ShrinkMasks, ShrunkMasks, central_sums
from mmdet_lordre.polarmask.contours import InstanceContours

HEIGHT, WIDTH = 45, 61


def instances():
    """Polygons of one and two parts, one that leaves the image, run lengths, a point, nothing."""
    rng = np.random.default_rng(0)
    disc = np.hypot(*np.mgrid[-20:25, -30:31]) < 11
    coded = mask_api.encode(np.asfortranarray(disc.astype(np.uint8)))
    counts = [0, 40, HEIGHT * WIDTH - 40]
    triangle = [2.3, 3.1, 40.7, 9.9, 12.5, 41.5]
    masks = [[triangle], [rng.uniform(5, 40, 16).round(2).tolist(), [1, 1, 9, 1, 9, 9, 1, 9]],
             [[-9.0, 20.0, 80.0, 25.0, 30.0, 60.0]], coded, [[7.0, 7.0, 7.0, 7.0, 7.0, 7.0]],
             *(dict(size=[HEIGHT, WIDTH], counts=runs) for runs in (
                 counts, [HEIGHT * WIDTH, 0], [50, 0, HEIGHT * WIDTH - 50]))]
    masks[3]['counts'] = masks[3]['counts'].decode()
    return [dict(bbox=[0, 0, 9, 9], bbox_label=i, mask=mask, ignore_flag=0)
            for i, mask in enumerate(masks)]


def load(kind, steps=(), seed=0):
    init_default_scope('mmdet')
    record = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), img_shape=(HEIGHT, WIDTH),
                  ori_shape=(HEIGHT, WIDTH), height=HEIGHT, width=WIDTH, img_id=0, img_path='',
                  instances=instances())
    np.random.seed(seed)
    return Compose([dict(type=kind, with_bbox=True, with_mask=True), *steps])(record)


@pytest.fixture
def pair():
    """The same masks, lazy and as mmdet's bitmaps."""
    return load('LoadLazyAnnotations')['gt_masks'], load('LoadAnnotations')['gt_masks']


def assert_same(lazy, bitmaps):
    assert isinstance(lazy, LazyMasks)
    assert (len(lazy), lazy.height, lazy.width) == bitmaps.masks.shape
    np.testing.assert_array_equal(lazy.to_ndarray(), bitmaps.masks)
    np.testing.assert_array_equal(lazy.areas, bitmaps.areas)
    assert torch.equal(lazy.get_bboxes('hbox').tensor, bitmaps.get_bboxes('hbox').tensor)
    plain = torch.from_numpy(bitmaps.masks)
    for factor in (2, 4, 8):
        size = (bitmaps.height // factor + 2, -(-bitmaps.width // factor))
        assert torch.equal(central_sums(lazy, factor, size), central_sums(bitmaps, factor, size))
        (sums, shrunk), (sums_plain, shrunk_plain) = (
            read_masks(masks, {factor: None}) for masks in (lazy, plain))
        assert torch.equal(sums, sums_plain)
        assert torch.equal(shrunk[factor], shrunk_plain[factor])
    a, b = (InstanceContours.from_masks(masks) for masks in (lazy, bitmaps))
    assert torch.equal(a.points, b.points) and torch.equal(a.sizes, b.sizes)


def test_as_loaded(pair):
    assert_same(*pair)


@pytest.mark.parametrize('steps', [
    [('resize', (80, 97))], [('resize', (20, 31))], [('rescale', (100, 70))],
    [('flip', 'horizontal')], [('flip', 'vertical'), ('resize', (77, 50))],
    [('resize', (90, 122)), ('flip', 'diagonal'), ('crop', np.array([11, 5, 70, 63]))],
    [('crop', np.array([10, 20, 10, 90])), ('rescale', (64, 32))],
    [('pad', (64, 64)), ('flip', 'horizontal'), ('resize', (33, 128))],
    [('expand', 80, 90, 7, 9), ('resize', (50, 40)), ('crop', np.array([0, 3, 39, 40]))],
], ids=str)
def test_geometry(pair, steps):
    lazy, bitmaps = pair
    for name, *arguments in steps:
        lazy, bitmaps = (getattr(masks, name)(*arguments) for masks in (lazy, bitmaps))
    assert_same(lazy, bitmaps)


def test_every_ratio_of_a_resize():
    """OpenCV picks the same pixels of a mask and of a line of numbers."""
    rng = np.random.default_rng(1)
    noise = (rng.random((1, 37, 53)) < 0.5).astype(np.uint8)
    runs = mask_api.encode(np.asfortranarray(noise[0]))
    lazy, bitmaps = LazyMasks([runs], 37, 53), BitmapMasks(noise, 37, 53)
    for height, width in [*zip(range(1, 130, 3), range(150, 2, -3)), (800, 1333), (853, 640)]:
        np.testing.assert_array_equal(lazy.resize((height, width)).to_ndarray(),
                                      bitmaps.resize((height, width)).masks)


def test_a_pipeline_with_crops_and_filters():
    steps = [dict(type='RandomFlip', prob=0.5),
             dict(type='RandomChoiceResize', scales=[(70, 50), (120, 90)], keep_ratio=True),
             dict(type='RandomCrop', crop_type='absolute_range', crop_size=(30, 60),
                  recompute_bbox=True, allow_negative_crop=True),
             dict(type='Resize', scale=(100, 60), keep_ratio=True),
             dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_box=True,
                  by_mask=True, keep_empty=False)]
    counts = set()
    for seed in range(12):
        ours, theirs = (load(kind, steps, seed)
                        for kind in ('LoadLazyAnnotations', 'LoadAnnotations'))
        if theirs is None:
            assert ours is None
            continue
        assert_same(ours['gt_masks'], theirs['gt_masks'])
        assert torch.equal(ours['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor)
        counts.add(len(ours['gt_masks']))
    assert counts - {0, len(instances())}


def test_selection_copies_and_tensors(pair):
    lazy, bitmaps = (masks.resize((30, 40)) for masks in pair)
    for index in ([2, 0], np.array([True, False] * 4), torch.tensor([1, 3]), slice(1, 4), 5):
        kept = index.numpy() if isinstance(index, torch.Tensor) else index
        assert_same(lazy[index], bitmaps[kept])
    assert_same(pickle.loads(pickle.dumps(lazy)), bitmaps)
    assert torch.equal(lazy.to_tensor(torch.float32, 'cpu'),
                       bitmaps.to_tensor(torch.float32, 'cpu'))
    assert len(lazy[[]]) == 0 and lazy[[]].to_ndarray().shape == (0, 30, 40)
    turned = [masks.rotate((30, 40), 30).masks for masks in (lazy, bitmaps)]
    np.testing.assert_array_equal(*turned)
    np.testing.assert_array_equal(LazyMasks.cat([lazy[:2], lazy[2:]]).masks, bitmaps.masks)


def test_shrunk_in_the_worker(pair):
    """What Lordre's targets read is the same, cropped or padded to the size of the batch."""
    lazy, bitmaps = (masks.resize((50, 70)) for masks in pair)
    shrunk = ShrinkMasks(4).transform(dict(gt_masks=lazy))['gt_masks']
    assert isinstance(shrunk, ShrunkMasks) and len(shrunk) == 8
    for size in ((13, 18), (16, 24), (12, 17)):
        assert torch.equal(central_sums(shrunk, 4, size), central_sums(bitmaps, 4, size))
    kept = np.array([False, True] * 4)
    assert torch.equal(central_sums(shrunk[kept].pad((64, 96)), 4, (16, 24)),
                       central_sums(bitmaps[kept], 4, (16, 24)))
    assert len(ShrunkMasks.cat([shrunk, shrunk])) == 16
    assert ShrinkMasks(4).transform(dict(gt_masks=shrunk))['gt_masks'] is shrunk
    with pytest.raises(ValueError, match=r'shrunk by 4.*factor=8'):
        central_sums(shrunk, 8, (7, 9))
    with pytest.raises(TypeError, match='put ShrinkMasks last'):
        shrunk.flip()
    with pytest.raises(TypeError, match='put ShrinkMasks last'):
        shrunk.masks[0, :3] = 0
    with pytest.raises(ValueError, match='even'):
        ShrinkMasks(3)
    with pytest.raises(KeyError, match='with_mask'):
        ShrinkMasks(4).transform({})


@pytest.mark.parametrize('drawn', [False, True])
def test_several_factors_in_the_worker(pair, drawn):
    """Each as by itself, from masks of either kind, through the queue of a worker."""
    masks = (pair[1] if drawn else pair[0]).resize((50, 70))
    shrunk = pickle.loads(pickle.dumps(ShrinkMasks((4, 2)).make(masks)))
    for factor, size in ((4, (13, 18)), (2, (26, 36))):
        assert torch.equal(central_sums(shrunk, factor, size), central_sums(masks, factor, size))
    assert shrunk.areas.tolist() == (central_sums(masks, 2, (25, 35)).sum((1, 2))).tolist()
    # what leaves the worker is hardly larger than the objects
    for factor, pieces in shrunk.pieces.items():
        for one, (_, _, piece) in zip(masks.masks, pieces):
            for axis in (0, 1):
                bounds = np.flatnonzero(one.any(1 - axis))
                long = bounds[-1] + 1 - bounds[0] if len(bounds) else 0
                assert piece.shape[axis] <= long // factor + 2
    assert repr(ShrinkMasks((4, 2))) == 'ShrinkMasks(factor=(4, 2))'
    nothing = ShrinkMasks((4, 2)).make(masks[[]])
    assert len(nothing) == 0 and central_sums(nothing, 2, (9, 9)).shape == (0, 9, 9)


@pytest.mark.parametrize('step', [dict(type='ShrinkMasks'), dict(type='GridMaskTargets')])
def test_masks_that_a_step_has_left_behind(step):
    """A transform of one's own that resizes the image alone."""
    results = dict(img=np.zeros((32, 48, 3), np.uint8), img_path='a.png', img_shape=(32, 48),
                   gt_masks=BitmapMasks(np.zeros((1, 16, 24), np.uint8), 16, 24))
    with pytest.raises(ValueError, match=r'a\.png have 16 x 24 .* image 32 x 48: a step') as error:
        TRANSFORMS.build(step)(results)
    assert explain(error.value) == str(error.value)
    # as torch brings it from a worker
    assert explain(RuntimeError(f'Caught in worker 0.\n  raise x\nValueError: {error.value}')) \
        == str(error.value)
