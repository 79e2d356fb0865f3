import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from mmdet_lordre.errors import UserError
from mmdet_lordre.grid import (
    GridMasks,
    GridMaskTargets,
    collect_ground_truths,
    mask_moments,
    moment_sums,
    shrink_masks,
)
from mmdet_lordre.grid import ground_truths as module


def bitmaps(count=5, height=40, width=60, seed=0):
    rng = np.random.default_rng(seed)
    return BitmapMasks((rng.random((count, height, width)) > 0.6).astype(np.uint8), height, width)


def instances(masks):
    count = len(masks)
    return InstanceData(bboxes=torch.rand(count, 4), labels=torch.arange(count), masks=masks)


def test_bitmaps_of_two_images_and_an_empty_one():
    first, second = bitmaps(3), bitmaps(2, 32, 64, seed=1)
    batch = [instances(first), instances(bitmaps(0)), instances(second)]
    truths = collect_ground_truths(batch, {4: (16, 16), 8: (8, 8)}, 'cpu')
    assert truths.images.tolist() == [0, 0, 0, 2, 2]
    assert torch.equal(truths.labels, torch.cat([gt.labels for gt in batch]))
    assert torch.equal(truths.boxes, torch.cat([gt.bboxes for gt in batch]))
    start = 0
    for part in (first, second):
        masks = torch.from_numpy(part.masks)
        stop = start + len(masks)
        for factor, size in ((4, (16, 16)), (8, (8, 8))):
            assert torch.equal(truths.masks[factor][start:stop],
                               shrink_masks(masks, factor, size))
        centers, areas = mask_moments(masks)
        assert torch.equal(truths.areas[start:stop], areas)
        assert torch.equal(truths.centers()[start:stop], centers)
        start = stop


def test_padding_changes_nothing():
    masks = bitmaps()
    sizes = {4: (16, 16)}
    plain = collect_ground_truths([instances(masks)], sizes, 'cpu')
    padded = collect_ground_truths([instances(masks.pad((64, 64)))], sizes, 'cpu')
    assert torch.equal(plain.sums, padded.sums)
    assert torch.equal(plain.masks[4], padded.masks[4])


def test_chunks_change_nothing(monkeypatch):
    masks = bitmaps(7)
    plain = collect_ground_truths([instances(masks)], {4: (10, 15)}, 'cpu')
    monkeypatch.setattr(module, 'chunk_size', lambda *args, **kwargs: 2)
    parts = collect_ground_truths([instances(masks)], {4: (10, 15)}, 'cpu')
    assert torch.equal(plain.sums, parts.sums) and torch.equal(plain.masks[4], parts.masks[4])


def test_polygons_are_their_bitmaps():
    polygons = PolygonMasks([[np.float64([5, 5, 50, 8, 30, 35])],
                             [np.float64([1, 1, 9, 1, 9, 9, 1, 9]),
                              np.float64([20, 20, 30, 20, 30, 38])]], 40, 60)
    batch = instances(polygons)
    truths = collect_ground_truths([batch], {4: (10, 15)}, 'cpu')
    masks = torch.from_numpy(polygons.to_ndarray())
    assert torch.equal(truths.sums, moment_sums(masks)) and truths.areas.min() > 50
    assert torch.equal(truths.masks[4], shrink_masks(masks))


def test_boxes_of_mmdets_box_type():
    batch = instances(bitmaps(2))
    plain = batch.bboxes
    batch.bboxes = HorizontalBoxes(plain)
    assert torch.equal(collect_ground_truths([batch], {4: (10, 15)}, 'cpu').boxes, plain)


@pytest.mark.parametrize('polygons', [False, True])
def test_transform_gives_the_same_targets(polygons):
    masks = bitmaps(4)
    if polygons:
        masks = PolygonMasks([[np.float64([5, 5, 50, 8, 30, 35])]] * 4, 40, 60)
    results = GridMaskTargets(factors=(4, 8))(dict(gt_masks=masks))
    made = pickle.loads(pickle.dumps(results['gt_masks']))
    assert isinstance(made, GridMasks) and len(made) == 4
    sizes = {4: (16, 24), 8: (8, 12)}
    plain = collect_ground_truths([instances(masks)], sizes, 'cpu')
    ours = collect_ground_truths([instances(made.pad((64, 96)))], sizes, 'cpu')
    assert torch.equal(plain.sums, ours.sums)
    for factor in sizes:
        assert torch.equal(plain.masks[factor], ours.masks[factor])


def test_transform_result_is_indexed_and_joined():
    made = GridMaskTargets()(dict(gt_masks=bitmaps(4)))['gt_masks']
    picked = made[np.array([2, 0])]
    assert np.array_equal(picked.sums, made.sums[[2, 0]])
    assert np.array_equal(picked.shrunk[4], made.shrunk[4][[2, 0]])
    assert len(made[1]) == 1
    joined = GridMasks.cat([picked, made])
    assert len(joined) == 6 and np.array_equal(joined.areas[2:], made.areas)


def test_errors_name_the_remedy():
    made = GridMaskTargets()(dict(gt_masks=bitmaps(1)))['gt_masks']
    with pytest.raises(TypeError, match='just before PackDetInputs'):
        made.flip('horizontal')
    with pytest.raises(UserError, match='GridMaskTargets'):
        collect_ground_truths([instances(made)], {8: (5, 8)}, 'cpu')
    with pytest.raises(KeyError, match='with_mask=True'):
        GridMaskTargets()({})
    with pytest.raises(ValueError, match='even'):
        GridMaskTargets(factors=3)
    with pytest.raises(ValueError, match='with_mask=True'):
        collect_ground_truths([InstanceData(bboxes=torch.zeros(0, 4))], {4: (1, 1)}, 'cpu')
    with pytest.raises(TypeError, match='BitmapMasks'):
        collect_ground_truths([instances([1, 2])], {4: (1, 1)}, 'cpu')
