"""Masks drawn at the size of the network's input, as Lordre's authors draw them."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmdet.structures.mask import PolygonMasks
from mmengine.registry import init_default_scope
from pycocotools import mask as mask_api

from mmdet_lordre.masks import LazyMasks, ShrinkMasks, TransformedMasks, central_sums

from .test_lazy import HEIGHT, WIDTH, instances


def discs(radius, count=6, seed=0, size=(480, 640)):
    """Polygons of many corners around random centers."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [[(ring + rng.uniform(radius, np.array(size[::-1]) - radius)).round(2).ravel()]
            for _ in range(count)]


def soft_iou(a, b):
    a, b = (x.float() / 4 for x in (a, b))
    return (torch.minimum(a, b).sum((1, 2)) / torch.maximum(a, b).sum((1, 2))).mean().item()


def theirs(polygons, size, new):
    """Corners multiplied by the scale, drawn by pycocotools, shrunk bilinearly by 4."""
    scale = np.array([new[1] / size[1], new[0] / size[0]])
    masks = []
    for parts in polygons:
        runs = mask_api.frPyObjects([(np.reshape(p, (-1, 2)) * scale).ravel().tolist()
                                     for p in parts], *new)
        masks.append(mask_api.decode(mask_api.merge(runs)))
    masks = torch.from_numpy(np.stack(masks)).float()[None]
    return 4 * F.interpolate(masks, scale_factor=0.25, mode='bilinear', align_corners=False)[0]


@pytest.mark.parametrize('radius', [8, 16, 120])
def test_targets_are_the_authors(radius):
    size, new = (480, 640), (640, 852)
    for seed in range(3):
        polygons = discs(radius, seed=seed)
        expected = theirs(polygons, size, new)
        ours = TransformedMasks(polygons, *size).resize(new)
        sums = central_sums(ours, 4, (160, 213))
        assert torch.equal(sums.float(), expected)
        shrunk = ShrinkMasks(4).transform(dict(gt_masks=ours))['gt_masks']
        assert torch.equal(central_sums(shrunk, 4, (160, 213)), sums)
        # picking pixels is another thing for small objects
        picked = central_sums(LazyMasks(polygons, *size).resize(new), 4, (160, 213))
        assert soft_iou(picked, sums) < {8: 0.93, 16: 0.97, 120: 0.997}[radius]


@pytest.mark.parametrize('steps', [
    [('resize', (80, 97))], [('resize', (20, 31))], [('rescale', (100, 70))],
    [('flip', 'horizontal'), ('resize', (77, 50))], [('resize', (90, 122)), ('flip', 'vertical')],
    [('flip', 'diagonal'), ('rescale', (200, 33))]], ids=str)
def test_geometry_of_polygons_is_mmdets(steps):
    polygons = [[np.array(part, float) for part in instance['mask']]
                for instance in instances()[:3]]
    ours = TransformedMasks(polygons, HEIGHT, WIDTH)
    mmdets = PolygonMasks(polygons, HEIGHT, WIDTH)
    for name, *arguments in steps:
        ours, mmdets = (getattr(masks, name)(*arguments) for masks in (ours, mmdets))
    assert isinstance(ours, TransformedMasks)
    np.testing.assert_array_equal(ours.masks, mmdets.to_ndarray())


def test_crops_are_parts_of_the_whole():
    """Cut off where the crop ends, also when it is resized or padded afterwards."""
    polygons = discs(60, count=8, size=(300, 400))
    whole = TransformedMasks(polygons, 300, 400)
    box = np.array([101, 53, 308, 251])
    part = whole.crop(box)
    difference = part.masks != whole.masks[:, 53:251, 101:308]
    assert part.masks.any() and difference.mean() < 2e-3  # rounding of borders
    # drawn at twice the size, and shrunk again
    large = part.resize((396, 414))
    assert (large.masks[:, ::2, ::2] != part.masks).mean() < 6e-3
    padded = part.pad((300, 300))
    np.testing.assert_array_equal(padded.masks[:, :198, :207], part.masks)
    assert not padded.masks[:, 198:].any() and not padded.masks[:, :, 207:].any()
    outside = padded.crop(np.array([0, 200, 100, 250]))
    assert len(outside) == 8 and not outside.masks.any()
    placed = part.expand(300, 300, 20, 30)
    np.testing.assert_array_equal(placed.masks[:, 20:218, 30:237], part.masks)
    assert placed.areas.tolist() == part.areas.tolist()
    boxes = placed.get_bboxes('hbox').tensor - torch.tensor([30, 20, 30, 20])
    assert torch.equal(boxes[part.areas > 0],
                       part.get_bboxes('hbox').tensor[part.areas > 0])


def test_run_lengths_are_picked_beside_polygons():
    mixed = [instance['mask'] for instance in instances()]
    ours, lazy = (kind(mixed, HEIGHT, WIDTH).flip().resize((70, 99)).crop(
        np.array([5, 6, 80, 60])) for kind in (TransformedMasks, LazyMasks))
    for i in (3, 5):
        np.testing.assert_array_equal(ours.masks[i], lazy.masks[i])
    assert (ours.masks != lazy.masks).any()
    kept = TransformedMasks(mixed, HEIGHT, WIDTH).flip()[np.array([3, 0])]
    assert isinstance(kept, TransformedMasks)
    np.testing.assert_array_equal(kept.resize((70, 99)).crop(np.array([5, 6, 80, 60])).masks,
                                  ours.masks[[3, 0]])


def test_in_a_pipeline():
    init_default_scope('mmdet')
    steps = [dict(type='LoadLazyAnnotations', with_bbox=True, transform_polygons=True),
             dict(type='RandomFlip', prob=0.5),
             dict(type='RandomCrop', crop_type='absolute_range', crop_size=(30, 40),
                  recompute_bbox=True, allow_negative_crop=True),
             dict(type='Resize', scale=(120, 90), keep_ratio=True),
             dict(type='FilterAnnotations', by_box=True, by_mask=True, min_gt_bbox_wh=(1e-5, 1e-5),
                  keep_empty=False),
             dict(type='ShrinkMasks', factor=4)]
    np.random.seed(0)
    counts = set()
    for _ in range(20):
        record = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), img_shape=(HEIGHT, WIDTH),
                      ori_shape=(HEIGHT, WIDTH), height=HEIGHT, width=WIDTH, img_id=0,
                      instances=instances())
        result = Compose(steps)(record)
        if result is not None:
            counts.add(len(result['gt_masks']))
            assert len(result['gt_masks']) == len(result['gt_bboxes'])
            masks = result['gt_masks']
            assert (masks.height, masks.width) == result['img_shape']
            assert all(top + piece.shape[0] <= -(-masks.height // 4)
                       and left + piece.shape[1] <= -(-masks.width // 4)
                       for top, left, piece in masks.pieces[4])
    assert len(counts) > 1
