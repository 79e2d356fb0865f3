"""What both heads find, against the published algorithm, and what must not change it."""
import copy

import pytest
import torch

from mmdet_lordre.aggmask import selected
from mmdet_lordre.masks import RLEMasks
from tests.aggmask import published

from .test_heads import HEADS, SIZE, make_feats, make_head, make_sample


@pytest.mark.parametrize('kind', HEADS)
class TestPredict:
    def test_equals_all_maps(self, kind):
        """Every detection's mask is that of a cell fused from all maps, at full size."""
        head, feats = make_head(kind).eval(), make_feats(1)
        with torch.no_grad():
            result = head.predict(feats, [make_sample(0)], rescale=False)[0]
            _, mask_feats, kernels, table, context = head(feats)
            maps = published.all_maps(head, mask_feats, kernels)
            weights = published.all_weights(head, table)
            every = torch.cat([
                published.resize(published.fuse(
                    head, maps[level][0], context[0], weights[level][0],
                    torch.arange(grid**2), level).sigmoid(), maps[0].shape[-2:])
                for level, grid in enumerate(head.num_grids)])
            full = published.resize(every, SIZE) > .5
        assert 5 < len(result) <= 100
        assert (result.scores.diff() <= 0).all() and (result.scores >= .05).all()
        # pixels that differ, by products: a + b - 2ab
        ours, full = result.masks.flatten(1).float(), full.flatten(1).float()
        wrong = ours.sum(1)[:, None] + full.sum(1) - 2 * ours @ full.t()
        assert (wrong.amin(1) < .001 * ours.shape[1]).all()

    def test_chunks_do_not_matter(self, kind, monkeypatch):
        head, feats, samples = make_head(kind), make_feats(), [make_sample(0), make_sample(1)]
        with torch.no_grad():
            whole = head.predict(feats, samples, rescale=True)
            monkeypatch.setattr(selected, 'chunk_size', lambda *args, **kwargs: 3)
            parts = head.predict(feats, samples, rescale=True)
        for a, b in zip(whole, parts, strict=True):
            # more than one chunk
            assert len(a) > 3
            torch.testing.assert_close(a.scores, b.scores)
            assert torch.equal(a.labels, b.labels)
            assert (a.masks == b.masks).float().mean() > .9999

    def test_fewer_held_than_found(self, kind):
        """More cells than nms_pre: the best are computed again, with the same answer."""
        head, feats, samples = make_head(kind), make_feats(1), [make_sample(0)]
        with torch.no_grad():
            whole = head.predict(feats, samples)[0]
            head.test_cfg.nms_pre = 20
            few = head.predict(feats, samples)[0]
            head.test_cfg.nms_pre = -1
            assert len(head.predict(feats, samples)[0]) == len(whole)
        assert 0 < len(few) <= 20
        # the best is decayed by nothing in either
        torch.testing.assert_close(few.scores[0], whole.scores[0])
        assert torch.equal(few.masks[0], whole.masks[0])

    def test_sizes_boxes_and_run_lengths(self, kind):
        head, feats, samples = make_head(kind), make_feats(), [make_sample(0), make_sample(1)]
        with torch.no_grad():
            small, large = (head.predict(feats, samples, rescale=r) for r in (False, True))
            head.test_cfg.mask_format = 'rle'
            runs = head.predict(feats, samples, rescale=True)
        for a, b, c in zip(small, large, runs, strict=True):
            assert a.masks.shape[1:] == SIZE and b.masks.shape[1:] == (256, 320)
            assert isinstance(c.masks, RLEMasks)
            assert (c.masks.to_ndarray() == b.masks.numpy()).all()
            assert torch.equal(b.bboxes, c.bboxes) and len(b) >= 3
            for mask, box in zip(b.masks[:3], b.bboxes[:3], strict=True):
                ys, xs = mask.nonzero(as_tuple=True)
                assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]

    def test_maps_to_show(self, kind):
        head, feats = make_head(kind), make_feats(1)
        head.test_cfg.neighbor_maps = True
        with torch.no_grad():
            result = head.predict(feats, [make_sample(0)])[0]
            _, mask_feats, kernels, *_ = head(feats)
            maps = published.all_maps(head, mask_feats, kernels)
        assert result.neighbor_maps.shape == (len(result), 5, *maps[0].shape[-2:])
        for shown, cells in zip(result.neighbor_maps, result.neighbor_cells, strict=True):
            found = [published.resize(
                level[0].unflatten(0, (side, side))[cells[:, 0], cells[:, 1]], shown.shape[1:])
                for level, side in zip(maps, head.mask_grids, strict=True)
                if cells.max() < side]
            assert min((shown - other).abs().max() for other in found) < 1e-4

    @pytest.mark.parametrize('deformable', [False, True])
    @pytest.mark.parametrize('levels', [(0, 1, 2, 3), (4,), (0,), ()])
    def test_maps_to_show_of_levels_that_find_nothing(self, kind, deformable, levels):
        head = make_head(kind, deformable=deformable)
        head.test_cfg.update(neighbor_maps=True, filter_thr=0, mask_thr=0)
        metas = [dict(img_shape=SIZE, ori_shape=SIZE)]
        with torch.no_grad():
            logits, *others = head(make_feats(1))
            logits = [torch.full_like(level, -9) for level in logits]
            for level in levels:
                logits[level][0, 0, 2, 2] = 4
            result, = head.predict_by_feat(logits, *others, batch_img_metas=metas)
        assert len(result) == len(levels)
        assert result.neighbor_maps.shape == (len(levels), 5, SIZE[0] // 4, SIZE[1] // 4)

    def test_images_do_not_mix(self, kind):
        head, feats, samples = make_head(kind), make_feats(), [make_sample(0), make_sample(1)]
        with torch.no_grad():
            both = head.predict(feats, samples)
            swapped = head.predict([f.flip(0) for f in feats], samples)
        for a, b in zip(both, swapped[::-1], strict=True):
            assert len(a) > 0
            torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-5)
            assert (a.masks == b.masks).float().mean() > .9999

    def test_nothing_found(self, kind):
        head = make_head(kind)
        torch.nn.init.constant_(head.solo_cate.bias, -50)
        with torch.no_grad():
            for mask_format in ('bitmap', 'rle'):
                head.test_cfg.mask_format = mask_format
                result = head.predict(make_feats(1), [make_sample(0)], rescale=True)[0]
                assert len(result.scores) == len(result.masks) == len(result.bboxes) == 0
                assert tuple(result.masks.shape[1:]) == (256, 320)

    def test_nan_finds_nothing(self, kind):
        feats = [torch.full_like(f, float('nan')) for f in make_feats(1)]
        with torch.no_grad():
            assert len(make_head(kind).predict(feats, [make_sample(0)])[0]) == 0

    def test_half_precision(self, kind):
        head, feats = make_head(kind), make_feats(1)
        with torch.no_grad():
            full = head.predict(feats, [make_sample(0)])[0]
            half = copy.deepcopy(head).bfloat16().predict(
                [f.bfloat16() for f in feats], [make_sample(0)])[0]
        assert half.scores.dtype == torch.float32
        assert abs(len(half) - len(full)) <= .3 * len(full)
        torch.testing.assert_close(half.scores[0], full.scores[0], rtol=.1, atol=.05)

    def test_odd_sizes(self, kind):
        """An input that is no multiple of 32: nothing fails, masks have the image's size."""
        feats = [torch.randn(1, 32, *s) for s in ((25, 33), (13, 17), (7, 9), (4, 5), (2, 3))]
        sample = make_sample(0, 2, (100, 132))
        head = make_head(kind)
        with torch.no_grad():
            result = head.predict(feats, [sample], rescale=False)[0]
        assert result.masks.shape[1:] == (100, 132)
        assert torch.isfinite(head.loss(feats, [sample])['loss_mask'])
