"""Lordre's matching, losses and results against the published way, in one process.

    python benchmarks/lordre.py [--threads 2] [--repeat 7]

The published way is written plainly here from its description: target masks are padded and
resized once for the matcher and once for the losses, every image is matched in a copy of its own;
results are resized to the padded input, cropped, and resized again, for all 100 masks.
"""
import argparse
import platform
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api
from scipy.optimize import linear_sum_assignment

import mmdet_lordre  # noqa: F401
from mmdet_lordre.lordre.head import mask_iou
from mmdet_lordre.masks import to_original_size


def median_ms(ours, theirs, repeat):
    """Median milliseconds of two functions that are called in turn."""
    times = ([], [])
    for k in range(repeat + 1):
        for function, record in zip((ours, theirs), times):
            start = time.perf_counter()
            function()
            if k:  # the first round warms up
                record.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(record) for record in times]


def ground_truth(count, size, padded, seed):
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size), np.uint8)
    ys, xs = np.mgrid[:size[0], :size[1]]
    for mask in masks:
        h, w = rng.integers(20, size[0] // 2), rng.integers(20, size[1] // 2)
        y, x = rng.integers(h // 2, size[0] - h // 2), rng.integers(w // 2, size[1] - w // 2)
        mask[((ys - y) / (h / 2))**2 + ((xs - x) / (w / 2))**2 <= 1] = 1
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, img_path='',
                                         batch_input_shape=padded))
    sample.gt_instances = InstanceData(labels=torch.from_numpy(rng.integers(0, 80, count)),
                                       masks=BitmapMasks(masks, *size))
    return sample


def published_losses(head, class_logits, objectness, mask_logits, samples):
    """Matching and losses as published."""

    def targets(sample):
        masks = sample.gt_instances.masks.pad(sample.batch_input_shape)
        masks = torch.from_numpy(masks.masks).float()
        return F.interpolate(masks[:, None], size=mask_logits.shape[-2:], mode='bilinear',
                             align_corners=False).squeeze(1).flatten(1)

    pairs = []
    with torch.no_grad():
        probs, classes = mask_logits.sigmoid().flatten(2), class_logits.sigmoid()
        for b, sample in enumerate(samples):
            t = targets(sample)
            p = probs[b]
            dice = 2 * (p @ t.t()) / ((p * p).sum(-1)[:, None] + (t * t).sum(-1) + 1e-4)
            quality = dice**0.8 * classes[b][:, sample.gt_instances.labels]**0.2
            pairs.append(linear_sum_assignment(quality.cpu(), maximize=True))
    n = max(1, sum(len(s.gt_instances) for s in samples))
    one_hot = torch.zeros_like(class_logits)
    for b, (rows, columns) in enumerate(pairs):
        one_hot[b, rows, samples[b].gt_instances.labels[columns]] = 1
    p = class_logits.sigmoid()
    ce = F.binary_cross_entropy_with_logits(class_logits, one_hot, reduction='none')
    pt = p * one_hot + (1 - p) * (1 - one_hot)
    loss_cls = ((0.25 * one_hot + 0.75 * (1 - one_hot)) * ce * (1 - pt)**2).sum()
    t = torch.cat([targets(s)[columns] for s, (_, columns) in zip(samples, pairs)])
    x = torch.cat([mask_logits[b, rows] for b, (rows, _) in enumerate(pairs)]).flatten(1)
    o = torch.cat([objectness[b, rows] for b, (rows, _) in enumerate(pairs)])
    q = x.sigmoid()
    dice = 1 - 2 * (q * t).sum(-1) / ((q * q).sum(-1) + (t * t).sum(-1) + 1e-4)
    return dict(loss_cls=2 * loss_cls / n,
                loss_mask=5 * F.binary_cross_entropy_with_logits(x, t),
                loss_dice=2 * dice.sum() / n,
                loss_objectness=F.binary_cross_entropy_with_logits(o, mask_iou(x.detach(), t)))


def compare_losses(head, images, repeat):
    size, padded = (640, 853), (640, 864)
    g = torch.Generator().manual_seed(0)
    class_logits = torch.randn(images, 100, 80, generator=g) - 3
    objectness = torch.randn(images, 100, generator=g)
    coarse = torch.randn(images, 100, 10, 14, generator=g)
    mask_logits = F.interpolate(coarse, size=(160, 216), mode='bicubic') * 4
    samples = [ground_truth(20, size, padded, k) for k in range(images)]
    instances = [s.gt_instances for s in samples]
    metas = [s.metainfo for s in samples]

    def ours():
        return head.loss_by_feat(class_logits, objectness, mask_logits, None, instances, metas)

    def theirs():
        return published_losses(head, class_logits, objectness, mask_logits, samples)

    a, b = ours(), theirs()
    for name, value in b.items():
        torch.testing.assert_close(a[name], value, rtol=1e-4, atol=1e-5)
    report(f'matching + losses, {images} x 20 instances, 640x853',
           *median_ms(ours, theirs, repeat))


def compare_results(count, repeat):
    g = torch.Generator().manual_seed(1)
    coarse = torch.randn(count, 1, 10, 14, generator=g)
    probs = F.interpolate(coarse, size=(160, 216), mode='bicubic')[:, 0].mul(4).sigmoid()

    def ours():
        return to_original_size(probs, (640, 864), (640, 853), (480, 640), 0.45)

    def theirs():
        big = F.interpolate(probs[:, None], size=(640, 864), mode='bilinear',
                            align_corners=False)[:, :, :640, :853]
        return F.interpolate(big, size=(480, 640), mode='bilinear',
                             align_corners=False).squeeze(1) > 0.45

    equal = (ours() == theirs()).float().mean().item()
    assert equal >= 0.9999, equal
    report(f'{count} masks to 480x640 (equal on {equal:.5%} of pixels)',
           *median_ms(ours, theirs, repeat))


def compare_run_lengths(count, radius, repeat):
    """Of round objects, as run lengths."""
    g = torch.Generator().manual_seed(1)
    y, x = torch.arange(160)[:, None], torch.arange(216)
    centers = torch.rand(count, 2, 1, 1, generator=g) * torch.tensor([160, 216]).view(2, 1, 1)
    probs = (radius / 4 - torch.hypot(y - centers[:, 0], x - centers[:, 1])).sigmoid()

    def ours():
        return to_original_size(probs, (640, 864), (640, 853), (480, 640), 0.45, 'rle')

    def theirs():
        big = F.interpolate(probs[:, None], size=(640, 864), mode='bilinear',
                            align_corners=False)[:, :, :640, :853]
        masks = F.interpolate(big, size=(480, 640), mode='bilinear',
                              align_corners=False).squeeze(1) > 0.45
        return [mask_api.encode(np.asfortranarray(mask)) for mask in masks.numpy().view(np.uint8)]

    differing = sum(a != b for a, b in zip(ours(), theirs()))
    assert differing <= count / 100, differing
    report(f'{count} masks of {2 * radius} px in 640x864 to run lengths at 480x640',
           *median_ms(ours, theirs, repeat))


def report(what, ours, theirs):
    print(f'| {what} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.1f} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmdet')
    head = MODELS.build(dict(type='LordreHead', num_classes=80))
    print(f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}, '
          f'median of {args.repeat}')
    print('| work | ours (ms) | published way (ms) | times faster |\n|---|---|---|---|')
    with torch.no_grad():
        compare_losses(head, 1, args.repeat)
        compare_losses(head, 4, args.repeat)
        compare_results(100, args.repeat)
        for radius in (16, 50):
            compare_run_lengths(100, radius, args.repeat)


if __name__ == '__main__':
    main()
