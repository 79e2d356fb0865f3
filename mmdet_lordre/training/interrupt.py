"""Ctrl-C and termination between two iterations, with everything saved."""
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from ..text import printable
from .resume import name_last_checkpoint


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and did.

    Attributes:
        code: Status that the shell knows: 128 + number of the signal.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.code = 128 + number


def save_state(runner: Runner, name: str, epoch: int, iteration: int, note: bool = False) -> str:
    """Write a checkpoint that ``--resume`` can go on from, outside the usual intervals.

    Args:
        runner: That trains.
        name: Of the file in its work folder.
        epoch, iteration (int): how many are finished.
        note: Whether ``--resume`` shall find it by itself.

    Returns:
        Its path.
    """
    path = os.path.join(runner.work_dir, name)
    runner.save_checkpoint(runner.work_dir, name, by_epoch=False,
                           meta=dict(epoch=epoch, iter=iteration))
    if note and is_main_process():
        name_last_checkpoint(runner.work_dir, path)
    return path


@contextmanager
def report_can_wait(work_dir: str) -> Iterator[None]:
    """While it lasts, the report of a training is made: a signal ends that at once, with a line
    that says what there is.

    Args:
        work_dir: Of the training, which has ended.
    """
    def stop(number, frame):
        raise Interrupted(_without_report(work_dir), number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in InterruptHook.SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_report(work_dir):
    folder = printable(work_dir)
    return (f'interrupted: the training has ended and is saved in {folder}, without a report: '
            f'lordre report {shlex.quote(folder)}')


class InterruptHook(Hook):
    """Lets the running iteration end, saves the state and stops, when a signal says so.

    Of several processes the first one decides: the others wait for it in their next sum of
    gradients, so none of them stops on its own. A second signal stops at once.
    """

    priority = 'LOWEST'  # when every other hook has seen the iteration
    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before = {}

    def before_train(self, runner: Runner) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self._before[number] = signal.signal(number, self._ask)

    def release(self) -> None:
        """Give the signals back to whom they belonged to."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, number, frame):
        if self.asked is not None:
            self.release()
            raise Interrupted('interrupted', number)
        self.asked = number
        if is_main_process():
            print('stopping after this iteration, with everything saved; once more to stop at '
                  'once', file=sys.stderr, flush=True)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self._stop(runner, runner.epoch, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence | None = None) -> None:
        if self.asked is not None and is_main_process() and runner._train_loop is not None:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):  # validation looks at the averaged weights
                    hook._swap_ema_parameters()
            self._stop(runner, runner.epoch, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Of what was asked while the last images were judged: nothing more is begun."""
        if self.asked is not None and is_main_process():
            raise Interrupted(_without_report(runner.work_dir), self.asked)

    def _stop(self, runner, epoch, iteration):
        if self.asked is None or not is_main_process():
            return
        path = save_state(runner, f'iter_{iteration}.pth', epoch, iteration, note=True)
        raise Interrupted(f'stopped after iteration {iteration}, saved as {path}: continue with '
                      '--resume', self.asked)
