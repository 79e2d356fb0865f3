"""Training steps of planned configs: channels first, last, and with Winograd's weight gradients.

    python benchmarks/layout.py my/train.json --images my/images --sides 256 384 512

One thread, float32. All three models begin with the same weights and take their steps in turn, so
that what else the machine does slows all; their first losses and gradients have to agree. CPU
seconds, the median of the steps after the first.
"""
import argparse
import copy
import statistics
import time

import torch
from mmengine.optim import build_optim_wrapper

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.planning.cost import batches_of, build
from mmdet_lordre.planning.fit import FAMILIES, SIZES, fit
from mmdet_lordre.planning.measuring import absolute, config_of
from mmdet_lordre.planning.objects import read_both
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.writing import config_text
from mmdet_lordre.training.winograd import use_winograd_gradients


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('annotations', help='COCO file')
    parser.add_argument('--images', help='folder of its images')
    parser.add_argument('--families', nargs='+', choices=FAMILIES, default=['lordre'])
    parser.add_argument('--sides', type=int, nargs='+', default=[128, 256, 384, 512],
                        help='longer sides of the network input')
    parser.add_argument('--size', choices=SIZES, default='small')
    parser.add_argument('--steps', type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, _ = read_both(args.annotations, args.images)
    print('| family | side | channels first (s) | channels last (s) | and Winograd (s) | times as '
          'fast as the faster |\n' + '|---' * 6 + '|')
    for family in args.families:
        for side in args.sides:
            one = fit(train, Looks(), family, args.size, side, 2, 1000)
            cfg = config_of(config_text(one, (absolute(train.path), absolute(train.folder)), None))
            first, last, ours = race(cfg, args.steps)
            print(f'| {family} | {side} | {first:.3f} | {last:.3f} | {ours:.3f} | '
                  f'{min(first, last) / ours:.2f} |', flush=True)


def race(cfg, steps):
    """Seconds of a step with channels first, with channels last, and with Winograd's gradients."""
    batch = batches_of(cfg, 1)[0][0]
    model = build(cfg, 'cpu').train()
    models = (copy.deepcopy(model).to(memory_format=torch.contiguous_format), model,
              copy.deepcopy(model))
    use_winograd_gradients(models[2])
    check(copy.deepcopy(models), batch)
    wrappers = [build_optim_wrapper(model, cfg.optim_wrapper) for model in models]
    taken = [], [], []
    for _ in range(steps):
        for model, wrapper, seconds in zip(models, wrappers, taken):
            data = copy.deepcopy(batch)
            start = time.process_time()
            model.train_step(data, wrapper)
            seconds.append(time.process_time() - start)
    return [statistics.median(seconds[1:]) for seconds in taken]


def check(models, batch):
    """Refuse models that compute different things."""
    losses, gradients = [], []
    for model in models:
        inputs = model.data_preprocessor(copy.deepcopy(batch), True)
        loss = model.parse_losses(model(**inputs, mode='loss'))[0]
        loss.backward()
        losses.append(float(loss))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()
                                    if p.grad is not None]))
    assert max(losses) - min(losses) < 1e-3 * abs(losses[0]), losses
    for other in gradients[1:]:
        assert (other - gradients[0]).norm() < 1e-2 * gradients[0].norm()


if __name__ == '__main__':
    main()
