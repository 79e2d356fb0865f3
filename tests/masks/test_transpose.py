"""Rows become columns, of everything that an image is annotated with."""
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmdet_lordre.masks import LazyMasks, ShrunkMasks, TransformedMasks
from mmdet_lordre.masks.transpose import RandomTranspose, transposed

from .test_lazy import HEIGHT, WIDTH, assert_same, instances, load


@pytest.mark.parametrize('before', [(), [('resize', (70, 88))], [('flip', 'horizontal')]], ids=str)
@pytest.mark.parametrize('after', [
    (), [('flip', 'vertical')], [('resize', (30, 90)), ('crop', np.array([7, 3, 60, 25]))],
    [('transpose', ), ('pad', (99, 100))]], ids=str)
def test_lazy_masks_are_those_of_bitmaps(before, after):
    lazy, bitmaps = load('LoadLazyAnnotations')['gt_masks'], load('LoadAnnotations')['gt_masks']
    for name, *arguments in [*before, ('transpose', ), *after]:
        lazy = getattr(lazy, name)(*arguments)
        bitmaps = transposed(bitmaps) if name == 'transpose' else \
            getattr(bitmaps, name)(*arguments)
    some = lazy[[3, 0]]
    assert_same(lazy, bitmaps)
    assert_same(some, bitmaps[[3, 0]])


def test_what_was_drawn_counts():
    lazy = LazyMasks([i['mask'] for i in instances()], HEIGHT, WIDTH)
    lazy.masks[:, 5:9, 2] = 1
    assert (lazy.transpose().masks[:, 2, 5:9] == 1).all()


def test_polygons_that_are_transformed():
    masks = TransformedMasks([i['mask'] for i in instances()], HEIGHT, WIDTH).resize((90, 100))
    found = transposed(masks)
    assert (found.height, found.width) == (100, 90)
    np.testing.assert_array_equal(found.masks, masks.masks.transpose(0, 2, 1))


def test_polygons():
    masks = PolygonMasks([[np.array([0., 1., 7., 2., 3., 5.])], []], 6, 9)
    found = transposed(masks)
    assert (found.height, found.width) == (9, 6)
    np.testing.assert_array_equal(found.masks[0][0], [1, 0, 2, 7, 5, 3])


def test_everything_turns_together():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    masks = np.zeros((1, 2, 3), np.uint8)
    masks[0, 0, 1:] = 1
    results = RandomTranspose(1.).transform(dict(
        img=image, img_shape=(2, 3), pad_shape=(2, 3, 3), scale_factor=(0.5, 0.25),
        gt_masks=BitmapMasks(masks, 2, 3), gt_seg_map=image[..., 0],
        gt_bboxes=HorizontalBoxes(torch.tensor([[1., 0., 3., 1.]]))))
    np.testing.assert_array_equal(results['img'], image.transpose(1, 0, 2))
    assert results['img'].flags.c_contiguous and results['img_shape'] == (3, 2)
    assert results['scale_factor'] == (0.25, 0.5) and results['pad_shape'] == (3, 2, 3)
    np.testing.assert_array_equal(results['gt_seg_map'], image[..., 0].T)
    assert torch.equal(results['gt_bboxes'].tensor, results['gt_masks'].get_bboxes('hbox').tensor)
    assert (results['homography_matrix'] @ (5, 7, 1) == (7, 5, 1)).all()


def test_as_often_as_said():
    np.random.seed(0)
    shapes = [RandomTranspose(0.25).transform(dict(img=np.zeros((2, 3, 3))))['img'].shape[0]
              for _ in range(400)]
    assert 70 < shapes.count(3) < 130
    assert set(RandomTranspose(0).transform(dict(img=np.zeros((2, 3, 3))))) == {'img'}


def test_what_cannot_be_turned():
    with pytest.raises(ValueError, match='prob=2'):
        RandomTranspose(2)
    with pytest.raises(TypeError, match=r'ShrunkMasks.*before what makes targets'):
        transposed(ShrunkMasks({4: [(0, 0, np.zeros((2, 2), np.uint8))]}, 8, 8))
