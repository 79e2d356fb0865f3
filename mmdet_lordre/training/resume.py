"""Checkpoints that are whole or absent, whenever the machine stops."""
import glob
import math
import operator
import os
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner

from ..checkpoints.safe_load import read_checkpoint
from ..errors import UserError
from ..files import UNFINISHED, atomic_write
from ..text import plural
from .settings import OPTIMIZER, optimizer_name

#: How checkpoints are called: by what is counted, and the count.
CHECKPOINT = r'(epoch|iter)_(\d+)\.pth'
_CHECKPOINT = re.compile(CHECKPOINT)
#: What is left of writing a checkpoint that was killed.
_LEFT = re.compile(rf'((best_.+_|before_nonfinite_)?{CHECKPOINT}|last_checkpoint)(\.\d+)?'
                   + re.escape(UNFINISHED))
#: Under it in the state that a checkpoint keeps: the iteration that was last validated.
VALIDATED = 'validated'


def name_last_checkpoint(work_dir: str, path: str) -> None:
    """Write ``last_checkpoint``, by which ``--resume`` finds the way."""
    with atomic_write(os.path.join(work_dir, 'last_checkpoint')) as name, open(name, 'w') as file:
        file.write(path)


def checkpoints_of(work_dir: str) -> list[str]:
    """Paths of the checkpoints to go on from, the one that is furthest in training first.

    ``last_checkpoint`` says which that is; then come those of earlier iterations. The file of that
    name beside it comes first: a folder that was moved or copied is a run of its own, and what the
    path leads to may be of another. Times of files say nothing: copying changes them.

    Args:
        work_dir: Of a run.
    """
    files = [p for p in glob.glob(os.path.join(glob.escape(work_dir), '*.pth'))
             if _CHECKPOINT.fullmatch(os.path.basename(p))]
    last = ''
    with suppress(OSError, UnicodeDecodeError), \
            open(os.path.join(work_dir, 'last_checkpoint')) as file:
        last = file.read().strip()
    beside = os.path.join(work_dir, os.path.basename(last))
    if last and (os.path.isfile(beside) or not os.path.isfile(last)):
        last = beside
    if os.path.isfile(last):
        files = [last, *(p for p in files if not os.path.samefile(p, last))]
    else:
        last = ''
    progress = _progress(files)
    files.sort(key=progress.get, reverse=True)
    if not last:
        return files
    return [last] + [p for p in files if p != last and progress[p] <= progress[last]]


def _progress(paths: list[str]) -> dict[str, float]:
    """How far in training each checkpoint is: numbers to compare with each other.

    Names say it, unless epochs and iterations stand beside each other (after Ctrl-C in the
    middle of an epoch): then the files do, and what cannot be read is taken for the furthest,
    since whoever reads it will say that it is damaged.
    """
    names = {path: _CHECKPOINT.fullmatch(os.path.basename(path)) for path in paths}
    if all(names.values()) and len({name[1] for name in names.values()}) < 2:
        return {path: float(name[2]) for path, name in names.items()}
    progress = {}
    for path in paths:
        progress[path] = math.inf
        with suppress(UserError, KeyError, TypeError, ValueError):
            progress[path] = float(read_checkpoint(path)['meta']['iter'])
    return progress


def read_resumable(work_dir: str, warn: Callable[[str], None]) -> tuple[str, dict] | None:
    """The newest checkpoint of a folder that can be gone on from.

    Args:
        work_dir: Of a run.
        warn: Takes a line for each file that is damaged.

    Returns:
        tuple[str, dict] | None: path and content; None if there is no checkpoint at all.

    Raises:
        UserError: There are checkpoints, and all are damaged.
    """
    paths = checkpoints_of(work_dir)
    for path in paths:
        try:
            checkpoint = read_checkpoint(path)
            check_resumable(checkpoint, path)
            return path, checkpoint
        except UserError as error:
            warn(f'{error}; going back to the one before')
    if paths:
        raise UserError(f'none of the {plural(len(paths), "checkpoint")} in {work_dir} can be '
                        'read: remove them, or choose another --work-dir, to start from the '
                        'beginning')
    return None


def check_resumable(checkpoint: dict, path: str) -> None:
    """Refuse a checkpoint of weights alone.

    Args:
        checkpoint: What a file holds.
        path: Its path, for the message.

    Raises:
        UserError: Naming what is missing.
    """
    meta = checkpoint.get('meta')
    missing = [key for key in ('state_dict', 'optimizer', 'message_hub') if key not in checkpoint]
    missing += [f'meta.{key}' for key in ('epoch', 'iter')
                if not isinstance(meta, dict) or not isinstance(meta.get(key), int)]
    if missing:
        raise UserError(f'{path} has no {", ".join(missing)}, so it cannot be resumed: start a new '
                        'run with --load-from')


def note_validation(runner: Runner) -> None:
    """Leave a note for checkpoints that are written later: this iteration is validated."""
    runner.message_hub.update_info(VALIDATED, runner.iter)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's hook, with old files removed after the new one is whole, not before.

    After a validation with a new best score the state is saved with it, when all other hooks have
    seen that validation: whoever goes on from there has no reason to repeat it. Of equal scores
    the later one is the best: in the beginning all are zero.
    """

    rule_map = {'greater': operator.ge, 'less': operator.le}
    _improved = False

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if is_main_process() and os.path.isdir(self.out_dir):
            for name in os.listdir(self.out_dir):
                if _LEFT.fullmatch(name):
                    with suppress(OSError):
                        os.remove(os.path.join(self.out_dir, name))

    def _save_best_checkpoint(self, runner, metrics):
        if not self.save_best:
            return
        several = len(self.key_indicators) > 1
        name = 'best_ckpt_path_dict' if several else 'best_ckpt_path'
        before, last = getattr(self, name), self.last_ckpt
        # mmengine's removes the file before, and saves the state before all hooks are done
        setattr(self, name, dict.fromkeys(before) if several else None)
        self.last_ckpt = None
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            now, self.last_ckpt = getattr(self, name), last
            before, now = (x if several else {'': x} for x in (before, now))
            kept = {key: now[key] or path for key, path in before.items()}
            setattr(self, name, kept if several else kept[''])
        self._improved = any(now.values())
        for path in {before[key] for key, path in now.items() if path and before[key]}:
            # of this folder, which may have been moved, never of one that the run came from
            path = self.file_backend.join_path(self.out_dir, os.path.basename(path))
            if path not in kept.values() and is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)
                runner.logger.info(f'The previous best checkpoint {path} is removed')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name the optimizer whose state it holds."""
        checkpoint['meta'][OPTIMIZER] = optimizer_name(runner.optim_wrapper)

    def after_val(self, runner: Runner) -> None:
        """Leave a note that this validation is done; save the state with a new best score."""
        if isinstance(runner._train_loop, BaseLoop):
            note_validation(runner)
            if self._improved and self.interval > 0:
                step = runner.epoch if self.by_epoch else runner.iter
                self._save_checkpoint_with_step(
                    runner, step, dict(epoch=runner.epoch, iter=runner.iter))
        self._improved = False

    def _save_checkpoint_with_step(self, runner, step, meta):
        outdated = deque()
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if not is_main_process():
            return
        name_last_checkpoint(runner.work_dir, self.last_ckpt)
        for old in outdated:
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
