"""Our head beside mmdet's, on the same weights and data."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401
from tests.parity.fill import ellipse_instances

HEIGHT, WIDTH, CLASSES = 128, 160, 12
SETTINGS = dict(
    num_classes=CLASSES, in_channels=32, feat_channels=32, stacked_convs=2,
    strides=[8, 8, 16, 32, 32], pos_scale=0.2, num_grids=[40, 36, 24, 16, 12], cls_down_index=0,
    scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
    mask_feature_head=dict(feat_channels=32, start_level=0, end_level=3, out_channels=32,
                           mask_stride=4,
                           norm_cfg=dict(type='GN', num_groups=32, requires_grad=True)),
    loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
    loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    test_cfg=dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                  sigma=2.0, max_per_img=100))


def build(kind, **settings):
    return MODELS.build(ConfigDict(type=kind, **SETTINGS) | ConfigDict(settings)).eval()


@pytest.fixture(scope='module')
def heads():
    """mmdet's head with lively weights, and ours with its state dict."""
    torch.manual_seed(0)
    theirs = build('SOLOV2Head')
    for parameter in theirs.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel()**-0.5)
    torch.nn.init.normal_(theirs.conv_kernel.weight, std=0.05)
    torch.nn.init.constant_(theirs.conv_cls.bias, -3.5)
    ours = build('SOLOv2KernelHead', mask_normalizer='cells')
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def pyramid(batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(HEIGHT // s, WIDTH // s) for s in (4, 8, 16, 32, 64)]
    coarse = [torch.randn(batch, 32, h // 2 + 1, w // 2 + 1, generator=generator)
              for h, w in sizes]
    return [torch.nn.functional.interpolate(c, size, mode='bilinear')
            for c, size in zip(coarse, sizes, strict=True)]


def samples(counts, name='x'):
    result = []
    for image, count in enumerate(counts):
        if count:
            boxes, labels, masks = ellipse_instances(f'{name}/{image}', HEIGHT, WIDTH, count,
                                                     CLASSES)
        else:
            boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
            masks = np.zeros((0, HEIGHT, WIDTH), np.uint8)
        sample = DetDataSample(metainfo=dict(
            img_shape=(HEIGHT - 6, WIDTH), ori_shape=(2 * HEIGHT - 12, 2 * WIDTH),
            batch_input_shape=(HEIGHT, WIDTH), pad_shape=(HEIGHT, WIDTH)))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
            masks=BitmapMasks(masks, HEIGHT, WIDTH))
        result.append(sample)
    return result


def test_outputs_are_equal(heads):
    x = pyramid()
    for ours, theirs in zip(heads[0](x), heads[1](x), strict=True):
        for a, b in zip([*ours], [*theirs], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def near_boundary(truths, grids, sigma=0.2):
    """Whether an edge of a ground truth's region lies within rounding of a cell boundary."""
    half = 0.5 * (truths.boxes[:, 2:] - truths.boxes[:, :2]) * sigma
    centers = truths.centers(torch.float64)
    extent = torch.tensor([WIDTH, HEIGHT])
    edges = torch.stack((centers - half, centers, centers + half), 1) / extent
    cells = edges[..., None] * torch.tensor(grids)
    return ((cells - cells.round()).abs() < 1e-4).flatten(1).any(1)


@pytest.mark.parametrize('counts', [(0, 0), (1, 0), (20, 3), (300, 1)])
def test_targets_are_equal(heads, counts):
    ours, theirs = heads
    batch = samples(counts)
    size = (HEIGHT // 4, WIDTH // 4)
    truths, targets = ours.targets([s.gt_instances for s in batch], size, 'cpu')
    doubtful = near_boundary(truths, ours.num_grids)
    assert doubtful.float().mean() < 0.1 or not sum(counts)
    plain = [theirs._get_targets_single(s.gt_instances, featmap_sizes=size) for s in batch]
    start = first = 0
    doubtful_cells = torch.zeros(len(targets.labels), dtype=torch.bool)
    doubtful_cells[targets.cells[doubtful[targets.gts]]] = True
    for level, grid in enumerate(ours.num_grids):
        for image, (masks, labels, _, positions) in enumerate(plain):
            part = slice(start, start + grid**2)
            # a doubtful ground truth may move by a cell
            unsure = doubtful_cells[part].view(1, 1, grid, grid).float()
            unsure = torch.nn.functional.max_pool2d(unsure, 3, 1, 1)[0, 0] > 0
            mine = targets.labels[part].view(grid, grid)
            assert torch.equal(mine[~unsure], labels[level][~unsure])
            pairs = (targets.levels == level) & (targets.images == image)
            mine = targets.positions[pairs].tolist()
            if not doubtful[truths.images == image].any():
                assert mine == positions[level]
                got = truths.masks[4][targets.gts[pairs]]
                assert torch.equal(got, masks[level].bool())
            else:
                assert abs(len(mine) - len(positions[level])) <= 9 * int(doubtful.sum())
            start += grid**2
            first += len(mine)
    assert first == len(targets.cells) and (first > 0) == (sum(counts) > 0)


def unambiguous(counts):
    """Samples without a ground truth within rounding of a cell boundary."""
    head = build('SOLOv2KernelHead')
    batch = samples(counts)
    for sample in batch:
        gt = sample.gt_instances
        truths, _ = head.targets([gt], (HEIGHT // 4, WIDTH // 4), 'cpu')
        keep = ~near_boundary(truths, head.num_grids)
        sample.gt_instances = InstanceData(bboxes=gt.bboxes[keep], labels=gt.labels[keep],
                                           masks=gt.masks[keep.numpy()])
    return batch


@pytest.mark.parametrize('counts', [(0, 0), (1, 0), (20, 3), (300, 0)])
def test_losses_and_gradients_are_equal(heads, counts):
    ours, theirs = heads
    x = pyramid()
    grads = []
    results = []
    for head in (ours, theirs):
        feats = [level.clone().requires_grad_() for level in x]
        head.zero_grad()
        losses = head.loss(feats, unambiguous(counts))
        sum(losses.values()).backward()
        results.append(losses)
        grads.append([*(level.grad for level in feats),
                      *(p.grad for p in head.parameters() if p.grad is not None)])
    for name in ('loss_mask', 'loss_cls'):
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-5, atol=1e-6)
    if not any(counts):
        assert results[0]['loss_mask'] == 0
        return
    assert results[0]['loss_mask'] > 0.1
    for mine, wanted in zip(*grads, strict=True):
        scale = wanted.abs().max().item()
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-5 * max(1, scale))


@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
def test_predictions_are_equal(heads, kernel):
    ours, theirs = heads
    batch = samples((1, 1))
    for head in heads:
        head.test_cfg.kernel = kernel
    try:
        x = pyramid(seed=3)
        with torch.no_grad():
            mine = ours.predict(x, batch, rescale=True)
            wanted = theirs.predict(x, batch, rescale=True)
    finally:
        for head in heads:
            head.test_cfg.kernel = 'gaussian'
    for a, b in zip(mine, wanted, strict=True):
        assert len(b) > 20
        torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-5)
        assert torch.equal(a.labels, b.labels)
        assert a.masks.shape == b.masks.shape
        assert (a.masks == b.masks).float().mean() > 0.9999


def test_one_image_as_mmdet_calls_it(heads):
    """``_predict_by_feat_single``, which programs that are built on mmdet's head call."""
    ours = heads[0]
    meta = samples((1,))[0].metainfo
    generator = torch.Generator().manual_seed(5)
    cells = sum(grid**2 for grid in ours.num_grids)
    kernels = torch.randn(cells, 32, generator=generator)
    scores = torch.rand(cells, CLASSES, generator=generator) ** 40
    features = torch.nn.functional.interpolate(
        torch.randn(1, 32, 6, 8, generator=generator), (HEIGHT // 4, WIDTH // 4), mode='bilinear')
    for part in (slice(None), slice(0)):
        mine, wanted = (head._predict_by_feat_single(
            kernel_preds=kernels[part], cls_scores=scores[part].clone(), mask_feats=features,
            img_meta=meta) for head in heads)
        assert len(mine) == len(wanted) and (len(wanted) > 20) == (part.stop is None)
        assert mine.masks.shape == wanted.masks.shape
        torch.testing.assert_close(mine.scores, wanted.scores, rtol=1e-4, atol=1e-5)
        assert torch.equal(mine.labels, wanted.labels.long())
        assert (mine.masks == wanted.masks).float().mean() > 0.9999 or not len(mine)
    # settings may be left out, as everywhere
    found = ours._predict_by_feat_single(kernels[:0], scores[:0], features, meta,
                                         cfg=ConfigDict(score_thr=0.1, mask_thr=0.5))
    assert isinstance(found, InstanceData) and not len(found)
