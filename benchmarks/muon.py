"""A step of Muon for a network's convolutions: ours beside torch's, and AdamW's.

    python benchmarks/muon.py
    python benchmarks/muon.py --config configs/lordre/lordre-places_r18_shapes.py --steps 50

torch's ``Muon`` takes matrices alone, one after another, and computes in bfloat16. Both get the
same gradients; their updates are compared before the times are.
"""
import argparse
import os
import time

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_lordre.config.reading import load_config
from mmdet_lordre.training import MuonWithAdamW

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=os.path.join(
        ROOT, 'configs/lordre/lordre-places_r18_shapes.py'))
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    init_default_scope('mmdet')
    model = MODELS.build(load_config(args.config).model).to(args.device)
    # what Muon updates: convolutions of 16 rows and columns or more
    convolutions = [p for p in model.parameters() if p.requires_grad and p.ndim == 4
                    and min(len(p), p[0].numel()) >= 16]
    gradients = [torch.randn_like(p) for p in convolutions]
    print(f'{len(convolutions)} convolutions, {sum(p.numel() for p in convolutions)} weights, '
          f'{args.device}')

    ours = _copies(convolutions, gradients)
    adamw = _copies(convolutions, gradients)
    runners = {'ours': MuonWithAdamW(ours, lr=1e-3, weight_decay=0.),
               'AdamW, fused': torch.optim.AdamW(adamw, lr=1e-3, weight_decay=0., fused=True)}
    if hasattr(torch.optim, 'Muon'):
        theirs = _copies(convolutions, gradients, flat=True)
        runners['torch.optim.Muon'] = torch.optim.Muon(
            theirs, lr=1e-3, weight_decay=0., adjust_lr_fn='match_rms_adamw')
        runners['ours'].step()
        runners['torch.optim.Muon'].step()
        with torch.no_grad():
            worst = max(float((a.flatten(1) - b).norm() / (a - p).norm())
                        for a, b, p in zip(ours, theirs, convolutions))
        assert worst < 0.03, f'updates differ by {worst:.3f} of their length'
        print(f'updates differ by {worst:.4f} of their length at most (bfloat16)')
    times = {name: _milliseconds(one, args) for name, one in runners.items()}
    for name, value in times.items():
        print(f'{name:18} {value:7.2f} ms a step   {value / times["ours"]:5.2f} of ours')


def _copies(params, gradients, flat=False):
    copies = []
    for param, gradient in zip(params, gradients):
        value, grad = param.detach().clone(), gradient
        if flat:
            value, grad = value.flatten(1), gradient.flatten(1)
        copies.append(nn.Parameter(value))
        copies[-1].grad = grad.clone()
    return copies


def _milliseconds(optimizer, args):
    """Of the processor on a CPU, of the clock elsewhere."""
    clock = time.process_time if args.device == 'cpu' else time.perf_counter
    best = float('inf')
    for _ in range(5):
        start = clock()
        for _ in range(args.steps):
            optimizer.step()
        if args.device != 'cpu':
            torch.cuda.synchronize()
        best = min(best, (clock() - start) / args.steps)
    return best * 1e3


if __name__ == '__main__':
    main()
