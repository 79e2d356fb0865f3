"""Masks that are moved and laid over each other, against bitmaps."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from mmdet_lordre.masks.moved import RunBatch, intersections


def encode(masks):
    return [mask_api.encode(np.asfortranarray(mask)) for mask in masks]


def moved_bitmaps(masks, shifts):
    result = np.zeros_like(masks)
    for one, mask, (dx, dy) in zip(result, masks, shifts):
        y, x = np.nonzero(mask)
        y, x = y + dy, x + dx
        inside = (y >= 0) & (y < mask.shape[0]) & (x >= 0) & (x < mask.shape[1])
        one[y[inside], x[inside]] = 1
    return result


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(0, 4),
       st.integers(0, 4))
def test_against_bitmaps(seed, height, width, count, others):
    rng = np.random.default_rng(seed)
    density = rng.choice([0, 0.2, 0.8, 1], (count + others, 1, 1))
    masks = (rng.random((count + others, height, width)) < density).astype(np.uint8)
    ours, theirs = masks[:count], masks[count:]
    shifts = rng.integers(-14, 15, (count, 2))
    one = RunBatch.of(encode(ours), (height, width)).moved(shifts)
    other = RunBatch.of(encode(theirs), (height, width))
    ours = moved_bitmaps(ours, shifts)
    assert one.areas.tolist() == ours.sum((1, 2)).tolist() and len(one) == count
    pairs = np.argwhere(np.ones((count, others), bool))
    assert intersections(one, other, pairs).tolist() == [
        int((ours[i] & theirs[j]).sum()) for i, j in pairs]
    for batch, bitmaps in ((one, ours), (other, theirs)):
        for bitmap, center, bounds in zip(bitmaps, batch.centers, batch.bounds.tolist()):
            y, x = np.nonzero(bitmap)
            if len(y):
                assert center == pytest.approx([x.mean() + 0.5, y.mean() + 0.5])
                assert bounds == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            else:
                assert bounds == [0, 0, 0, 0]
    both = RunBatch.joined([one, other])
    chosen = rng.integers(0, count + others, 5) if count + others else np.zeros(0, int)
    assert both[chosen].areas.tolist() == np.concatenate([ours, theirs]).sum((1, 2))[
        chosen].tolist()


def test_by_hand():
    """Two columns of a square of two by two meet one column of another, one pixel lower."""
    mask = np.zeros((1, 5, 6), np.uint8)
    mask[0, 1:3, 1:3] = 1
    batch = RunBatch.of(encode(mask), (5, 6))
    assert batch.columns.tolist() == [1, 2] and batch.tops.tolist() == [1, 1]
    pair = np.array([[0, 0]])
    assert intersections(batch.moved(np.array([[1, 1]])), batch, pair).tolist() == [1]
    assert intersections(batch.moved(np.array([[1, 0]])), batch, pair).tolist() == [2]
    assert intersections(batch.moved(np.array([[4, 0]])), batch, pair).tolist() == [0]
    assert batch.moved(np.array([[4, 0]])).areas.tolist() == [2]
