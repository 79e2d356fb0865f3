"""The single resize to the original size against the two resizes that it stands for."""
import pytest
import torch
import torch.nn.functional as F

from mmdet_lordre.masks import RLEMasks, to_original_size
from mmdet_lordre.masks import resize as resize_module


def two_resizes(probs, up_size, crop_size, out_size, threshold):
    big = F.interpolate(probs[:, None].float(), size=up_size, mode='bilinear',
                        align_corners=False)[:, :, :crop_size[0], :crop_size[1]]
    return F.interpolate(big, size=out_size, mode='bilinear',
                         align_corners=False)[:, 0] > threshold


def smooth(n, h, w, seed=0):
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n, 1, max(2, h // 6), max(2, w // 6), generator=g)
    return F.interpolate(coarse, size=(h, w), mode='bicubic')[:, 0].sigmoid()


@pytest.mark.parametrize('h, w, crop, out', [
    (16, 24, (64, 96), (64, 96)),      # no change of size
    (16, 24, (61, 90), (122, 180)),    # padded, enlarged
    (16, 24, (64, 89), (31, 47)),      # shrunk, odd
    (40, 30, (150, 117), (223, 331)),  # another aspect ratio
    (1, 1, (3, 2), (7, 5)),            # one pixel
    (16, 24, (64, 96), (1, 1)),
])
def test_equals_two_resizes(h, w, crop, out):
    probs = smooth(7, h, w)
    args = (probs, (4 * h, 4 * w), crop, out, 0.45)
    ours, theirs = to_original_size(*args), two_resizes(*args)
    assert ours.shape == theirs.shape and ours.dtype == torch.bool
    assert (ours == theirs).float().mean() >= 0.9999


def test_by_hand():
    # one row, two pixels 0 and 1, doubled: 0, 0.25, 0.75, 1
    probs = torch.tensor([[[0., 1.]]])
    masks = to_original_size(probs, (1, 4), (1, 4), (1, 4), 0.2)
    assert masks.tolist() == [[[False, True, True, True]]]
    assert to_original_size(probs, (1, 4), (1, 4), (1, 4), 0.5).sum() == 2
    # the crop drops the right half before the second resize
    assert to_original_size(probs, (1, 4), (1, 2), (1, 2), 0.3).sum() == 0


def test_chunks_do_not_show(monkeypatch):
    probs = smooth(9, 16, 16)
    args = (probs, (64, 64), (60, 64), (90, 80), 0.5)
    whole = to_original_size(*args)
    monkeypatch.setattr(resize_module, 'chunk_size', lambda *a, **k: 2)
    assert torch.equal(to_original_size(*args), whole)


def test_rle_equals_bitmap():
    probs = smooth(5, 16, 20)
    args = (probs, (64, 80), (64, 77), (50, 60), 0.5)
    rle = to_original_size(*args, mask_format='rle')
    assert isinstance(rle, RLEMasks) and rle.shape == (5, 50, 60)
    assert torch.equal(torch.from_numpy(rle.astype(bool)), to_original_size(*args))


def test_no_instance_and_half_precision():
    none = torch.zeros(0, 8, 8)
    assert to_original_size(none, (32, 32), (32, 32), (20, 30), 0.5).shape == (0, 20, 30)
    assert to_original_size(none, (32, 32), (32, 32), (20, 30), 0.5, 'rle').shape == (0, 20, 30)
    probs = smooth(3, 8, 8)
    half = to_original_size(probs.half(), (32, 32), (32, 32), (32, 32), 0.5)
    full = to_original_size(probs, (32, 32), (32, 32), (32, 32), 0.5)
    assert (half == full).float().mean() > 0.99
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(to_original_size(probs, (32, 32), (32, 32), (32, 32), 0.5), full)


def test_flipping_flips():
    probs = smooth(4, 16, 16)
    size = (64, 64)
    a = to_original_size(probs, size, size, size, 0.5)
    b = to_original_size(probs.flip(2), size, size, size, 0.5)
    assert (a.flip(2) == b).float().mean() > 0.9999


def test_nan_is_outside():
    probs = torch.full((1, 4, 4), float('nan'))
    assert not to_original_size(probs, (16, 16), (16, 16), (16, 16), 0.5).any()


@pytest.mark.parametrize('change, message', [
    (dict(probs=torch.zeros(4, 4)), r'shape \(N, h, w\)'),
    (dict(mask_format='polygon'), 'bitmap'),
    (dict(crop_size=(17, 16)), 'exceeds'),
    (dict(out_size=(0, 16)), 'at least one pixel'),
])
def test_bad_arguments(change, message):
    args = dict(probs=torch.zeros(1, 4, 4), up_size=(16, 16), crop_size=(16, 16),
                out_size=(16, 16), threshold=0.5)
    with pytest.raises(ValueError, match=message):
        to_original_size(**(args | change))
