import cv2
import numpy as np
import pytest
import torch

from mmdet_lordre.grid import mask_moments, shrink_masks


def random_masks(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, height // 8 + 1, width // 8 + 1)) > 0.5
    masks = coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noise = rng.random((count, height, width)) > 0.8
    return torch.from_numpy(masks ^ noise)


def naive_moments(mask):
    rows, columns = np.nonzero(mask.numpy())
    return columns.sum(), rows.sum(), len(rows)


def test_moments_of_an_l_worked_by_hand():
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 1, 1] = mask[0, 2, 1] = mask[0, 2, 2] = True
    centers, areas = mask_moments(mask)
    assert areas.tolist() == [3]
    torch.testing.assert_close(centers, torch.tensor([[4 / 3, 5 / 3]]))


# more than 255 rows, and more than 255 words in a row, where bytes would overflow
@pytest.mark.parametrize('height, width', [(1, 1), (7, 9), (32, 64), (300, 40), (600, 8),
                                           (3, 2200), (16, 4096)])
@pytest.mark.parametrize('full', [False, True])
def test_moments_are_exact(height, width, full):
    masks = random_masks(3, height, width)
    masks[0] = False
    if full:
        masks[1] = True
    centers, areas = mask_moments(masks, torch.float64)
    for mask, center, area in zip(masks, centers, areas, strict=True):
        moment_x, moment_y, count = naive_moments(mask)
        assert int(area) == count
        if count:
            assert center.tolist() == [moment_x / count, moment_y / count]
        else:
            assert center.tolist() == [0, 0]
    single = mask_moments(masks)[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, centers.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize('convert', [
    lambda m: m.to(torch.uint8), lambda m: m.to(torch.uint8) * 255, lambda m: m.float() * 0.5,
    lambda m: m.transpose(1, 2).contiguous().transpose(1, 2),
    lambda m: torch.cat((m[:, :, :3], m), 2)[:, :, 3:]])
def test_any_form_of_mask(convert):
    masks = random_masks(4, 24, 40)
    for ours, plain in zip(mask_moments(convert(masks)), mask_moments(masks), strict=True):
        assert torch.equal(ours, plain)
    assert torch.equal(shrink_masks(convert(masks)), shrink_masks(masks))


def test_offset_storage_is_read_right():
    flat = torch.zeros(1 + 2 * 8 * 16, dtype=torch.uint8)
    masks = flat[1:].view(2, 8, 16)
    masks[1, 3, 5] = 1
    centers, areas = mask_moments(masks)
    assert areas.tolist() == [0, 1]
    assert centers[1].tolist() == [5, 3]


@pytest.mark.parametrize('factor', [2, 4, 8, 16])
@pytest.mark.parametrize('height, width', [(32, 64), (64, 48)])
def test_shrinking_is_opencv_resize(factor, height, width):
    masks = random_masks(5, height, width, seed=factor)
    expected = [cv2.resize(mask.numpy().astype(np.uint8), None, fx=1 / factor, fy=1 / factor,
                           interpolation=cv2.INTER_LINEAR) for mask in masks]
    if factor > 2:
        assert np.array_equal(shrink_masks(masks, factor).numpy(), np.stack(expected) > 0)
    assert shrink_masks(masks, factor).shape == (5, height // factor, width // factor)


@pytest.mark.parametrize('height, width', [(30, 45), (33, 64), (32, 60)])
def test_shrinking_unaligned_masks_pads_with_zeros(height, width):
    masks = random_masks(3, height, width)
    padded = torch.nn.functional.pad(masks, (0, 64 - width, 0, 64 - height))
    assert torch.equal(shrink_masks(masks, size=(16, 16)), shrink_masks(padded))


def test_size_crops_and_pads():
    masks = random_masks(3, 32, 32)
    whole = shrink_masks(masks)
    assert torch.equal(shrink_masks(masks, size=(5, 6)), whole[:, :5, :6])
    larger = shrink_masks(masks, size=(9, 12))
    assert torch.equal(larger[:, :8, :8], whole)
    assert not larger[:, 8:].any() and not larger[:, :, 8:].any()


def test_no_masks():
    centers, areas = mask_moments(torch.zeros(0, 32, 32, dtype=torch.bool))
    assert centers.shape == (0, 2) and areas.shape == (0,)
    assert shrink_masks(torch.zeros(0, 32, 32, dtype=torch.bool)).shape == (0, 8, 8)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match='factor must be even'):
        shrink_masks(torch.zeros(1, 9, 9), 3)
    with pytest.raises(ValueError, match='shape'):
        mask_moments(torch.zeros(9, 9))
