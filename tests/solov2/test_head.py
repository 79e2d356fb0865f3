"""The head by itself: levels, kernels, deformable convolutions, degenerate batches, formats."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401
from mmdet_lordre.errors import UserError
from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.solov2 import SOLOv2FeatureBranch
from mmdet_lordre.solov2 import head as head_module
from mmdet_lordre.solov2 import predict as predict_module
from tests.parity.fill import ellipse_instances

HEIGHT, WIDTH = 64, 96
TEST_CFG = dict(nms_pre=50, score_thr=0.1, mask_thr=0.5, filter_thr=0.02, kernel='gaussian',
                sigma=2.0, max_per_img=20)


def build(levels=3, seed=0, **settings):
    torch.manual_seed(seed)
    config = dict(type='SOLOv2KernelHead', num_classes=4, in_channels=16, feat_channels=16,
                  stacked_convs=2, strides=(8, 8, 16, 32)[:levels],
                  num_grids=(12, 8, 6, 4)[:levels],
                  scale_ranges=((1, 24), (16, 40), (32, 64), (48, 256))[:levels],
                  norm_cfg=dict(type='GN', num_groups=4),
                  mask_feature_head=dict(feat_channels=16, out_channels=8, end_level=levels - 1,
                                         norm_cfg=dict(type='GN', num_groups=4)),
                  test_cfg=TEST_CFG)
    head = MODELS.build(config | settings)
    head.init_weights()
    for parameter in head.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel()**-0.5)
    torch.nn.init.normal_(head.conv_kernel.weight, std=0.1)
    torch.nn.init.constant_(head.conv_cls.bias, -2.0)
    return head


def pyramid(levels=3, batch=2, channels=16):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, channels, -(-HEIGHT // s), -(-WIDTH // s), generator=generator)
            for s in (4, 8, 16, 32)[:levels]]


def samples(counts=(3, 2)):
    result = []
    for image, count in enumerate(counts):
        boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
        masks = np.zeros((0, HEIGHT, WIDTH), np.uint8)
        if count:
            boxes, labels, masks = ellipse_instances(f'head/{image}', HEIGHT, WIDTH, count, 4)
        sample = DetDataSample(metainfo=dict(
            img_shape=(HEIGHT - 4, WIDTH), ori_shape=(2 * HEIGHT - 8, 2 * WIDTH),
            batch_input_shape=(HEIGHT, WIDTH)))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
            masks=BitmapMasks(masks, HEIGHT, WIDTH))
        result.append(sample)
    return result


def train_step(head, feats, batch):
    losses = head.loss(feats, batch)
    sum(losses.values()).backward()
    return losses


@pytest.mark.parametrize('levels', [1, 2, 3, 4])
def test_any_number_of_levels(levels):
    head = build(levels)
    losses = train_step(head, pyramid(levels), samples())
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert all(parameter.grad is not None for parameter in head.parameters())
    kernels, logits, features = head.eval()(pyramid(levels))
    assert [k.shape for k in kernels] == [(2, 8, s, s) for s in head.num_grids]
    assert [c.shape for c in logits] == [(2, 4, s, s) for s in head.num_grids]
    assert features.shape == (2, 8, HEIGHT // 4, WIDTH // 4)
    with pytest.raises(UserError, match=rf'built for {levels} of 16: set model\.neck\.num_outs='):
        head(pyramid(levels) * 2)


def test_a_branch_of_more_levels_than_the_head():
    with pytest.raises(ValueError, match='end_level=3, but the last level of the head is 2'):
        build(3, mask_feature_head=dict(feat_channels=16, out_channels=8, norm_cfg=None))


def test_odd_sizes_of_the_pyramid():
    head = build(4)
    feats = [torch.randn(1, 16, h, w) for h, w in ((13, 25), (7, 13), (4, 7), (2, 4))]
    assert head(feats)[2].shape == (1, 8, 13, 25)


@pytest.mark.parametrize('deformed', ['DCN', 'DCNv2'])
@pytest.mark.parametrize('everywhere', [True, False])
def test_deformable_convolutions(deformed, everywhere):
    head = build(dcn_cfg=dict(type=deformed), dcn_apply_to_all_conv=everywhere)
    names = [name for name, _ in head.named_modules() if name.endswith('conv_offset')]
    wanted = [f'{tower}.{i}.conv.conv_offset' for tower in ('cls_convs', 'kernel_convs')
              for i in ((0, 1) if everywhere else (1,))]
    assert sorted(names) == wanted
    train_step(head, pyramid(), samples())


def test_deformable_branch_and_offsets_start_at_zero():
    config = dict(in_channels=8, feat_channels=8, out_channels=8, end_level=1,
                  conv_cfg=dict(type='DCNv2'), norm_cfg=dict(type='GN', num_groups=4))
    branch = SOLOv2FeatureBranch(**config)
    branch.init_weights()
    offsets = [m for name, m in branch.named_modules() if name.endswith('conv_offset')]
    assert len(offsets) == 3
    assert not any(p.any() for m in offsets for p in m.parameters())
    weights = torch.cat([c.conv.weight.flatten() for convs in branch.convs_all_levels
                         for c in convs])
    assert 0.008 < weights.std() < 0.012


def test_initial_weights():
    head = MODELS.build(dict(type='SOLOv2KernelHead', num_classes=4, in_channels=16,
                             feat_channels=32, mask_feature_head=dict(feat_channels=32,
                                                                      out_channels=32)))
    head.init_weights()
    for module in (head.cls_convs[1].conv, head.kernel_convs[0].conv, head.conv_kernel,
                   head.conv_cls, head.mask_feature_head.convs_all_levels[3].conv1.conv):
        assert 0.009 < module.weight.std() < 0.011
    torch.testing.assert_close(head.conv_cls.bias.sigmoid(), torch.full((4,), 0.01))


def test_three_by_three_kernels():
    head = build(dynamic_conv_size=3)
    assert head.conv_kernel.out_channels == 8 * 9
    train_step(head, pyramid(), samples())
    x = pyramid()
    kernels, _, features = head(x)
    masks = predict_module.dynamic_masks(kernels[0][0].flatten(1).t()[:5], features[0], 3)
    weight = kernels[0][0].flatten(1).t()[2].view(8, 3, 3)
    padded = torch.nn.functional.pad(features[0], (1, 1, 1, 1))
    assert torch.allclose(masks[2, 4, 6], (padded[:, 4:7, 6:9] * weight).sum(), atol=1e-4)
    results = head.eval().predict(x, samples(), rescale=True)
    assert all(len(result) for result in results)


def test_other_mask_losses_run_in_chunks_too(monkeypatch):
    plain = build(loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0))
    naive = build(loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0,
                                 naive_dice=True))
    assert train_step(naive, pyramid(), samples())['loss_mask'] > 0
    # mmdet's loss module, forced through the general path, equals the fused one
    wanted = train_step(plain, pyramid(), samples())
    gradient = plain.conv_kernel.weight.grad.clone()
    plain.zero_grad()
    plain.dynamic_conv_size = 1
    monkeypatch.setattr(head_module, 'DiceLoss', type('Other', (), {}))
    monkeypatch.setattr(head_module, 'chunk_size', lambda *args, **kwargs: 4)
    got = train_step(plain, pyramid(), samples())
    torch.testing.assert_close(got['loss_mask'], wanted['loss_mask'])
    torch.testing.assert_close(plain.conv_kernel.weight.grad, gradient, rtol=1e-4, atol=1e-6)


def test_normalizers():
    batch = samples((3, 0))
    gt = batch[0].gt_instances
    # the same object twice: pairs are doubled, cells are not
    batch[0].gt_instances = InstanceData(bboxes=gt.bboxes.repeat(2, 1), labels=gt.labels.repeat(2),
                                         masks=gt.masks[np.array([0, 1, 2] * 2)])
    pairs = build(mask_normalizer='pairs').loss(pyramid(), batch)
    cells = build(mask_normalizer='cells').loss(pyramid(), batch)
    torch.testing.assert_close(2 * pairs['loss_mask'], cells['loss_mask'])
    torch.testing.assert_close(pairs['loss_cls'], cells['loss_cls'])


@pytest.mark.parametrize('size', [1, 3])
def test_a_batch_without_objects_trains(size):
    head = build(dynamic_conv_size=size)
    losses = train_step(head, pyramid(), samples((0, 0)))
    assert losses['loss_mask'] == 0 and losses['loss_cls'] > 0
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_an_object_outside_all_ranges_has_no_pair():
    head = build(scale_ranges=((1000, 2000),) * 3)
    assert head.loss(pyramid(), samples())['loss_mask'] == 0


def test_order_of_objects_does_not_matter_to_the_mask_loss():
    head = build()
    batch = samples((6, 0))
    plain = head.loss(pyramid(), batch)
    gt = batch[0].gt_instances
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    batch[0].gt_instances = InstanceData(bboxes=gt.bboxes[order], labels=gt.labels[order],
                                         masks=gt.masks[order.numpy()])
    torch.testing.assert_close(head.loss(pyramid(), batch)['loss_mask'], plain['loss_mask'])


def test_targets_made_in_the_workers_give_the_same_losses():
    head = build()
    plain = head.loss(pyramid(), samples())
    batch = samples()
    transform = TRANSFORMS.build(dict(type='GridMaskTargets'))
    for sample in batch:
        gt = sample.gt_instances
        gt.masks = transform(dict(gt_masks=gt.masks))['gt_masks'].pad((HEIGHT, WIDTH))
    for name, loss in head.loss(pyramid(), batch).items():
        assert torch.equal(loss, plain[name])


def test_run_lengths_equal_bitmaps_and_boxes_are_tight():
    head = build().eval()
    x, batch = pyramid(), samples()
    with torch.no_grad():
        bitmaps = head.predict(x, batch, rescale=True)
        head.test_cfg.mask_format = 'rle'
        run_lengths = head.predict(x, batch, rescale=True)
    for a, b in zip(bitmaps, run_lengths, strict=True):
        assert len(a) == len(b) > 3 and isinstance(b.masks, RLEMasks)
        assert a.masks.shape[1:] == (2 * HEIGHT - 8, 2 * WIDTH)
        assert np.array_equal(a.masks.numpy(), b.masks.to_ndarray())
        assert torch.equal(a.bboxes, b.bboxes)
        for mask, box in zip(a.masks, a.bboxes, strict=True):
            ys, xs = mask.nonzero(as_tuple=True)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_rescale_off_gives_masks_of_the_network_input():
    results = build().eval().predict(pyramid(), samples(), rescale=False)
    assert results[0].masks.shape[1:] == (HEIGHT - 4, WIDTH)


def test_chunks_do_not_change_predictions(monkeypatch):
    head = build().eval()
    whole = head.predict(pyramid(), samples(), rescale=True)
    monkeypatch.setattr(predict_module, 'chunk_size', lambda *args, **kwargs: 5)
    parts = head.predict(pyramid(), samples(), rescale=True)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.scores, b.scores)
        assert torch.equal(a.labels, b.labels)
        assert (a.masks == b.masks).float().mean() > 0.9999


@pytest.mark.parametrize('mask_format', ['bitmap', 'rle'])
def test_nothing_found(mask_format):
    head = build().eval()
    head.test_cfg.mask_format = mask_format
    for threshold in ('score_thr', 'filter_thr'):
        head.test_cfg[threshold] = 1.0
        for result in head.predict(pyramid(), samples(), rescale=True):
            assert len(result.scores) == len(result.labels) == len(result.masks) == 0
            assert result.bboxes.shape == (0, 4) and result.labels.dtype == torch.long
            assert result.masks.shape == (0, 2 * HEIGHT - 8, 2 * WIDTH)
        head.test_cfg[threshold] = 0.02


def test_not_a_number_is_not_an_object():
    head = build().eval()
    feats = [level * float('nan') for level in pyramid()]
    assert all(len(result) == 0 for result in head.predict(feats, samples(), rescale=True))


def test_bfloat16_autocast_trains_and_predicts():
    head = build()
    with torch.autocast('cpu', torch.bfloat16):
        losses = train_step(head, pyramid(), samples())
    reference = build().loss(pyramid(), samples())
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, reference[name], rtol=0.05, atol=0.02)
    head.eval()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        results = head.predict(pyramid(), samples(), rescale=True)
    assert all(result.scores.dtype == torch.float32 and len(result) for result in results)


def test_half_precision_outputs_are_processed_in_float32():
    head = build().eval()
    with torch.no_grad():
        outputs = head(pyramid())
        metas = [sample.metainfo for sample in samples()]
        plain = head.predict_by_feat(*outputs, metas)
        halves = ([k.half() for k in outputs[0]], [c.half() for c in outputs[1]],
                  outputs[2].half())
        losses = head.loss_by_feat(*halves, [sample.gt_instances for sample in samples()])
        half = head.predict_by_feat(*halves, metas)
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    torch.testing.assert_close(half[0].scores[:3], plain[0].scores[:3], rtol=0.02, atol=0.02)


def test_network_part_compiles():
    head = build().eval()
    compiled = torch.compile(head.forward, backend='eager', fullgraph=True)
    for ours, theirs in zip(compiled(pyramid()), head(pyramid()), strict=True):
        for a, b in zip([*ours], [*theirs], strict=True):
            torch.testing.assert_close(a, b)


def test_contradictory_settings_are_refused():
    with pytest.raises(ValueError, match='3, 3 and 2 levels'):
        build(num_grids=(4, 4))
    with pytest.raises(ValueError, match='mask_normalizer'):
        build(mask_normalizer='mean')
    with pytest.raises(ValueError, match='dynamic_conv_size'):
        build(dynamic_conv_size=2)
    with pytest.raises(ValueError, match='in_channels=8'):
        build(mask_feature_head=dict(in_channels=8, feat_channels=8, out_channels=8))
    with pytest.raises(ValueError, match='end_level'):
        SOLOv2FeatureBranch(8, 8, 8, start_level=2, end_level=1)
