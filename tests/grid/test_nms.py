import pytest
import torch
from mmdet.models.layers import mask_matrix_nms

from mmdet_lordre.grid import matrix_nms, points_nms
from mmdet_lordre.grid import nms as nms_module


def random_set(count, classes, seed=0, size=(20, 33)):
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(max(1, count // 3), *size, generator=generator) > 0.5
    masks = base[torch.randint(len(base), (count,), generator=generator)]
    masks = masks ^ (torch.rand(count, *size, generator=generator) > 0.85)
    labels = torch.randint(classes, (count,), generator=generator)
    return masks, labels, torch.rand(count, generator=generator)


def plain_decay(masks, labels, scores, kernel, sigma):
    """The definition, pair by pair, for masks already sorted by score."""
    count = len(masks)

    def iou(i, j):
        union = (masks[i] | masks[j]).sum().item()
        return (masks[i] & masks[j]).sum().item() / union if union else 0.

    def f(x):
        return torch.exp(torch.tensor(-sigma * x * x)).item() if kernel == 'gaussian' else 1 - x

    result = []
    for j in range(count):
        factor = 1.
        for i in range(j):
            if labels[i] == labels[j]:
                comp = max([iou(k, i) for k in range(i) if labels[k] == labels[i]], default=0)
                if f(comp) > 0:
                    factor = min(factor, f(iou(i, j)) / f(comp))
        result.append(scores[j].item() * factor)
    return torch.tensor(result)


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
@pytest.mark.parametrize('count, classes', [(1, 1), (2, 1), (24, 1), (24, 5), (40, 80)])
def test_equals_the_definition(count, classes, kernel):
    masks, labels, scores = random_set(count, classes)
    order = scores.argsort(descending=True)
    masks, labels, scores = masks[order], labels[order], scores[order]
    if count > 4:
        masks[3], labels[3] = masks[1], labels[1]    # an exact copy: IoU 1
        masks[4] = False
    expected = plain_decay(masks, labels, scores, kernel, 2.0)
    shuffle = torch.randperm(count)
    got, got_labels, index = matrix_nms(masks[shuffle], labels[shuffle], scores[shuffle], None,
                                        kernel, 2.0)
    torch.testing.assert_close(got, expected[shuffle][index], rtol=1e-5, atol=1e-6)
    assert torch.equal(got_labels, labels[shuffle][index])
    assert (got.diff() <= 0).all()


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
@pytest.mark.parametrize('count, classes', [(150, 1), (300, 3), (300, 80)])
def test_equals_mmdet(count, classes, kernel):
    masks, labels, scores = random_set(count, classes)
    options = dict(nms_pre=250, filter_thr=0.05, max_num=100, kernel=kernel, sigma=2.0)
    area = masks.sum((1, 2))
    their_scores, their_labels, _, their_index = mask_matrix_nms(
        masks, labels, scores, mask_area=area.float(), **options)
    got, got_labels, index = matrix_nms(masks, labels, scores, area, **options)
    assert len(got) > 30
    torch.testing.assert_close(got, their_scores, rtol=1e-5, atol=1e-6)
    assert torch.equal(index, their_index) and torch.equal(got_labels, their_labels)


def test_float_products_give_the_same(monkeypatch):
    masks, labels, scores = random_set(200, 3)
    monkeypatch.setattr(nms_module, '_bytes_pay', lambda: True)
    expected = matrix_nms(masks, labels, scores)
    monkeypatch.setattr(nms_module, '_bytes_pay', lambda: False)
    monkeypatch.setattr(nms_module, 'chunk_size', lambda *args, **kwargs: 100)
    for ours, plain in zip(matrix_nms(masks, labels, scores), expected, strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize('count, size', [(1, (1, 1)), (2, (0, 4)), (5, (3, 3)), (24, (45, 91)),
                                         (90, (64, 64)), (20, (200, 337))])
def test_products_in_float16_are_exact(count, size):
    """As a GPU multiplies; most masks here fill more than float16 counts up to."""
    masks = (torch.rand(count, *size) < torch.rand(count, 1, 1)).flatten(1)
    masks[0] = True
    for autocast in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            found = nms_module._half_product(masks)
        assert found.dtype == torch.float32
        assert torch.equal(found.long(), masks.long() @ masks.long().t())


def test_scores_that_are_no_numbers_are_filtered():
    masks, labels, scores = random_set(30, 3)
    scores[[3, 20]] = torch.nan
    _, _, index = matrix_nms(masks, labels, scores, filter_thr=0.05)
    assert len(index) and not {3, 20} & set(index.tolist())


def test_one_block_gives_the_same(monkeypatch):
    masks, labels, scores = random_set(200, 20)
    expected = matrix_nms(masks, labels, scores)
    monkeypatch.setattr(nms_module, '_MIN_ROWS', 10**6)
    for ours, plain in zip(matrix_nms(masks, labels, scores), expected, strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_scores(dtype):
    masks, labels, scores = random_set(50, 3)
    got, _, index = matrix_nms(masks, labels, scores.to(dtype))
    expected, _, order = matrix_nms(masks, labels, scores.to(dtype).float())
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), expected, rtol=1e-2, atol=1e-3)
    assert sorted(index.tolist()) == sorted(order.tolist())


def test_permutation_of_masks_permutes_the_result():
    masks, labels, scores = random_set(60, 4)
    shuffle = torch.randperm(60)
    plain = matrix_nms(masks, labels, scores)
    got = matrix_nms(masks[shuffle], labels[shuffle], scores[shuffle])
    torch.testing.assert_close(got[0], plain[0])
    assert torch.equal(shuffle[got[2]], plain[2])


def test_empty_set_and_everything_filtered():
    scores, labels, index = matrix_nms(torch.zeros(0, 4, 4, dtype=torch.bool),
                                       torch.zeros(0, dtype=torch.long), torch.zeros(0),
                                       nms_pre=5, filter_thr=0.1, max_num=3)
    assert len(scores) == len(labels) == len(index) == 0
    masks, labels, scores = random_set(5, 1)
    assert len(matrix_nms(masks, labels, scores * 0.01, filter_thr=0.1)[0]) == 0


def test_thousands_of_masks():
    masks, labels, scores = random_set(3000, 10, size=(8, 8))
    got, _, index = matrix_nms(masks, labels, scores, max_num=100)
    assert len(got) == 100 and torch.isfinite(got).all() and len(index.unique()) == 100


def test_wrong_input_is_refused():
    masks, labels, scores = random_set(3, 1)
    with pytest.raises(ValueError, match='kernel'):
        matrix_nms(masks, labels, scores, kernel='cubic')
    with pytest.raises(ValueError, match='2 labels'):
        matrix_nms(masks, labels[:2], scores)


def test_points_nms_worked_by_hand():
    scores = torch.tensor([[[[0.3, 0.2, 0.9],
                             [0.4, 0.5, 0.6],
                             [0.7, 0.1, 0.6]]]])
    expected = torch.tensor([[[[0.3, 0.0, 0.9],
                               [0.4, 0.5, 0.0],
                               [0.7, 0.0, 0.6]]]])
    assert torch.equal(points_nms(scores), expected)
