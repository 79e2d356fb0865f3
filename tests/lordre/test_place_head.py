"""Lordre with queries that come from places: losses, results, degenerate images."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS

from mmdet_lordre.lordre import place_head
from mmdet_lordre.lordre.place_targets import beside, places_of
from mmdet_lordre.lordre.places import at_places, pool
from mmdet_lordre.masks import RLEMasks

from .conftest import make_head as make_any_head
from .conftest import make_sample


def make_head(**kwargs):
    return make_any_head(**(dict(
        type='LordrePlaceHead', kernel_dim=6, groups=None, num_queries=7) | kwargs))


def sample(count, **kwargs):
    made = make_sample(count, **kwargs)
    boxes = made.gt_instances.masks.get_bboxes('hbox').tensor
    made.gt_instances.bboxes = boxes
    return made


@pytest.fixture
def features():
    g = torch.Generator().manual_seed(3)
    return (torch.randn(2, 8, 16, 24, generator=g), )


def by_instance(head, features, samples):
    """The losses of masks, classes and objectness, one instance at a time."""
    branch = head.place_branch
    maps, masks = branch.inst_convs(features[0]), head.mask_branch(features[0])
    sums = dict(loss_mask=0, loss_dice=0, loss_cls=0, loss_objectness=0)
    count = sum(len(s.gt_instances) for s in samples)
    for b, s in enumerate(samples):
        coverage = head._targets(s.gt_instances, s.metainfo, maps.shape[-2:], 'cpu')
        coverage = coverage.unflatten(1, maps.shape[-2:])
        places = places_of(coverage, s.gt_instances.bboxes, 4)
        for spots in (places, beside(places, maps.shape[-2:])):
            for (x, y), target, label in zip(spots, coverage, s.gt_instances.labels):
                cell = (y * maps.shape[-1] + x).view(1, 1)
                feature = maps[b:b + 1]
                drawn = branch.draw(branch.kernels(feature, cell, head.radius),
                                    branch.bases(masks[b:b + 1]))
                p, logits = drawn.sigmoid(), drawn[0, 0]
                sums['loss_mask'] += F.binary_cross_entropy_with_logits(
                    logits, target, reduction='sum') / (target.sum() + 1) / (2 * count)
                dice = 2 * (p[0, 0] * target).sum() / (
                    p.square().sum() + target.square().sum() + 1e-4)
                sums['loss_dice'] += 2 * (1 - dice) / (2 * count)
                own, quality = branch.tell(at_places(feature, cell), pool(feature, p))
                true, _ = branch.tell(at_places(feature, cell),
                                      pool(feature, target[None, None]))
                for found in (own, true):
                    sums['loss_cls'] += F.cross_entropy(found[0], label[None]) / (4 * count)
                inside, true = p[0, 0] >= 0.4, target > 0.5
                iou = (inside & true).sum() / ((inside | true).sum() + 1e-6)
                sums['loss_objectness'] += F.binary_cross_entropy_with_logits(
                    quality[0, 0], iou) / (2 * count)
    return sums


def test_losses_are_those_of_each_instance(features):
    head = make_head()
    samples = [sample(4), sample(2, seed=1)]
    losses = head.loss(features, copy.deepcopy(samples))
    for name, value in by_instance(head, features, samples).items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-3), name


def test_the_place_loss_falls_where_places_are_right(features):
    head = make_head()
    samples = [sample(3), sample(1, seed=1)]
    coverage = [head._targets(s.gt_instances, s.metainfo, (16, 24), 'cpu').unflatten(1, (16, 24))
                for s in samples]
    right = torch.full((2, 16, 24), -9.)
    for b, (part, s) in enumerate(zip(coverage, samples)):
        for x, y in places_of(part, s.gt_instances.bboxes, 4):
            right[b, y, x] = 9
    losses = []
    for logits in (right, -right, torch.zeros_like(right)):
        head.place_branch.place_logits = lambda _, logits=logits: logits
        losses.append(float(head.loss(features, copy.deepcopy(samples))['loss_place']))
    assert losses[0] < 0.01 < losses[2] < losses[1]


@pytest.mark.parametrize('counts', [(0, 0), (0, 3), (1, 0), (40, 2)])
def test_every_parameter_learns(features, counts):
    head = make_head(region_classifier=dict(hidden_channels=8))
    total = sum(v for k, v in head.loss(features, [
        sample(count, seed=k) for k, count in enumerate(counts)]).items() if 'loss' in k)
    total.backward()
    assert total.isfinite()
    for name, parameter in head.named_parameters():
        if not name.startswith('region_classifier') or any(counts):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('options', [{}, dict(mask_upsample=2, crop_size=8)])
def test_gradients_have_the_order_of_the_maps_in_memory(features, options):
    """Maps whose gradients come in two orders take ten times as long to add."""
    head = make_head(region_classifier=dict(hidden_channels=8), **options)
    samples = [sample(4), sample(2, seed=1)]
    maps = [head.place_branch.inst_convs(features[0]).detach(),
            head.mask_branch(features[0]).detach()]
    found = {}
    for order in (torch.contiguous_format, torch.channels_last):
        leaves = [part.clone(memory_format=order).requires_grad_() for part in maps]
        # a leaf's own gradient is put in its order
        passed = [part * 1 for part in leaves]
        for part in passed:
            part.register_hook(lambda gradient, order=order: found.setdefault(order, []).append(
                gradient.is_contiguous(memory_format=order)))
        losses = head.loss_by_feat(*passed, [s.gt_instances for s in copy.deepcopy(samples)],
                                   [s.metainfo for s in samples])
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        found[order, 'gradients'] = [part.grad for part in leaves]
    assert all(found[torch.channels_last]) and len(found[torch.channels_last]) == 2
    for one, two in zip(*(found[order, 'gradients']
                          for order in (torch.contiguous_format, torch.channels_last))):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_losses_do_not_depend_on_the_order_of_instances(features):
    head = make_head()
    samples = [sample(4), sample(3, seed=1)]
    plain = head.loss(features, copy.deepcopy(samples))
    for s in samples:
        s.gt_instances = s.gt_instances[torch.arange(len(s.gt_instances)).flip(0)]
    for name, value in head.loss(features, samples).items():
        assert float(value) == pytest.approx(float(plain[name]), rel=1e-5)


def test_losses_in_half_precision(features):
    head = make_head()
    samples = [sample(4), sample(3, seed=1)]
    full = head.loss(features, copy.deepcopy(samples))
    with torch.autocast('cpu', torch.bfloat16):
        half = head.loss(features, samples)
    for name, value in half.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(full[name]), rel=0.1), name


@pytest.mark.parametrize('upsample', [1, 2])
@torch.no_grad()
def test_results_as_stated(features, upsample):
    head = make_head(mask_upsample=upsample,
                     test_cfg=dict(mask_format='rle', score_thr=0.05)).eval()
    samples = [sample(0), sample(0, seed=1)]
    class_logits, objectness, mask_logits, maps = head.decode(features)
    assert class_logits.shape == (2, 7, 3) and objectness.shape == (2, 7, 2)
    assert mask_logits.shape == maps.shape == (2, 7, 16, 24)
    for b, got in enumerate(head.predict(features, samples, rescale=True)):
        scores, labels = (class_logits[b].softmax(1) * objectness[b].sigmoid().prod(
            1, keepdim=True)).sqrt().max(1)
        keep = scores > 0.05
        p = head.upsample(mask_logits[b:b + 1])[0, keep].sigmoid()
        inside = p > 0.45
        sure = (p * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
        assert len(got) and torch.allclose(got.scores, scores[keep] * sure, atol=1e-6)
        assert torch.equal(got.labels, labels[keep])
        assert isinstance(got.masks, RLEMasks) and len(got.masks) == keep.sum()


@torch.no_grad()
def test_fewer_maxima_than_queries(features):
    """Slots without a place have no score, and no result comes from them."""
    head = make_head(num_queries=10**6, test_cfg=dict(score_thr=1e-6)).eval()
    class_logits, objectness, *_ = head.decode(features)
    assert class_logits.shape[1] == 16 * 24
    empty = objectness[..., 0] == -1e4
    assert empty.any() and (head.scores(class_logits, objectness)[empty] == 0).all()
    found = head.predict(features, [sample(0), sample(0, seed=1)])
    assert [len(one) for one in found] == (~empty).sum(1).tolist()


def test_compile_has_no_graph_break(features):
    head = make_head().eval()
    assert torch._dynamo.explain(head.decode)(features).graph_break_count == 0
    torch._dynamo.reset()


def test_it_learns_one_image():
    """Two squares alike on a dark ground: found, apart, each with its class."""
    torch.manual_seed(0)
    head = MODELS.build(dict(
        type='LordrePlaceHead', num_classes=2, in_channels=3, channels=16, depth=2,
        num_queries=10, kernel_dim=4, norm_cfg=dict(type='GN', num_groups=4)))
    head.init_weights()
    one = sample(2, size=(64, 96))
    masks = one.gt_instances.masks.masks
    masks[:] = 0
    masks[0, 8:28, 8:28] = masks[1, 32:56, 56:84] = 1
    one.gt_instances.bboxes = one.gt_instances.masks.get_bboxes('hbox').tensor
    one.gt_instances.labels = torch.tensor([0, 1])
    one.set_metainfo(dict(ori_shape=(64, 96)))
    image = F.avg_pool2d(torch.from_numpy(masks.sum(0)).float()[None, None], 4)
    image = (image + 0.1 * torch.randn(1, 3, 16, 24), )
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        losses = head.loss(image, [copy.deepcopy(one)])
        sum(losses.values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = head.eval().predict(image, [one])[0]
    found = found[found.scores > 0.35]
    assert sorted(found.labels.tolist()) == [0, 1]
    for label, mask in zip(found.labels, found.masks):
        true = torch.from_numpy(masks[label].astype(bool))
        assert (mask & true).sum() / (mask | true).sum() > 0.8


@pytest.mark.parametrize('counts', [(4, 2), (0, 3), (1, 1, 0, 1, 1, 1, 1, 1, 1, 1)])
def test_many_objects_are_drawn_in_pieces(features, counts, monkeypatch):
    """Losses and gradients of a bounded number of objects at a time are those of all at once."""
    head = make_head(region_classifier=dict(hidden_channels=8))
    samples = [sample(count, seed=k) for k, count in enumerate(counts)]
    features = tuple(part.repeat(len(counts) // 2, 1, 1, 1) for part in features)
    found = []
    for together in (2**25, 2 * 8 * 16 * 24, 1):
        monkeypatch.setattr(place_head, '_TOGETHER', together)
        head.zero_grad()
        losses = head.loss(features, copy.deepcopy(samples))
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        found.append((losses, {k: p.grad.clone() for k, p in head.named_parameters()}))
    for other in found[1:]:
        torch.testing.assert_close(found[0][0], other[0])
        # sums of float32 in another order; a piece left out or counted twice changes far more
        torch.testing.assert_close(found[0][1], other[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('upsample', [1, 2])
def test_masks_of_all_objects_are_kept_as_bytes(features, upsample, monkeypatch):
    head, kept = make_head(crop_size=32, mask_upsample=upsample), []
    losses = head._instance_losses

    def spy(*args):
        kept.extend(part.dtype for part in [*args[4], *args[5]])
        return losses(*args)
    monkeypatch.setattr(head, '_instance_losses', spy)
    head.loss(features, [sample(4), sample(2, seed=1)])
    assert kept == [torch.uint8] * 4


def test_pieces():
    """All together, images in groups, or one image in parts."""
    whole = slice(None)
    assert place_head._pieces([4, 2, 0, 3], 10, 320) == [(whole, whole)]
    assert place_head._pieces([4, 2, 0, 3], 10, 319) == [
        (slice(0, 1), slice(0, 3)), (slice(0, 1), slice(3, 6)), (slice(1, 2), slice(0, 3)),
        (slice(3, 4), slice(0, 3))]
    assert place_head._pieces([1] * 5, 10, 99) == [(slice(k, k + 1), slice(0, 1)) for k in range(5)]
    assert place_head._pieces([1] * 9 + [2], 10, 160) == [
        (slice(k, k + 2), slice(0, 2)) for k in (0, 2, 4, 6)] + [
        (slice(8, 9), slice(0, 2)), (slice(9, 10), slice(0, 2))]


@pytest.mark.parametrize('upsample', [1, 2])
def test_points_that_are_all_pixels_give_the_same_losses(features, upsample):
    found = []
    for crop_size in (None, 160):
        head = make_head(crop_size=crop_size, mask_upsample=upsample)
        losses = head.loss(features, [sample(4), sample(2, seed=1)])
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        found.append((losses, {k: p.grad for k, p in head.named_parameters()}))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-3, atol=3e-4)
    for name, grad in found[0][1].items():
        # sums in another order: their rounding is that of their largest parts
        assert (grad - found[1][1][name]).abs().max() <= 2e-5 * grad.abs().max(), name
