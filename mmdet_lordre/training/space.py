"""Whether the disk has room for the checkpoints of a training."""
import os
import shutil
from collections.abc import Callable

from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ..errors import UserError
from ..text import plural
from .muon import MuonWithAdamW, matrix_of


def check_space(runner: Runner, warn: Callable[[str], None]) -> None:
    """Compare free space with the checkpoints that will be written.

    Args:
        runner: With optimizer and train loop built.
        warn: Takes a line when there is room for one checkpoint but not for all.

    Raises:
        UserError: There is no room for a single one.
    """
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        folder = os.path.abspath(hook.out_dir or runner.work_dir)
        if '://' in str(hook.out_dir):
            continue
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        free, size = shutil.disk_usage(folder).free, checkpoint_size(runner)
        count = _count(runner, hook)
        if count and free < size:
            raise UserError(f'the disk of {folder} has {free / 2**20:,.0f} MiB free, but a '
                            f'checkpoint of this model needs about {size / 2**20:,.0f} MiB: free '
                            'some space, or choose another --work-dir')
        if free < size * count:
            warn(f'the disk of {folder} has {free / 2**20:,.0f} MiB free, but '
                 f'{plural(count, "checkpoint")} of about {size / 2**20:,.0f} MiB will be there '
                 'at once: free some space, or keep fewer with '
                 'default_hooks.checkpoint.max_keep_ckpts=N')


def checkpoint_size(runner: Runner) -> int:
    """Bytes of weights, averaged weights and the optimizer's state of them."""
    model = runner.model
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    total = weights * (1 + sum(isinstance(hook, EMAHook) for hook in runner.hooks))
    if isinstance(runner.optim_wrapper, OptimWrapper):
        optimizer = runner.optim_wrapper.optimizer
        total += sum(_copies(optimizer, p) * p.numel() * p.element_size()
                     for group in optimizer.param_groups for p in group['params']
                     if p.requires_grad)
    return total


def _copies(optimizer, param):
    """Tensors of the size of a parameter that an optimizer keeps of it."""
    if isinstance(optimizer, MuonWithAdamW) and matrix_of(param):
        return 1
    return 2 if 'betas' in optimizer.defaults else bool(optimizer.defaults.get('momentum'))


def _count(runner: Runner, hook: CheckpointHook) -> int:
    """Files of a hook that are on the disk together at most; the oldest goes after the newest."""
    loop = runner.train_loop
    left = loop.max_epochs - loop.epoch if hook.by_epoch else loop.max_iters - loop.iter
    count = -(-left // hook.interval) if hook.interval > 0 else 0
    if hook.max_keep_ckpts > 0:
        count = min(count, hook.max_keep_ckpts + 1)
    return count + 2 * len(getattr(hook, 'key_indicators', None) or () if hook.save_best else ())
