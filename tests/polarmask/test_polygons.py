import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.polarmask import contours_to_bitmaps, contours_to_rle


def opencv(contours, size):
    """Each contour truncated and drawn on a bitmap of the whole image, encoded."""
    encoded = []
    for contour in np.asarray(contours).astype(np.int32):
        mask = np.zeros(size, np.uint8)
        cv2.drawContours(mask, [contour], -1, 1, -1)
        encoded.append(mask_api.encode(np.asfortranarray(mask)))
    return encoded


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(3, 40),
       st.sampled_from([0.3, 1.0, 3.0]))
def test_equal_drawing_the_whole_image(seed, height, width, corners, spread):
    """Also across the border, over full columns and outside the image."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0, 1, (5, 1, 2)) * (width, height)
    contours = middle + rng.uniform(-spread, spread, (5, corners, 2)) * (width, height)
    found = contours_to_rle(contours, (height, width))
    assert list(found) == opencv(contours, (height, width))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equal_for_contours_clamped_to_the_image(seed):
    rng = np.random.default_rng(seed)
    height, width = 30, 25
    contours = rng.uniform(-10, 40, (6, 36, 2)).clip(0, (width - 1, height - 1))
    assert list(contours_to_rle(contours, (height, width))) == opencv(contours, (height, width))


def test_the_whole_image_and_its_corners():
    full = np.array([[0, 0], [6, 0], [6, 4], [0, 4]])
    first, last = np.zeros((4, 2)), np.full((4, 2), (6, 4))
    contours = np.stack((full, first, last)).astype(float)
    found = contours_to_rle(contours, (5, 7))
    assert list(found) == opencv(contours, (5, 7))
    assert [int(mask_api.area(rle)) for rle in found] == [35, 1, 1]


@pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
def test_bitmaps_and_run_lengths_are_the_same_masks(fill):
    contours = torch.rand(7, 24, 2) * torch.tensor([50., 30.])
    bitmaps = contours_to_bitmaps(contours, (30, 50), fill, (0.3, 0.7))
    assert bitmaps.dtype == torch.bool and bitmaps.shape == (7, 30, 50)
    rle = contours_to_rle(contours, (30, 50), fill, (0.3, 0.7))
    assert isinstance(rle, RLEMasks)
    np.testing.assert_array_equal(rle.to_ndarray(), bitmaps.numpy())


def test_fills_by_hand():
    # corners at the centers of pixels 2.6 and 6.6: the published rule truncates
    square = torch.tensor([[[2.6, 2.6], [6.6, 2.6], [6.6, 6.6], [2.6, 6.6]]])
    masks = {fill: contours_to_bitmaps(square, (10, 10), fill)[0] for fill in
             ('opencv', 'rounded', 'coco')}
    assert masks['opencv'][2:7, 2:7].all() and masks['opencv'].sum() == 25
    assert masks['rounded'][3:8, 3:8].all() and masks['rounded'].sum() == 25
    assert masks['coco'][3:7, 3:7].all() and masks['coco'].sum() == 16


@pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
def test_nothing_to_draw(fill):
    nothing = torch.zeros(0, 36, 2)
    assert contours_to_bitmaps(nothing, (30, 50), fill).shape == (0, 30, 50)
    rle = contours_to_rle(nothing, (30, 50), fill)
    assert len(rle) == 0 and rle.to_ndarray().shape == (0, 30, 50)


@pytest.mark.parametrize('height, width', [(100, 40_000), (70_000, 40_000)])
@pytest.mark.parametrize('fill', ['opencv', 'rounded'])
def test_far_into_a_large_image(fill, height, width):
    """Beyond OpenCV's range of coordinates, and where 32 bits do not count the pixels."""
    x, y = 34_000, height - 60
    box = torch.tensor([[[x, y], [x + 99, y], [x + 99, y + 49], [x, y + 49]]]).float()
    hole = box + torch.tensor([[20, 20], [-20, 20], [-20, -20], [20, -20]])
    full, = contours_to_rle(box, (height, width), fill, (0., 0.))
    assert mask_api.area(full) == 5000
    assert mask_api.toBbox(full).tolist() == [x, y, 100, 50]
    cut, = contours_to_rle(box, (height, width), fill, (0., 0.), hole)
    assert mask_api.area(cut) == 5000 - 58 * 8
    if height == 100:
        bitmap, = contours_to_bitmaps(box, (height, width), fill, (0., 0.), hole)
        assert np.array_equal(bitmap.numpy(), mask_api.decode(cut))


def test_an_unknown_fill_is_refused():
    for draw in (contours_to_rle, contours_to_bitmaps):
        with pytest.raises(ValueError, match="not 'even'"):
            draw(torch.zeros(1, 3, 2), (4, 4), 'even')
