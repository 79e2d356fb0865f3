"""Only the parts of the image where masks can be are resized: nobody sees it."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as mask_api

from mmdet_lordre.masks import mask_boxes, to_original_size
from mmdet_lordre.masks import small_masks as module
from mmdet_lordre.masks.runs import rles_of_crops
from mmdet_lordre.masks.small_masks import small_masks

from .test_resize import two_resizes


def discs(places, radius, size):
    """Probabilities (N, h, w) around places (y, x)."""
    y, x = torch.arange(size[0])[:, None], torch.arange(size[1])
    centers = torch.tensor(places, dtype=torch.float).view(-1, 2, 1, 1)
    radius = torch.as_tensor(radius, dtype=torch.float).view(-1, 1, 1)
    return (radius - torch.hypot(y - centers[:, 0], x - centers[:, 1])).sigmoid()


def encoded(masks):
    return [mask_api.encode(np.asfortranarray(mask)) for mask in masks.numpy().view(np.uint8)]


@pytest.mark.parametrize('size, crop, out', [
    ((40, 56), (160, 224), (160, 224)),
    ((40, 56), (149, 201), (373, 503)),   # padded, enlarged
    ((40, 56), (160, 209), (77, 101)),    # padded, shrunk
    ((24, 200), (90, 800), (61, 900)),    # wide
    ((200, 24), (800, 90), (900, 61)),    # high
    ((56, 56), (56, 56), (400, 400)),     # much finer than the map
    ((40, 56), (160, 224), (3, 2)),       # a few pixels
])
@pytest.mark.parametrize('threshold', [0.2, 0.45, 0.9])
def test_every_format_equals_two_resizes(size, crop, out, threshold):
    rng = np.random.default_rng(0)
    places = [*(rng.random((40, 2)) * size).tolist(), [0, 0], [size[0] - 1, size[1] - 1],
              [0, size[1] - 1], [size[0] / 2, 0], [-9, -9]]
    radius = [*rng.uniform(0.5, 6, 40), 2, 3, 4, 30, 1]
    probs = discs(places, radius, size).double()
    up = tuple(-(-side // 4) * 4 for side in crop) if size != (56, 56) else size
    # in float64, as two resizes of float32 differ from themselves on the threshold
    expected = F.interpolate(probs[:, None], size=up, mode='bilinear')[..., :crop[0], :crop[1]]
    expected = F.interpolate(expected, size=out, mode='bilinear')[:, 0] - threshold
    probs = probs.float()
    found = to_original_size(probs, up, crop, out, threshold)
    sure = expected.abs() > 1e-5
    assert sure.float().mean() > 0.99 and torch.equal(found[sure], (expected > 0)[sure])
    assert list(to_original_size(probs, up, crop, out, threshold, 'rle')) == encoded(found)
    if min(out) > 50:
        _, others = small_masks(probs, up, crop, out, threshold)
        assert 0 < len(others) < len(probs) / 2  # both ways were gone


def test_windows_hold_what_is_there_and_little_more():
    size = 1000, 1500
    windows, others = small_masks(discs([[50, 20], [10, 140]], [3, 4], (100, 150)),
                                  size, size, size, 0.5)
    found = list(windows)
    assert not len(others) and sorted(n for one in found for n in one.masks) == [0, 1]
    for one in found:
        assert one.columns.shape[1:] in ((64, 64), (128, 128)) and one.columns.any()
        assert (one.tops >= 0).all() and (one.lefts + one.columns.shape[1] <= 1500).all()


def test_run_lengths_by_hand():
    """Two columns of three rows, filled from top to bottom, at the end of an image of 3 x 4."""
    columns = np.ones((1, 2, 3), bool)
    place = np.array([0]), np.array([2])
    rle, = rles_of_crops(columns, *place, (3, 4))
    expected = np.zeros((3, 4), np.uint8, order='F')
    expected[:, 2:] = 1
    assert rle == mask_api.encode(expected)
    columns[0, 0, 1] = False
    rle, = rles_of_crops(columns, *place, (3, 4))
    expected[1, 2] = 0
    assert rle == mask_api.encode(expected)


def test_run_lengths_of_random_windows():
    rng = np.random.default_rng(0)
    for height, width, rows, columns in ((5, 7, 5, 2), (5, 7, 2, 7), (5, 7, 5, 7), (9, 4, 3, 1)):
        pixels = rng.random((60, columns, rows)) < 0.5
        tops = rng.integers(0, height - rows + 1, 60)
        lefts = rng.integers(0, width - columns + 1, 60)
        found = rles_of_crops(pixels, tops, lefts, (height, width))
        for rle, one, top, left in zip(found, pixels, tops, lefts, strict=True):
            mask = np.zeros((height, width), np.uint8, order='F')
            mask[top:top + rows, left:left + columns] = one.T
            assert rle == mask_api.encode(mask)


def test_of_an_image_of_any_size():
    """Bitmaps of these 300 masks of 20,000 x 20,000 pixels would take 112 GiB."""
    rng = np.random.default_rng(0)
    places = rng.uniform(5, 155, (300, 2))
    out = (20_000, 20_000)
    found = to_original_size(discs(places, 2, (160, 160)), (640, 640), (640, 640), out, 0.5, 'rle')
    boxes = mask_boxes(found)
    expected = torch.from_numpy(places + 0.5) * 125
    centers = (boxes[:, :2] + boxes[:, 2:]).flip(1) / 2
    assert (centers - expected).abs().max() < 125
    assert torch.all((boxes[:, 2:] - boxes[:, :2] - 500).abs() < 200)


def test_nothing_and_everything_and_no_numbers():
    size = 64, 64
    probs = torch.zeros(4, 16, 16)
    probs[1], probs[2, 3, 4] = 1, float('nan')
    probs[3, 3:5, 4:6], probs[3, 12, 12] = 1, float('nan')
    found = to_original_size(probs, size, size, size, 0.5)
    assert found.flatten(1).sum(1).tolist()[:3] == [0, 4096, 0]
    # what is no number spoils what is near it, and no more is found than there is
    assert not (found & ~two_resizes(probs, size, size, size, 0.5)).any()
    assert list(to_original_size(probs, size, size, size, 0.5, 'rle')) == encoded(found)


def test_a_few_at_a_time(monkeypatch):
    probs = discs(np.random.default_rng(0).random((30, 2)) * 40, 2, (40, 40))
    args = probs, (160, 160), (160, 150), (300, 280), 0.5
    whole = [to_original_size(*args), to_original_size(*args, 'rle')]
    monkeypatch.setattr(module, 'chunk_size', lambda elements: 2)
    assert torch.equal(to_original_size(*args), whole[0])
    assert to_original_size(*args, 'rle') == whole[1]
