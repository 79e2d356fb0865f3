"""Where Lordre's time goes: ours beside a plain rendering of the published way, part by part.

    python benchmarks/lordre_parts.py [--threads 2] [--repeat 10] [--compile] [--shape 640 853]

R-50 G-IAM on one image with random weights, of which all hundred instances are kept. Plain means:
all levels are enlarged and concatenated before they are fused, mask logits are enlarged and made
probabilities for all instances, masks are resized to the padded input, cropped, and resized again.
Both have the same weights and give the same, which is checked first. They run in turn; medians.
"""
import argparse
import logging
import math
import platform
import statistics
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mmdet_lordre
from mmdet_lordre.analysis.speed import PARTS, TimedDetector
from mmdet_lordre.masks import maskness

CONFIG = (Path(mmdet_lordre.__file__).resolve().parents[1]
          / 'configs/lordre/lordre_r50_giam_8xb8-270k_coco.py')


def plain_encoder(neck, feats):
    """The encoder as published."""
    laterals = [conv(x) for conv, x in zip(neck.fpn_laterals, reversed(feats))]
    ppm, x = neck.ppm, laterals[0]
    pooled = [F.interpolate(F.relu(stage(x)), size=x.shape[2:], mode='bilinear') for stage in
              ppm.stages]
    path = F.relu(ppm.bottleneck(torch.cat([*pooled, x], dim=1)))
    outputs = [neck.fpn_outputs[0](path)]
    for lateral, conv in zip(laterals[1:], neck.fpn_outputs[1:]):
        path = lateral + F.interpolate(path, scale_factor=2, mode='nearest')
        outputs.insert(0, conv(path))
    size = outputs[0].shape[2:]
    outputs = [outputs[0]] + [F.interpolate(x, size=size, mode='bilinear') for x in outputs[1:]]
    return neck.fusion(torch.cat(outputs, dim=1))


def plain_decoder(head, x):
    """The decoder as published: class and objectness logits, mask logits at stride 4."""
    batch, _, height, width = x.shape
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width),
                            indexing='ij')
    grid = torch.stack((xs, ys)).expand(batch, -1, -1, -1)
    x = torch.cat([grid, x], dim=1)
    branch = head.inst_branch
    features = branch.inst_convs(x)
    iam = branch.iam_conv(features).sigmoid()
    iam = iam.view(batch, iam.shape[1], -1)
    instances = torch.bmm(iam, features.view(batch, features.shape[1], -1).permute(0, 2, 1))
    instances = instances / iam.sum(-1).clamp(min=1e-6)[:, :, None]
    instances = instances.reshape(batch, branch.groups, -1, instances.shape[2])
    instances = instances.transpose(1, 2).flatten(2)
    instances = F.relu(branch.fc(instances))
    kernels = branch.mask_kernel(instances)
    masks = head.mask_branch(x)
    logits = torch.bmm(kernels, masks.view(batch, masks.shape[1], -1))
    logits = logits.view(batch, -1, height, width)
    logits = F.interpolate(logits, scale_factor=2, mode='bilinear', align_corners=False)
    return branch.cls_score(instances), branch.objectness(instances), logits.sigmoid()


def plain_results(outputs, meta, cfg):
    """The post-processing as published, on probabilities."""
    class_logits, objectness, probs = outputs
    scores = torch.sqrt(class_logits.sigmoid() * objectness.sigmoid())
    scores, labels = scores[0].max(dim=-1)
    keep = scores > cfg['score_thr']
    scores, labels, probs = scores[keep], labels[keep], probs[0][keep]
    scores = scores * maskness(probs, cfg['mask_thr'])
    (height, width), original = meta['img_shape'], meta['ori_shape']
    probs = F.interpolate(probs[:, None], size=meta['batch_input_shape'], mode='bilinear',
                          align_corners=False)[:, :, :height, :width]
    probs = F.interpolate(probs, size=original, mode='bilinear', align_corners=False)
    return scores, labels, probs.squeeze(1) > cfg['mask_thr']


class Plain:
    """The four parts as published; compiled as ours are, each part of the network as a whole."""

    def __init__(self, model, compiled=False):
        self.model = model
        self.parts = [model.backbone, partial(plain_encoder, model.neck),
                      partial(plain_decoder, model.mask_head)]
        if compiled:
            self.parts = [torch.compile(part, fullgraph=True, dynamic=False)
                          for part in self.parts]

    @torch.no_grad()
    def run(self, images, metas):
        times, outputs = [time.perf_counter()], images
        for part in self.parts:
            outputs = part(outputs)
            times.append(time.perf_counter())
        found = plain_results(outputs, metas[0], self.model.mask_head.test_cfg)
        times.append(time.perf_counter())
        return found, [b - a for a, b in pairwise(times)]


def check(plain, ours):
    """Equal but for pixels whose probability is the threshold."""
    scores, labels, masks = plain
    assert torch.equal(labels, ours.labels)
    torch.testing.assert_close(scores, ours.scores, rtol=1e-3, atol=1e-4)
    assert (masks == ours.masks).float().mean() > 0.9999


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=10)
    parser.add_argument('--compile', action='store_true', help='also by torch.compile')
    parser.add_argument('--shape', type=int, nargs=2, default=(640, 853), metavar=('H', 'W'))
    parser.add_argument('--original', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)  # mmengine tells of every parameter
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIG).model
    cfg.backbone.init_cfg = None
    cfg.test_cfg = dict(cfg.get('test_cfg') or {}, mask_format='bitmap')  # both stop there
    model = MODELS.build(cfg).eval()
    model.init_weights()
    # masks that are neither empty nor full
    torch.nn.init.normal_(model.mask_head.inst_branch.mask_kernel.bias, std=1)
    size = tuple(args.shape)
    padded = tuple(math.ceil(side / 32) * 32 for side in size)
    images = torch.zeros(1, 3, *padded)
    coarse = torch.randn(1, 3, 20, 27, generator=torch.Generator().manual_seed(0))
    images[..., :size[0], :size[1]] = F.interpolate(coarse, size=size, mode='bicubic')
    metas = [dict(img_shape=size, ori_shape=tuple(args.original), batch_input_shape=padded)]

    ways = {'published way, plainly': Plain(model), 'ours': TimedDetector(model),
            'ours, fused, channels last': TimedDetector(model, fuse=True, channels_last=True)}
    if args.compile:
        ways['published way, plainly, compiled'] = Plain(model, compiled=True)
        best = dict(compiled=True, fuse=True, channels_last=True)
        ways['ours, the same compiled'] = TimedDetector(model, **best)
        ways['ours, the same compiled, Winograd'] = TimedDetector(model, winograd=True, **best)
    plain = ways['published way, plainly'].run(images, metas)[0]
    for way in list(ways.values())[1:]:
        found = way.run(images, metas)[0]
        check(plain, InstanceData(**dict(zip(('scores', 'labels', 'masks'), found)))
              if isinstance(way, Plain) else found[0])
    times = {name: [] for name in ways}
    for _ in range(args.repeat):
        for name, way in ways.items():
            times[name].append(way.run(images, metas)[1])
    print(f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}; '
          f'{size[0]}x{size[1]}, {len(plain[0])} masks to {args.original[0]}x{args.original[1]}; '
          f'ms, median of {args.repeat}')
    print(f'| | {" | ".join(PARTS)} | all but the backbone | share of the published |')
    print('|---' * (len(PARTS) + 3) + '|')
    base = None
    for name, runs in times.items():
        parts = [1e3 * statistics.median(values) for values in zip(*runs)]
        rest = 1e3 * statistics.median(sum(run[1:]) for run in runs)
        base = base or rest
        print(f'| {name} | ' + ' | '.join(f'{part:.0f}' for part in parts)
              + f' | {rest:.0f} | {rest / base:.2f} |')


if __name__ == '__main__':
    main()
