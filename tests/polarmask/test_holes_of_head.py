"""The head that learns where rays begin behind a hole, and draws what it learned."""
import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_lordre.polarmask import InstanceContours, polar_targets
from mmdet_lordre.visualization import PICTURE_MODES

from .test_head import META, build, confident, features, finite, sample
from .test_holes import ring


def with_hole(head, share, points=((3, 4), (6, 9))):
    """Discs of which the first has rays that begin after a share of their length."""
    outputs = confident(head, points)
    rays = outputs[2][0]
    rays[:, 36:] = -9
    row, column = points[0]
    rays[0, 36:, row, column] = math.log(share / (1 - share))
    return outputs


class TestHead:
    def test_one_convolution_more(self):
        plain, holed = build(), build(holes=True)
        names = {name for name, _ in holed.named_parameters()}
        assert names - {name for name, _ in plain.named_parameters()} == {
            'polar_hole.weight', 'polar_hole.bias'}
        holed.load_state_dict(plain.state_dict(), strict=False)
        for ours, theirs in zip(holed(features()), plain(features())):
            for a, b in zip(ours, theirs):
                assert torch.equal(a[:, :b.shape[1]], b)
        assert holed(features())[2][0].shape[1] == 72

    def test_of_what_targets_say_the_loss_is_least(self):
        head = build(holes=True)
        data = [sample(ring(20, 12)[None])]
        outputs = [[level.detach() for level in kind] for kind in head(features(1))]
        sizes = [tuple(level.shape[-2:]) for level in outputs[0]]
        targets = head.targets([data[0].gt_instances], sizes)
        assert 0.4 < targets.shares.max() < 0.8 and len(targets.positives)

        def loss(logits):
            flat = torch.zeros(sum(h * w for h, w in sizes), 36)
            flat[targets.positives] = logits
            for level, part in zip(outputs[2], flat.split([h * w for h, w in sizes])):
                level[0, 36:] = part.t().reshape(36, *level.shape[-2:])
            return head.loss_by_feat(*outputs, [data[0].gt_instances], [META])['loss_hole']

        best = loss(targets.shares.logit(eps=1e-4))
        for other in (targets.shares + 0.1, targets.shares - 0.1):
            assert loss(other.clamp(0, 1).logit(eps=1e-4)) > best

    @pytest.mark.parametrize('case', ['none', 'gone', 'pixel', 'ring', 'whole'])
    def test_hard_images_train(self, case):
        pixel = np.zeros((64, 96), np.uint8)
        pixel[20, 20] = 1
        masks = dict(none=np.zeros((0, 64, 96)), gone=np.zeros((1, 64, 96)), pixel=pixel[None],
                     ring=ring(20, 12)[None], whole=np.ones((1, 64, 96)))[case]
        head = build(holes=True)
        boxes = torch.tensor([[16., 16, 30, 30]]) if case == 'pixel' else None
        losses = head.loss(features(), [sample(masks, boxes), sample(ring(9, 3)[None])])
        assert 'loss_hole' in losses
        finite(losses)
        head.zero_grad()
        finite(head.loss(features(1), [sample(masks, boxes)]))
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())

    def test_contours_of_the_loader_give_the_same(self):
        plain = sample(np.stack([ring(20, 12), ring(9, 0, (20, 40))]))
        ready = InstanceData(**{key: plain.gt_instances[key] for key in ('bboxes', 'labels')},
                             masks=InstanceContours.from_masks(plain.gt_instances.masks, True))
        head = build(holes=True)
        first, second = (head.targets([gt], [(8, 12), (4, 6)])
                         for gt in (plain.gt_instances, ready))
        assert torch.equal(first.shares, second.shares) and first.shares.any()
        assert polar_targets([ready], [(8, 12), (4, 6)], head.strides, head.regress_ranges, 5,
                             head.coder).shares is None

    @pytest.mark.parametrize('mask_format', ['bitmap', 'rle'])
    @pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
    def test_a_ring_and_a_disc(self, mask_format, fill):
        head = build(holes=True)
        found, = head.predict_by_feat(
            *with_hole(head, 0.5), [META], rescale=True,
            cfg=dict(mask_format=mask_format, fill=fill))
        filled, = build().predict_by_feat(
            *confident(build()), [META], rescale=True, cfg=dict(fill=fill))
        masks = found.masks.to_ndarray() if mask_format == 'rle' else found.masks.numpy()
        np.testing.assert_array_equal(masks[1], filled.masks[1].numpy())
        cut = filled.masks[0].numpy() & (masks[0] == 0)
        # a radius of 12 px in the input is 6 in the original image
        assert not masks[0, 14, 18] and abs(cut.sum() - np.pi * 3**2) < 14
        torch.testing.assert_close((found.holes[0] - found.centers[0]).norm(dim=1),
                                   torch.full((36,), 3.))
        assert torch.equal(found.holes[1], found.centers[1].expand(36, 2))
        torch.testing.assert_close(found.contours, filled.contours)

    def test_a_part_too_small_to_count(self):
        head = build(holes=True)
        for share, threshold, drawn in ((0.3, 0.4, False), (0.5, 0.4, True)):
            found, = head.predict_by_feat(*with_hole(head, share), [META], rescale=True,
                                          cfg=dict(hole_thr=threshold))
            assert bool(found.masks[0, 14, 18]) != drawn

    def test_numbers_that_are_none(self):
        head = build(holes=True)
        for bad in (torch.nan, torch.inf):
            outputs = with_hole(head, 0.5)
            outputs[2][0][0, :36, 3, 4] = bad
            found, = head.predict_by_feat(*outputs, [META], rescale=True)
            assert found.holes.isfinite().all() and len(found) == 2

    def test_images_of_a_batch_do_not_mix(self):
        head = build(holes=True, test_cfg=dict(score_thr=0.0, nms_pre=20, hole_thr=0.0))
        both = head.predict_by_feat(*head(features()), [META] * 2, rescale=True)
        for i in range(2):
            alone, = head.predict_by_feat(*head(tuple(f[i:i + 1] for f in features())), [META],
                                          rescale=True)
            torch.testing.assert_close(both[i].holes, alone.holes, rtol=1e-4, atol=1e-3)

    def test_nothing_found(self):
        head = build(holes=True)
        found, = head.predict_by_feat(*with_hole(head, 0.5), [META], rescale=True,
                                      cfg=dict(score_thr=1.0))
        assert found.holes.shape == (0, 36, 2) and found.masks.shape == (0, 32, 46)

    def test_the_picture_of_rays(self):
        head = build(holes=True)
        found = DetDataSample(metainfo=META)
        found.pred_instances, = head.predict_by_feat(*with_hole(head, 0.6), [META], rescale=True)
        picture = PICTURE_MODES['rays'].draw(np.zeros((32, 46, 3), np.uint8), found, ['a', 'b'],
                                             None)
        factor = picture.shape[0] // 32

        def painted(x):
            at = slice(int(factor * (x + 0.4)), int(factor * (x + 0.6)) + 1)
            return picture[int(factor * 14.3):int(factor * 14.7), at].any()

        # a center, nothing up to 3.6 px from it, and rays from there on
        assert painted(18) and not painted(20) and painted(23)

    def test_the_network_compiles_as_one_graph(self):
        head = build(holes=True)
        compiled = torch.compile(head.forward, fullgraph=True, backend='eager')
        for ours, plain in zip(compiled(features()), head(features())):
            for a, b in zip(ours, plain):
                torch.testing.assert_close(a, b)


@pytest.mark.parametrize('settings, said', [
    (dict(exact_rays=True, ray_search=8), 'ray_search'),
    (dict(holes=True, wrap_angles=True), 'wrap_angles'),
    (dict(loss_hole=dict(type='CrossEntropyLoss', use_sigmoid=True)), 'loss_hole'),
    (dict(exact_rays=True, test_cfg=dict(hole_thr=0.2)), 'hole_thr'),
    (dict(holes=True, test_cfg=dict(hole_thr=2)), 'hole_thr')])
def test_settings_without_effect_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        build(**settings)
