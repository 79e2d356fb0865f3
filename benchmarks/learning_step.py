"""Where the milliseconds of a training step go: loading, forward, losses, backward, optimizer.

    python benchmarks/learning_step.py shapes --data data/shapes
    python benchmarks/learning_step.py nuclei --data FOLDER --runners lordre-places solov2-windows

Trains as ``learning.py`` does, one thread, and takes the time of every part on its own: what a part
calls and is a part itself is not counted twice. Backward passes are told apart by when gradients
reach the output of a part. Medians over steps of CPU ms (user and system mode); the parts do not
add up exactly to the median of a step. ``--operators`` lists torch's own operators by their time.
"""
import argparse
import functools
import statistics
import tempfile
import time
from collections import defaultdict

import torch
from learning_race import race_runner
from learning_runners import RUNNERS, race_config
from mmengine.config import DictAction
from mmengine.hooks import Hook

import mmdet_lordre  # noqa: F401 - registers everything

#: Parts of a head beside its modules, by name of the method.
METHODS = ('_targets', '_instance_losses', '_looked_at', 'get_targets', 'loss_by_feat')


class Clock:
    """CPU seconds by part; the innermost part that is open counts."""

    def __init__(self):
        self.open, self.used = ['loop and hooks'], defaultdict(float)
        self.mark = time.process_time()

    def switch(self):
        """Count what has passed for the part that was open."""
        now = time.process_time()
        self.used[self.open[-1]] += now - self.mark
        self.mark = now

    def timed(self, name, function):
        """The function, as a part."""
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            self.switch()
            self.open.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self.open.pop()
        return wrapped

    def backward_of(self, name, output):
        """From the moment that gradients reach these tensors, backward is that of a part."""
        def reached(gradient):
            self.switch()
            self.open[-1] = f'backward: {name}'
        for tensor in output if isinstance(output, (tuple, list)) else [output]:
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
                tensor.register_hook(reached)


class Steps(Hook):
    """Keeps the times of each step, and stops."""

    priority = 'LOWEST'

    def __init__(self, number):
        self.clock, self.left, self.steps = Clock(), number, []

    def before_train(self, runner):
        instrument(runner, self.clock)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.clock.switch()
        self.left -= 1
        self.steps.append(dict(self.clock.used))
        self.clock.used.clear()
        runner.train_loop.stop_training = self.left <= 0


def instrument(runner, clock):
    """Make parts of what a runner trains with."""
    loop, model, wrapper = runner.train_loop, runner.model, runner.optim_wrapper
    pipeline = loop.dataloader.dataset.pipeline
    pipeline.transforms = [clock.timed(f'load: {type(step).__name__}', step)
                           for step in pipeline.transforms]
    model.data_preprocessor.forward = clock.timed('load: to a batch',
                                                  model.data_preprocessor.forward)
    head = next(getattr(model, key) for key in ('mask_head', 'bbox_head') if hasattr(model, key))
    parts = {name: getattr(model, name) for name in ('backbone', 'neck') if hasattr(model, name)}
    for name, child in head.named_children():
        deeper = dict(child.named_children())
        # convolutions, which take long, apart from the layers beside them
        stacks = {f'{name}.{key}': part for key, part in deeper.items()
                  if isinstance(part, (torch.nn.Sequential, torch.nn.ModuleList))}
        parts |= stacks if stacks and not isinstance(child, torch.nn.Sequential) else {name: child}
    for name, part in parts.items():
        forward = clock.timed(f'forward: {name}', part.forward)

        def followed(*args, _name=name, _forward=forward, **kwargs):
            output = _forward(*args, **kwargs)
            if 'loss' not in _name:
                clock.backward_of(_name, output)
            return output
        part.forward = followed
    for name in METHODS:
        if hasattr(head, name):
            setattr(head, name, clock.timed(f'losses: {name.strip("_")}', getattr(head, name)))
    head.loss = clock.timed('losses: the rest', head.loss)
    wrapper.backward = clock.timed('backward: losses', wrapper.backward)
    wrapper.zero_grad = clock.timed('optimizer: zero_grad', wrapper.zero_grad)
    wrapper._clip_grad = clock.timed('optimizer: clip_grad', wrapper._clip_grad)
    wrapper.step = clock.timed('optimizer: are all gradients finite', wrapper.step)
    optimizer = wrapper.optimizer
    for name, part in (('_muon', 'Muon'), ('_adamw', 'AdamW'), ('step', 'the rest')):
        if hasattr(optimizer, name):
            setattr(optimizer, name, clock.timed(f'optimizer: {part}', getattr(optimizer, name)))


def table(steps):
    """Rows (part, median ms), in the order of a step's parts, with their sums."""
    names = sorted({name for step in steps for name in step})
    order = ('load', 'forward', 'losses', 'backward', 'optimizer', 'loop')
    rows = []
    for kind in order:
        own = [name for name in names if name.split(':')[0].split(' ')[0] == kind]
        if own:
            rows.append((f'**{kind}**', _median([sum(s.get(n, 0) for n in own) for s in steps])))
            rows += sorted(((n.partition(': ')[2], _median([s.get(n, 0) for s in steps]))
                            for n in own if ': ' in n), key=lambda row: -row[1])
    return rows + [('**a step**', _median([sum(step.values()) for step in steps]))]


def _median(values):
    return 1e3 * statistics.median(values)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('set', choices=RUNNERS)
    parser.add_argument('--data', required=True, help='folder of the data set')
    parser.add_argument('--runners', nargs='+', default=['lordre-places'], metavar='NAME_OR_CONFIG')
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--warmup', type=int, default=5, help='steps before, not counted')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    parser.add_argument('--operators', type=int, default=0, metavar='N',
                        help="also the N longest of torch's operators")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in args.runners:
        with tempfile.TemporaryDirectory() as folder:
            cfg, _ = race_config(args.set, name, args.data, 0, folder, args.cfg_options)
            runner = race_runner(cfg, 0, folder, amp='rcnn' not in name)
            steps = Steps(args.warmup + args.steps)
            runner.register_hook(steps, 'LOWEST')
            if args.operators:
                with torch.profiler.profile(
                        activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                    runner.train()
                print(profile.key_averages().table('self_cpu_time_total', args.operators,
                                                   max_name_column_width=50))
            else:
                runner.train()
            print(f'\n{name} on {args.set}, median of {args.steps} steps\n\n'
                  '| part | CPU ms |\n|---|---|')
            for part, value in table(steps.steps[args.warmup:]):
                if value >= 0.05:
                    print(f'| {part} | {value:.1f} |')


if __name__ == '__main__':
    main()
