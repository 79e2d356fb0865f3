"""Kill a training run at given points and see whether it goes on as if nothing had been.

``python -m tests.reliability.killing CONFIG FOLDER POINT...`` trains once to the end, and then,
for each point, from the beginning until it is killed there by SIGKILL, and on with ``--resume``.
Every run is a process of its own, forked from this one, which only imports. Points:

    step:N       before iteration N
    writing:N    in the middle of writing checkpoint N
    naming:N     when checkpoint N is written but not renamed
    noting:N     when checkpoint N is there but not yet noted as the last
    validating:N in the middle of validation N
    validated:N  when validation N is done and its best checkpoint saved
    cut:N        before iteration N, and then the last checkpoint is cut in half
    random:SEED  at random times, again and again until the run gets to its end
    stop:N       Ctrl-C in iteration N instead
    pause:N      Ctrl-C in the middle of validation N instead

What must be equal in the end is what the last checkpoint says of going on, and the best one of
the validations. For each point a line of JSON: the point, how often the run was interrupted, what
differs.
"""
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import mmengine.fileio
import torch
from mmengine.hooks import Hook

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.training import resume, runner

from . import poison  # noqa: F401 - registers what the configs name


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class At(Hook):
    """Does something before iteration N, counted from 1."""

    def __init__(self, number, action):
        self.number, self.action = number, action

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.number:
            self.action()


class InValidation(Hook):
    """Does something in validation N, counted from 1: before its second batch, or after it."""

    priority = 'LOWEST'

    def __init__(self, number, action, done=False):
        self.left, self.action, self.done = number, action, done

    def before_val_epoch(self, runner):
        self.left -= 1

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if not self.left and batch_idx == 1 and not self.done:
            self.action()

    def after_val_epoch(self, runner, metrics=None):
        if not self.left and self.done:
            self.action()


def arm(kind, number):
    """Prepare this process to be killed."""
    if kind in ('step', 'cut', 'stop', 'validating', 'validated', 'pause'):
        action = die if kind not in ('stop', 'pause') else \
            lambda: os.kill(os.getpid(), signal.SIGINT)
        hook = At(number, action) if kind in ('step', 'cut', 'stop') else \
            InValidation(number, action, done=kind == 'validated')
        original = runner.ToolRunner.register_hooks

        def register_hooks(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.register_hook(hook)
        runner.ToolRunner.register_hooks = register_hooks
        return
    count = [0]

    def nth():
        count[0] += 1
        return count[0] == number
    if kind == 'writing':
        put = mmengine.fileio.LocalBackend.put

        def half(self, data, path):
            if not str(path).endswith(('.pth', '.tmp')) or not nth():
                return put(self, data, path)
            with open(path, 'wb') as file:
                file.write(data[:len(data) // 2])
            die()
        mmengine.fileio.LocalBackend.put = half
    elif kind == 'naming':
        replace = os.replace

        def named(source, target):
            if str(target).endswith('.pth') and nth():
                die()
            replace(source, target)
        resume.os.replace = named
    elif kind == 'noting':
        note = resume.name_last_checkpoint
        resume.name_last_checkpoint = lambda *args: die() if nth() else note(*args)
    else:
        raise ValueError(f'no such point: {kind}')


def in_a_process(arguments, log, kind=None, number=0, kill_after=None):
    """Train in a fork; returns its wait status."""
    child = os.fork()
    if child == 0:
        with open(log, 'a') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = 1
        try:
            if kind:
                arm(kind, number)
            one_line_errors(train)(arguments)
            code = 0
        except SystemExit as stopped:
            code = stopped.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)
    if kill_after is not None:
        end = time.monotonic() + kill_after
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def differences(a, b, name=''):
    """Names of the values in which two checkpoints differ, bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape and torch.equal(
            a.contiguous().view(torch.uint8) if a.ndim else a,
            b.contiguous().view(torch.uint8) if b.ndim else b)
        return [] if same else [name]
    if isinstance(a, dict) and isinstance(b, dict):
        return [found for key in sorted({*a, *b}, key=str)
                for found in (differences(a[key], b[key], f'{name}.{key}')
                              if key in a and key in b else [f'{name}.{key}'])]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [found for i, (x, y) in enumerate(zip(a, b, strict=True))
                for found in differences(x, y, f'{name}.{i}')]
    return [] if a == b else [name]


def last_state(work):
    """What of the last checkpoint decides how training would go on."""
    found = resume.checkpoints_of(str(work))
    checkpoint = read_checkpoint(found[0])
    state = {key: checkpoint[key] for key in
             ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict')
             if key in checkpoint}
    state.update({key: checkpoint['message_hub']['runtime_info'].get(key)
                  for key in ('best_score', 'best_ckpt', 'early_stopping_drift')})
    if state['best_ckpt']:  # it names the folder
        state['best_ckpt'] = os.path.basename(state['best_ckpt'])
    best = {path.name: read_checkpoint(path)['state_dict'] for path in Path(work).glob('best_*')}
    return dict(state, iter=checkpoint['meta']['iter'], epoch=checkpoint['meta']['epoch'],
                best=best)


def main(config, folder, *points):
    torch.set_num_threads(1)
    folder = Path(folder)
    common = [config, '--train-ann', str(folder / 'train.json'), '--val-ann',
              str(folder / 'val.json'), '--seed', '3', '--no-report']
    whole, log = folder / 'whole', folder / 'log.txt'
    if not whole.exists():
        started = time.monotonic()
        assert in_a_process([*common, '--work-dir', str(whole)], log) == 0, log.read_text()
        (folder / 'seconds').write_text(str(time.monotonic() - started))
    expected = last_state(whole)
    seconds = float((folder / 'seconds').read_text())
    for point in points:
        kind, _, number = point.partition(':')
        work = folder / point.replace(':', '_')
        shutil.rmtree(work, ignore_errors=True)
        arguments = [*common, '--work-dir', str(work)]
        interrupted = 0
        if kind == 'random':
            chance = random.Random(int(number))
            while interrupted < 30:
                going_on = ['--resume'] if work.exists() else []
                # later and later: it comes to an end also where the machine has become busier
                after = chance.uniform(0.05, 1.2) * seconds * (1 + interrupted / 5)
                status = in_a_process([*arguments, *going_on], log, kill_after=after)
                if not os.WIFSIGNALED(status):
                    break
                interrupted += 1
        else:
            status = in_a_process(arguments, log, kind, int(number))
            interrupted = int(os.WTERMSIG(status) == signal.SIGKILL
                              or os.waitstatus_to_exitcode(status) == 130)
            if kind == 'cut':
                last = resume.checkpoints_of(str(work))[0]
                os.truncate(last, os.path.getsize(last) // 2)
            status = in_a_process([*arguments, '--resume'], log)
        ended = os.waitstatus_to_exitcode(status)
        differ = differences(expected, last_state(work)) if ended == 0 else [f'status {ended}']
        unfinished = [p.name for p in work.glob('*.tmp')]
        print(json.dumps(dict(point=point, interrupted=interrupted, differ=differ[:5],
                              unfinished=unfinished)), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
