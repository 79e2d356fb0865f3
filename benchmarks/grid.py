"""SOLOv2's targets, Matrix NMS, memory and training step beside mmdet's, in one process.

    python benchmarks/grid.py                       # all four, about ten minutes on two CPU cores
    python benchmarks/grid.py targets nms           # some of them

Inputs and weights are the same on both sides, and the answers are checked equal before anything
is timed. The least time of a few runs counts. Memory on the CPU is the peak of the resident set
above what was held before the run; on a GPU, the peak of what is allocated there.
"""
import argparse
import logging
import warnings
from functools import partial

import torch
from grid_common import (
    build_heads,
    build_model,
    peak_bytes,
    pyramid,
    random_instances,
    sample_of,
    seconds,
    share_of,
)
from mmdet.models.layers import mask_matrix_nms
from mmdet.registry import TRANSFORMS

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.grid import matrix_nms

HEIGHT, WIDTH = 800, 1344
STRIDE = 4


def check_targets(targets, truths, theirs, grids):
    """Labels and pairs equal, except for single cells where rounding decides at a boundary."""
    mask_targets, labels, _, positions = theirs
    ours = targets.labels.split([grid**2 for grid in grids])
    moved = sum(int((a != b.flatten()).sum()) for a, b in zip(ours, labels, strict=True))
    count = sum(len(part) for part in positions)
    assert moved <= 0.01 * count and abs(len(targets.cells) - count) <= 0.01 * count, 'targets'
    for level, masks in enumerate(mask_targets):
        pairs = targets.levels == level
        if targets.positions[pairs].tolist() == positions[level]:
            assert torch.equal(truths.masks[STRIDE][targets.gts[pairs]], masks.bool()), 'masks'
    return moved, count


def bench_targets(device):
    print(f'\nTargets of an image of {HEIGHT} x {WIDTH}')
    print('instances  pairs  moved    mmdet      ours   ratio   with masks shrunk by the workers')
    ours, theirs = build_heads(device, narrow=True)
    size = (HEIGHT // STRIDE, WIDTH // STRIDE)
    shrink = TRANSFORMS.build(dict(type='GridMaskTargets'))
    for count in (7, 20, 50, 100):
        gt = sample_of(random_instances(count, HEIGHT, WIDTH), HEIGHT, WIDTH, device).gt_instances
        small = gt.clone()
        small.masks = shrink(dict(gt_masks=gt.masks))['gt_masks'].pad((HEIGHT, WIDTH))

        def our_targets(gt=gt):
            return ours.targets([gt], size, device)

        def their_targets(gt=gt):
            return theirs._get_targets_single(gt, featmap_sizes=size)

        truths, targets = our_targets()
        moved, pairs = check_targets(targets, truths, their_targets(), ours.num_grids)
        slow = seconds(their_targets, device, 3)
        fast = seconds(our_targets, device, 15)
        rest = seconds(partial(our_targets, small), device, 15)
        print(f'{count:9d} {pairs:6d} {moved:6d} {1e3 * slow:6.1f} ms {1e3 * fast:6.2f} ms '
              f'{slow / fast:6.1f}x   {1e3 * rest:.2f} ms, {slow / rest:.0f}x')


def bench_nms(device):
    print('\nMatrix NMS of masks of 200 x 336')
    print('classes  masks    mmdet       ours   ratio')
    for classes in (80, 1):
        for count in (100, 300, 500):
            masks, labels, scores = random_masks(count, classes, device)
            areas = masks.sum((1, 2)).float()
            options = dict(nms_pre=500, filter_thr=0.05, max_num=100, sigma=2.0)

            def theirs(masks=masks, labels=labels, scores=scores, areas=areas, options=options):
                return mask_matrix_nms(masks, labels, scores, mask_area=areas, **options)

            def ours(masks=masks, labels=labels, scores=scores, areas=areas, options=options):
                return matrix_nms(masks, labels, scores, areas, **options)

            wanted, got = theirs(), ours()
            torch.testing.assert_close(got[0], wanted[0], rtol=1e-4, atol=1e-5)
            assert torch.equal(got[2], wanted[3]), 'kept masks'
            slow, fast = seconds(theirs, device, 7), seconds(ours, device, 15)
            print(f'{classes:7d} {count:6d} {1e3 * slow:6.1f} ms {1e3 * fast:7.2f} ms '
                  f'{slow / fast:6.1f}x')


def random_masks(count, classes, device):
    """Overlapping rectangles, as a head's candidates overlap."""
    generator = torch.Generator().manual_seed(count + classes)
    centers = torch.rand(count // 4, 4, generator=generator).repeat(5, 1)[:count]
    centers += 0.03 * torch.randn(count, 4, generator=generator)
    x, y, w, h = centers.abs().clamp(0.02, 0.98).unbind(1)
    ys, xs = torch.linspace(0, 1, 200), torch.linspace(0, 1, 336)
    masks = (((xs - x[:, None]).abs() < 0.3 * w[:, None])[:, None, :]
             & ((ys - y[:, None]).abs() < 0.3 * h[:, None])[:, :, None])
    labels = torch.randint(classes, (count,), generator=generator)
    return (part.to(device) for part in (masks, labels, torch.rand(count, generator=generator)))


def bench_memory(device):
    print(f'\nHead of width 512, {HEIGHT} x {WIDTH}, batch 1: forward, losses, backward')
    print('instances     mmdet      ours   ratio     mmdet      ours')
    heads = dict(zip(('ours', 'mmdet'), build_heads(device), strict=True))
    feats = pyramid(HEIGHT, WIDTH, device)
    for count in (10, 100, 300):
        instances = random_instances(count, HEIGHT, WIDTH)
        peaks, times, losses = {}, {}, {}
        for name, head in heads.items():
            def step(head=head, name=name, instances=instances, losses=losses):
                result = head.loss(feats, [sample_of(instances, HEIGHT, WIDTH, device)])
                sum(result.values()).backward()
                losses[name] = {key: value.detach() for key, value in result.items()}

            def clean(head=head):
                head.zero_grad(set_to_none=True)
                for level in feats:
                    level.grad = None

            peaks[name], times[name] = peak_bytes(step, device)
            clean()
        for key in ('loss_mask', 'loss_cls'):
            # targets may differ by a cell at a boundary
            torch.testing.assert_close(losses['ours'][key], losses['mmdet'][key], rtol=1e-2,
                                       atol=0)
        print(f"{count:9d} {peaks['mmdet'] / 1e6:6.0f} MB {peaks['ours'] / 1e6:6.0f} MB "
              f"   1/{peaks['mmdet'] / peaks['ours']:.2f} {times['mmdet']:7.1f} s "
              f"{times['ours']:7.1f} s")


def bench_iteration(device):
    print('\nTraining step of SOLOv2 R-50, batch 1 of 512 x 512, 20 instances')
    print('          step    targets and losses')
    size = 512
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2)).to(device)
    for name, kind in (('mmdet', 'SOLOV2Head'), ('ours', 'SOLOv2KernelHead')):
        model = build_model(kind, device)

        def step(model=model):
            model.zero_grad(set_to_none=True)
            sample = sample_of(random_instances(20, size, size), size, size, device)
            sum(model.loss(image, [sample]).values()).backward()

        total, part = share_of(model.mask_head, 'loss_by_feat', step, device)
        print(f'{name:5s} {total:7.2f} s {1e3 * part:10.1f} ms, {100 * part / total:.1f} %')


BENCHMARKS = dict(targets=bench_targets, nms=bench_nms, memory=bench_memory,
                  iteration=bench_iteration)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='*', help=f'of {", ".join(BENCHMARKS)}; all if not given')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    unknown = set(args.what) - set(BENCHMARKS)
    if unknown:
        parser.error(f'unknown: {", ".join(sorted(unknown))}; known: {", ".join(BENCHMARKS)}')
    logging.disable(logging.INFO)
    warnings.filterwarnings('ignore')
    where = args.device if args.device == 'cpu' else torch.cuda.get_device_name()
    print(f'{where}, {torch.get_num_threads()} threads, torch {torch.__version__}')
    for name in args.what or BENCHMARKS:
        BENCHMARKS[name](args.device)


if __name__ == '__main__':
    main()
