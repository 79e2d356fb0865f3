"""Run lengths and crops against pycocotools."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from mmdet_lordre.masks.runs import (
    counts_of,
    crop_of_rle,
    rle_of_counts,
    rle_of_crop,
    rles_of_changes,
)


def bitmaps(count=60, seed=0):
    """Noise, blocks, full columns, empty and full masks of all shapes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(1, 40, 2)
        mask = (rng.random((height, width)) < rng.choice([0.02, 0.3, 0.7, 1.0])).astype(np.uint8)
        if number % 3 == 0:
            mask[:] = 0
            y, x = rng.integers(height), rng.integers(width)
            mask[y:y + rng.integers(1, 40), x:x + rng.integers(1, 40)] = 1
        if number % 7 == 0:
            mask[:, rng.integers(width):] = 1
        yield mask * (number > 0)


@pytest.mark.parametrize('mask', bitmaps(), ids=lambda m: 'x'.join(map(str, m.shape)))
def test_both_ways(mask):
    rle = mask_api.encode(np.asfortranarray(mask))
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(np.r_[0, flat]))
    assert counts_of(rle).tolist() == np.diff(np.r_[0, changes, flat.size]).tolist()
    assert rle_of_counts(counts_of(rle), mask.shape) == rle
    crop = crop_of_rle(rle)
    whole = np.zeros_like(mask)
    whole[crop.y:crop.y + crop.bitmap.shape[0], crop.x:crop.x + crop.bitmap.shape[1]] = crop.bitmap
    assert np.array_equal(whole, mask)
    if mask.any():  # the bounds are tight
        assert crop.bitmap.any(axis=0)[[0, -1]].all() and crop.bitmap.any(axis=1)[[0, -1]].all()
    assert rle_of_crop(crop.bitmap, crop.y, crop.x, mask.shape) == rle
    assert rle_of_crop(mask.astype(bool), 0, 0, mask.shape) == rle


@pytest.mark.parametrize('size', [(7, 5), (1, 9), (9, 1), (33, 40), (0, 4)])
@pytest.mark.parametrize('count', [0, 1, 12])
def test_many_from_their_changes(size, count):
    rng = np.random.default_rng(count)
    masks = (rng.random((count, *size)) < rng.choice([0, 0.1, 0.9, 1], (count, 1, 1))).astype('u1')
    flat = masks.transpose(0, 2, 1).reshape(count, size[0] * size[1])
    places = np.flatnonzero(np.diff(flat, axis=1, prepend=np.zeros((count, 1), 'u1')))
    expected = mask_api.encode(np.asfortranarray(masks.transpose(1, 2, 0))) if count else []
    assert rles_of_changes(places, count, size) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=30))
def test_counts_of_any_size(counts):
    assert counts_of(rle_of_counts(np.array(counts), (1, 1))).tolist() == counts


def test_no_bitmap_of_the_image():
    """A mask of 3 by 2 pixels in an image that no memory holds."""
    size = (2_000_000, 3_000_000)
    rle = rle_of_crop(np.ones((3, 2), bool), 1_500_000, 2_999_998, size)
    crop = crop_of_rle(dict(rle, size=[2_000_000, 1000]) if False else _small(rle))
    assert crop.bitmap.shape == (3, 2) and crop.bitmap.all()
    counts = counts_of(rle)
    assert counts[1::2].tolist() == [3, 3] and counts.sum() == size[0] * size[1]


def _small(rle):
    """The same objects in the last columns alone: pycocotools counts pixels in 32 bits."""
    counts = counts_of(rle)
    counts[0] -= 2_999_990 * 2_000_000
    return rle_of_counts(counts, (2_000_000, 10))


def test_forms_of_counts():
    rle = mask_api.encode(np.asfortranarray(np.eye(3, dtype=np.uint8)))
    assert counts_of(dict(rle, counts=rle['counts'].decode())).tolist() == \
        counts_of(rle).tolist() == counts_of(dict(counts=[0, 1, 3, 1, 3, 1])).tolist()
