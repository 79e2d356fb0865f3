"""Classes read off the true regions."""
import math

import pytest
import torch

from mmdet_lordre.lordre import RegionClassifier, region_owners

from .conftest import make_head, make_sample


def test_owner_covers_most_and_the_smaller_of_equals_wins():
    large = torch.tensor([[1., 1, 1, 0.25]])
    small = torch.tensor([[0., 1, 0.5, 0.5]])
    other = torch.tensor([[0., 0, 0, 1.]])
    owners = region_owners([torch.stack([large, small]), torch.zeros(0, 1, 4), other[None]])
    assert owners.tolist() == [[[0, 1, 0, 1]], [[-1] * 4], [[-1, -1, -1, 2]]]


def test_losses_by_hand():
    task = RegionClassifier(1, 2, hidden_channels=1, pooled_weight=3., dense_weight=5.)
    with torch.no_grad():
        for layer in (task.pooled[0], task.pooled[2], task.dense):
            layer.bias.zero_()
        task.pooled[0].weight.copy_(torch.tensor([[1., 10.]]))   # mean + 10 max
        task.pooled[2].weight.copy_(torch.tensor([[1.], [0.]]))
        task.dense.weight.copy_(torch.tensor([[0.], [1.]]))
    features = torch.tensor([[[[0., 1, 2, 9]]]])
    coverage = torch.tensor([[[0.5, 1, 0, 0]], [[0, 0, 1, 0]]])
    losses = task(features, [coverage], [torch.tensor([0, 1])])
    # pooled logits (mean + 10 max, 0): 0.5 + 10 = 10.5 for class 0, 2 + 20 = 22 for class 1
    pooled = (math.log1p(math.exp(-10.5)) + 22 + math.log1p(math.exp(-22))) / 2
    # pixel logits (0, value): classes 0, 0 at values 0, 1, and class 1 at 2
    pixels = ((math.log(2) + math.log(1 + math.e)) / 2 + math.log1p(math.exp(-2))) / 2
    assert losses['loss_region'].item() == pytest.approx(3 * pooled, rel=1e-5)
    assert losses['loss_region_dense'].item() == pytest.approx(5 * pixels, rel=1e-5)
    assert losses['acc_region'].item() == 50


def test_ground_truths_without_a_pixel_are_left_out_and_none_at_all_trains():
    torch.manual_seed(0)
    task, features = RegionClassifier(4, 3), torch.randn(1, 4, 2, 3)
    seen = torch.rand(1, 2, 3) + 0.1
    alone = task(features, [seen], [torch.tensor([1])])
    with_unseen = task(features, [torch.cat([seen, torch.zeros(1, 2, 3)])],
                       [torch.tensor([1, 2])])
    assert alone == with_unseen
    nothing = task(features, [torch.zeros(0, 2, 3)], [torch.zeros(0, dtype=torch.long)])
    sum(value for key, value in nothing.items() if 'loss' in key).backward()
    assert all(p.grad is not None and not p.grad.any() for p in task.parameters())


def test_order_of_ground_truths_is_of_no_matter():
    torch.manual_seed(0)
    task, features = RegionClassifier(4, 3), torch.randn(1, 4, 6, 6)
    coverage, labels = torch.rand(5, 6, 6), torch.tensor([0, 1, 2, 0, 1])
    turned = torch.tensor([3, 1, 4, 0, 2])
    for key, value in task(features, [coverage], [labels]).items():
        again = task(features, [coverage[turned]], [labels[turned]])[key]
        assert again.item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize('counts', [(2, 3), (0, 0)])
def test_in_the_head_it_trains_and_leaves_predictions_alone(features, counts):
    head = make_head(region_classifier=dict(hidden_channels=8),
                     loss_matched_cls=dict(type='CrossEntropyLoss', loss_weight=2.))
    samples = [make_sample(n, seed=i) for i, n in enumerate(counts)]
    losses = head.loss(features, samples)
    assert set(losses) == {'loss_cls', 'loss_mask', 'loss_dice', 'loss_objectness',
                           'loss_matched_cls', 'loss_region', 'loss_region_dense', 'acc_region'}
    if sum(counts):
        assert losses['loss_matched_cls'] > 0 and losses['loss_region'] > 0
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert all(p.grad is not None for p in head.parameters())
    plain = make_head()
    plain.load_state_dict({k: v for k, v in head.state_dict().items()
                           if not k.startswith('region_classifier')})
    for one, other in zip(plain(features), head(features)):
        assert torch.equal(one, other)
