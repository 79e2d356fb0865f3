"""Matching worked by hand."""
import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from mmdet_lordre.lordre import LordreMatcher


def test_quality_by_hand():
    matcher = LordreMatcher(alpha=0.8, beta=0.2)
    logits = torch.zeros(1, 2)                      # class probability 0.5
    probs = torch.tensor([[1., 1, 0, 0]])
    targets = torch.tensor([[1., 0, 0, 0], [0, 0, 1, 1]])
    quality = matcher.quality(logits, probs, torch.tensor([0, 1]), targets)
    dice = 2 * 1 / (2 + 1 + 1e-4)
    assert quality.shape == (1, 2)
    assert quality[0, 0].item() == pytest.approx(dice**0.8 * 0.5**0.2, rel=1e-6)
    assert quality[0, 1] == 0


def test_batch_equals_image_by_image():
    g = torch.Generator().manual_seed(0)
    counts = [0, 3, 9, 1]                           # 9 is more than there are predictions
    logits, probs = torch.randn(4, 5, 4, generator=g), torch.rand(4, 5, 20, generator=g)
    labels = [torch.randint(0, 4, (n, ), generator=g) for n in counts]
    targets = [(torch.rand(n, 20, generator=g) > 0.5).float() for n in counts]
    matcher = LordreMatcher()
    pairs = matcher(logits, probs, labels, targets)
    for k, (rows, columns) in enumerate(pairs):
        matrix = matcher.quality(logits[k], probs[k], labels[k], targets[k]).numpy()
        expected = linear_sum_assignment(matrix, maximize=True)
        assert np.array_equal(rows, expected[0]) and np.array_equal(columns, expected[1])
        assert len(rows) == min(5, counts[k])


def test_permuting_ground_truths_permutes_pairs():
    g = torch.Generator().manual_seed(1)
    logits, probs = torch.randn(1, 6, 3, generator=g), torch.rand(1, 6, 30, generator=g)
    labels, targets = torch.tensor([0, 1, 2]), (torch.rand(3, 30, generator=g) > 0.5).float()
    order = torch.tensor([2, 0, 1])
    plain = LordreMatcher()(logits, probs, [labels], [targets])[0]
    permuted = LordreMatcher()(logits, probs, [labels[order]], [targets[order]])[0]
    assert dict(zip(plain[0].tolist(), plain[1].tolist())) == dict(
        zip(permuted[0].tolist(), order[permuted[1]].tolist()))


def test_half_precision_is_matched_in_float32():
    g = torch.Generator().manual_seed(2)
    # 200 x 200 pixels: the sum of squares would overflow or stick in half precision
    probs = torch.rand(1, 4, 40000, generator=g).half()
    targets = [(torch.rand(2, 40000, generator=g) > 0.5).half()]
    logits, labels = torch.zeros(1, 4, 2), [torch.tensor([0, 1])]
    a = LordreMatcher()(logits.half(), probs, labels, targets)[0]
    b = LordreMatcher()(logits, probs.float(), labels, [targets[0].float()])[0]
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_nan_names_the_image():
    probs = torch.rand(2, 3, 4)
    probs[1, 0, 0] = float('nan')
    labels, targets = [torch.tensor([0])] * 2, [torch.ones(1, 4)] * 2
    with pytest.raises(FloatingPointError, match=r'street\.jpg'):
        LordreMatcher()(torch.zeros(2, 3, 1), probs, labels, targets, ['park.jpg', 'street.jpg'])
