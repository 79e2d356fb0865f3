"""AggMask's heads side by side with the published way, in one process, with equal answers.

    python benchmarks/aggmask.py [--size 512] [--device cpu] [training] [aggregation] [blocks]

training     forward + loss + backward of both heads with 20 and 100 instances: time and peak
             memory, against all S^2 maps of every level, then gather, stack and fuse.
aggregation  what aggregation adds to SOLOv2 with the same branches on the same features: time of
             training and of inference, of the head and of a model with a ResNet-50.
blocks       forward + loss + backward of the heads of the examples on the embedded shapes, in
             bfloat16 on a CPU: the fusion in blocks against grouped convolutions, and what
             numbers next to zero cost.
"""
import argparse
import copy
import resource
import statistics
import sys
from functools import partial
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.logging import MMLogger

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from grid_common import peak_bytes, pyramid, random_instances, sample_of, seconds

from mmdet_lordre.aggmask import mask_losses
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.training.denormals import denormals_are_zero
from tests.aggmask import published

MIB = 2**20
TEST_CFG = dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                sigma=2.0, max_per_img=100)


def make_head(kind, device):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=kind, num_classes=80, test_cfg=TEST_CFG))
    head.init_weights()
    return head.to(device)


def backward(losses):
    total = sum(losses.values())
    total.backward()
    return float(total.detach())


def clear(head, feats):
    head.zero_grad(set_to_none=True)
    for feat in feats:
        feat.grad = None


def bench_training(size, device):
    print(f'\nForward + loss + backward, {size}x{size}, one image\n'
          'head             instances  positive cells   published          ours'
          '               ratio')
    for kind in ('AggMaskHead', 'AggMaskStarHead'):
        head, feats = make_head(kind, device), pyramid(size, size, device)
        for count in (20, 100):
            sample = sample_of(random_instances(count, size, size), size, size, device)

            def ours(head=head, feats=feats, sample=sample):
                clear(head, feats)
                return backward(head.loss(feats, [sample]))

            def theirs(head=head, feats=feats, sample=sample):
                clear(head, feats)
                return backward(published.loss(head, feats, [sample]))

            a, b = ours(), theirs()
            assert abs(a - b) < 1e-4 * abs(b), f'losses differ: {a} and {b}'
            clear(head, feats)
            rows = [(seconds(run, device, 2), peak_bytes(run, device)[0])
                    for run in (theirs, ours)]
            clear(head, feats)
            cells = positive_cells(head, feats, sample)
            text = '   '.join(f'{time:5.2f} s {peak / MIB:6.0f} MiB' for time, peak in rows)
            (t0, m0), (t1, m1) = rows
            print(f'{kind:16} {count:9} {cells:15}   {text}   {t0 / t1:4.1f}x time '
                  f'{m0 / m1:4.1f}x memory', flush=True)


def positive_cells(head, feats, sample):
    with torch.no_grad():
        groups = head.map_groups(head(feats)[1])
    levels = [published.targets(head, sample.to('cpu').gt_instances, level, groups,
                                tuple(4 * side for side in groups[0].size))[1]
              for level in range(len(head.num_grids))]
    return sum(map(len, levels))


def make_plain(star):
    """SOLOv2 with the branches of AggMask*: no context, no weights, no fusion."""
    head = MODELS.build(dict(
        type='SOLOv2KernelHead', num_classes=80, in_channels=256, feat_channels=256,
        stacked_convs=4, mask_feature_head=dict(
            feat_channels=256, start_level=0, end_level=3, out_channels=256, mask_stride=4,
            norm_cfg=dict(type='GN', num_groups=32, requires_grad=True)),
        test_cfg=copy.deepcopy(TEST_CFG)))
    head.init_weights()
    # the same class scores: the same cells are positive or found
    head.cls_convs.load_state_dict(star.cate_convs.state_dict())
    head.conv_cls.load_state_dict(star.solo_cate.state_dict())
    return head.to(next(star.parameters()).device)


def bench_aggregation(size, device):
    torch.manual_seed(0)
    star = make_head('AggMaskStarHead', device)
    with torch.no_grad():
        # some 100 cells above the score threshold, as a trained model has
        star.solo_cate.weight.mul_(10)
    plain = make_plain(star)
    feats = pyramid(size, size, device)
    raise_scores((star.solo_cate, plain.conv_cls), star, feats)
    body = torch.nn.Sequential(
        MODELS.build(dict(type='ResNet', depth=50, frozen_stages=1, norm_eval=True)),
        MODELS.build(dict(type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256,
                          num_outs=5))).to(device).train()
    image = torch.randn(1, 3, size, size, device=device)
    sample = sample_of(random_instances(20, size, size), size, size, device)

    def predict(head):
        with torch.no_grad():
            return head.predict(feats, [sample], rescale=True)

    def train(head):
        clear(head, feats)
        backward(head.loss(feats, [sample]))

    def train_body():
        body.zero_grad(set_to_none=True)
        sum(level.mean() for level in body(image)).backward()

    def run_body():
        with torch.no_grad():
            body(image)

    found = [len(predict(head)[0]) for head in (plain, star)]
    print(f'\nAggregation over SOLOv2 with the same branches, {size}x{size}, one image; inference '
          f'finds {found[0]} and {found[1]} instances, training has 20\n'
          '                 SOLOv2 head   AggMask* head   added   ResNet-50 + FPN   added to the '
          'model')
    for name, run, rest in (('inference', predict, run_body), ('training', train, train_body)):
        base = seconds(rest, device, 3)
        one, two = (seconds(partial(run, head), device, 3) for head in (plain, star))
        print(f'{name:12}     {one:9.3f} s   {two:11.3f} s   {100 * (two / one - 1):4.1f} %'
              f'   {base:13.3f} s   {100 * (two - one) / (one + base):10.1f} %', flush=True)


def raise_scores(convs, star, feats, cells=100):
    """Shift the class biases until so many cells have a score above the threshold."""
    from mmdet_lordre.aggmask.prediction import cell_scores
    with torch.no_grad():
        scores = cell_scores(star(feats)[0])[0].amax(1)
        wanted = scores.sort(descending=True).values[cells].logit()
        for conv in convs:
            conv.bias += torch.tensor(0.1).logit().to(wanted) - wanted


def bench_blocks(size, device):
    """The heads of the examples on the embedded shapes, on eight images of 128 px."""
    print('\nForward + loss + backward, 8 images of 128 px, bfloat16, median of 15 steps in '
          'turns, CPU ms in user mode\n'
          'example                      convolutions   blocks   ratio   blocks, no denormals')
    for name in ('aggmask_r18_fpn_shapes', 'aggmask_star_r18_fpn_shapes'):
        config = load_config(f'configs/aggmask/{name}.py').model
        torch.manual_seed(0)
        head = MODELS.build(dict(config.mask_head, test_cfg=config.test_cfg))
        head.init_weights()
        feats = [torch.randn(8, 48, side, side, requires_grad=True) for side in (32, 16, 8)]
        samples = [sample_of(random_instances(6, 128, 128, seed), 128, 128, 'cpu')
                   for seed in range(8)]
        for sample in samples:
            sample.gt_instances.labels %= 8

        def step(blocks, half=True, head=head, feats=feats, samples=samples):
            clear(head, feats)
            mask_losses.fits, fits = fits_of(blocks), mask_losses.fits
            with torch.autocast('cpu', torch.bfloat16, enabled=half):
                losses = head.loss(feats, samples)
            mask_losses.fits = fits
            backward(losses)
            return torch.cat([feat.grad.flatten() for feat in feats])

        ours, theirs = step(True, half=False), step(False, half=False)
        assert (ours - theirs).norm() < 1e-4 * theirs.norm(), 'gradients differ'
        times = [[], [], []]
        for _ in range(17):
            for kept, blocks in zip(times, (False, True)):
                kept.append(user_ms(partial(step, blocks)))
            with denormals_are_zero():
                times[2].append(user_ms(partial(step, True)))
        # the first two compile
        convs, blocks, flushed = (statistics.median(kept[2:]) for kept in times)
        print(f'{name:28} {convs:12.0f} {blocks:8.0f} {convs / blocks:6.2f}x {flushed:22.0f}',
              flush=True)


def fits_of(blocks):
    return mask_losses.fits if blocks else lambda size, widths: False


def user_ms(run):
    """Milliseconds of a run in user mode, which other processes disturb least."""
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    run()
    return 1e3 * (resource.getrusage(resource.RUSAGE_SELF).ru_utime - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='*', default=['training', 'aggregation', 'blocks'],
                        help='training, aggregation, blocks')
    parser.add_argument('--size', type=int, default=512)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    register_all_modules()
    MMLogger.get_current_instance().setLevel('WARNING')
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, {args.device}')
    for what in args.what:
        {'training': bench_training, 'aggregation': bench_aggregation,
         'blocks': bench_blocks}[what](args.size, torch.device(args.device))


if __name__ == '__main__':
    main()
