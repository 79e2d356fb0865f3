"""Losses and results of the Lordre head."""
import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS

from mmdet_lordre.lordre.head import mask_iou
from mmdet_lordre.masks import RLEMasks

from .conftest import make_head, make_sample


def test_mask_iou_by_hand():
    logits = torch.tensor([[9., 9, -9, -9], [-9, -9, -9, -9]])
    targets = torch.tensor([[1., 0.5, 0.75, 0], [0, 0, 0, 0]])
    # predicted {0, 1}, true {0, 2}: one of three
    assert mask_iou(logits, targets).tolist() == pytest.approx([1 / 3, 0])


def plain_losses(head, features, samples):
    """The losses written as the paper states them, image by image."""
    class_logits, objectness, mask_logits, _ = head(features)
    total = sum(len(s.gt_instances) for s in samples)
    n = max(total, 1)
    targets_of, cls_target = [], torch.zeros_like(class_logits)
    bce, dice, obj, matched = 0., 0., 0., 0
    for b, s in enumerate(samples):
        gt = s.gt_instances
        masks = gt.masks.pad(s.batch_input_shape).to_tensor(torch.float32, 'cpu')
        if not len(gt):
            continue
        t = F.interpolate(masks[None], size=mask_logits.shape[-2:], mode='bilinear',
                          align_corners=False)[0].flatten(1)
        targets_of.append(t)
        p = mask_logits[b].flatten(1).sigmoid()
        quality = [[(2 * (p[i] @ t[j]) / (p[i] @ p[i] + t[j] @ t[j] + 1e-4))**0.8
                    * class_logits[b, i, gt.labels[j]].sigmoid()**0.2
                    for j in range(len(t))] for i in range(len(p))]
        from scipy.optimize import linear_sum_assignment
        rows, columns = linear_sum_assignment(torch.tensor(quality).numpy(), maximize=True)
        for i, j in zip(rows, columns):
            cls_target[b, i, gt.labels[j]] = 1
            x = mask_logits[b, i].flatten()
            bce += F.binary_cross_entropy_with_logits(x, t[j])
            dice += 1 - 2 * (p[i] @ t[j]) / (p[i] @ p[i] + t[j] @ t[j] + 1e-4)
            obj += F.binary_cross_entropy_with_logits(objectness[b, i],
                                                      mask_iou(x[None], t[j][None])[0])
            matched += 1
    p = class_logits.sigmoid()
    focal = -(0.25 * (1 - p)**2 * p.log() * cls_target
              + 0.75 * p**2 * (1 - p).log() * (1 - cls_target)).sum()
    m = max(matched, 1)
    return dict(loss_cls=2 * focal / n, loss_mask=5 * bce / m, loss_dice=2 * dice / n,
                loss_objectness=obj / m)


@pytest.mark.parametrize('counts', [(2, 3), (0, 4), (0, 0), (9, 1)])
def test_losses_as_stated(features, counts):
    head = make_head()
    samples = [make_sample(n, seed=k) for k, n in enumerate(counts)]
    ours = head.loss(features, copy.deepcopy(samples))
    theirs = plain_losses(head, features, samples)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert float(ours[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-6), name
    sum(ours.values()).backward()
    missing = [n for n, p in head.named_parameters() if p.grad is None]
    assert not missing, 'distributed training waits for these for ever'
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


@pytest.mark.parametrize('padded', [(64, 96), (70, 101)])
def test_targets_of_other_strides(features, padded):
    """A padded size that the logits do not divide takes the general resize."""
    head = make_head()
    samples = [make_sample(2, padded=padded), make_sample(1, padded=padded, seed=1)]
    theirs = plain_losses(head, features, samples)
    ours = head.loss(features, samples)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert float(value) == pytest.approx(float(theirs[name]), rel=1e-4), name


def test_losses_do_not_depend_on_the_order_of_instances(features):
    head = make_head()
    samples = [make_sample(4), make_sample(3, seed=1)]
    plain = head.loss(features, copy.deepcopy(samples))
    for s in samples:
        s.gt_instances = s.gt_instances[torch.arange(len(s.gt_instances)).flip(0)]
    for name, value in head.loss(features, samples).items():
        assert float(value) == pytest.approx(float(plain[name]), rel=1e-5)


def test_losses_in_half_precision(features):
    head = make_head(normalization='softmax')
    samples = [make_sample(4), make_sample(3, seed=1)]
    full = head.loss(features, copy.deepcopy(samples))
    with torch.autocast('cpu', torch.bfloat16):
        half = head.loss(features, samples)
    for name, value in half.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(full[name]), rel=0.05)


def test_nan_stops_with_the_image(features):
    head = make_head()
    bad = (features[0].clone().index_fill_(0, torch.tensor([1]), float('nan')), )
    with pytest.raises(FloatingPointError, match=r'image1\.jpg'):
        head.loss(bad, [make_sample(2), make_sample(2, seed=1)])


def plain_results(head, features, samples):
    class_logits, objectness, mask_logits, _ = head(features)
    cfg, found = head.test_cfg, []
    for b, s in enumerate(samples):
        scores, labels = (class_logits[b].sigmoid()
                          * objectness[b].sigmoid()[:, None]).sqrt().max(1)
        keep = scores > cfg['score_thr']
        p = mask_logits[b][keep].sigmoid()
        inside = p > cfg['mask_thr']
        scores = scores[keep] * (p * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
        big = F.interpolate(p[None], size=s.batch_input_shape, mode='bilinear')[0]
        big = big[:, :s.img_shape[0], :s.img_shape[1]]
        masks = F.interpolate(big[None], size=s.ori_shape, mode='bilinear')[0] > cfg['mask_thr']
        found.append((scores, labels[keep], masks))
    return found


@pytest.mark.parametrize('mask_format', ['bitmap', 'rle'])
@torch.no_grad()
def test_results_as_stated(features, mask_format):
    head = make_head(test_cfg=dict(mask_format=mask_format, score_thr=0.3)).eval()
    samples = [make_sample(0), make_sample(0, seed=1)]
    results = head.predict(features, samples, rescale=True)
    plain = plain_results(head, features, samples)
    for got, (scores, labels, masks) in zip(results, plain, strict=True):
        assert 0 < len(got) < 7
        assert torch.allclose(got.scores, scores, atol=1e-6)
        assert torch.equal(got.labels, labels)
        decoded = got.masks
        if mask_format == 'rle':
            assert isinstance(decoded, RLEMasks)
            decoded = torch.from_numpy(decoded.astype(bool))
        assert (decoded == masks).float().mean() >= 0.9999
        for mask, box in zip(decoded, got.bboxes):
            if mask.any():
                ys, xs = mask.nonzero(as_tuple=True)
                assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@torch.no_grad()
def test_results_options(features):
    samples = [make_sample(0), make_sample(0, seed=1)]
    head = make_head(test_cfg=dict(score_thr=0.0, max_per_img=2, activation_maps=True)).eval()
    result = head.predict(features, samples)[0]
    assert len(result) == 2 and result.masks.shape == (2, 60, 90)
    assert result.activation_maps.shape == (2, 8, 12)
    assert result.activation_maps.min() >= 0 and result.activation_maps.max() <= 1
    every = make_head(test_cfg=dict(score_thr=0.0)).eval().predict(features, samples)[0]
    assert torch.allclose(result.scores, every.scores.topk(2).values)
    for most in (0, -1):
        every_too = make_head(test_cfg=dict(score_thr=0.0, max_per_img=most)).eval()
        assert torch.equal(every_too.predict(features, samples)[0].scores, every.scores)
    none = make_head(test_cfg=dict(score_thr=1.0)).eval().predict(features, samples, rescale=True)
    assert len(none[0]) == 0 and none[0].masks.shape == (0, 120, 180)


def test_unknown_test_cfg():
    with pytest.raises(ValueError, match='nms_thr'):
        make_head(test_cfg=dict(nms_thr=0.5))


@torch.no_grad()
def test_permuting_the_batch_permutes_results(features):
    head = make_head(test_cfg=dict(score_thr=0.0)).eval()
    samples = [make_sample(0), make_sample(0, seed=1)]
    plain = head.predict(features, samples)
    swapped = head.predict((features[0].flip(0), ), samples[::-1])
    assert torch.allclose(plain[0].scores, swapped[1].scores, atol=1e-5)


def test_compile_has_no_graph_break(features):
    head = make_head().eval()
    explained = torch._dynamo.explain(head.decode)(features)
    assert explained.graph_break_count == 0
    torch._dynamo.reset()


def test_the_head_on_another_backbone_and_neck():
    """The shipped example of a head in a config with other parts."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    cfg = Config.fromfile('configs/lordre/lordre_mobilenetv2_fpn_giam_coco.py')
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    assert model.backbone.__class__.__name__ == 'MobileNetV2'
    samples = [make_sample(2), make_sample(0, seed=1)]
    losses = model.loss(torch.randn(2, 3, 64, 96), copy.deepcopy(samples))
    assert all(torch.isfinite(v) for v in losses.values())
    with torch.no_grad():
        results = model.predict(torch.randn(2, 3, 64, 96), samples)
    assert all(r.pred_instances.masks.shape[1:] == (120, 180) for r in results)
