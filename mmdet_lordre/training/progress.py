"""One line that is written over, in place of a line every few iterations, on a terminal."""
import logging
import re
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from mmdet.registry import HOOKS
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

#: Seconds between two drawings.
_PAUSE = 0.1
#: Lines of the log that the bar stands for: iterations of training, and of validation.
_ITERATION = re.compile(r'(?:Epoch|Iter)\((?:train|val|test)\).*\beta: ')
#: Iterations that a loss is averaged over.
_WINDOW = 20
#: Parts of the loss that are shown beside it, where they are there.
_PARTS = 'loss_mask', 'loss_dice', 'loss_cls', 'loss_bbox'


@HOOKS.register_module()
class SteadyLoggerHook(LoggerHook):
    """mmengine's, with a line every so many iterations, however short a pass over the data is.

    mmengine's begins to count anew with every pass, writes one more line at the end of each pass
    that is shorter than the interval, and the name of the experiment after it.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if len(runner.train_dataloader) > self.interval:
            due = self.every_n_inner_iters(batch_idx, self.interval) or (
                self.end_of_epoch(runner.train_dataloader, batch_idx) and not self.ignore_last)
        else:
            due = self.every_n_train_iters(runner, self.interval)
        if not due and runner.iter + 1 < runner.max_iters:
            return
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
        runner.logger.info(line)
        runner.visualizer.add_scalars(tag, step=runner.iter + 1, file_path=self.json_log_path)


class _OverTheBar(logging.Filter):
    """Leaves out the lines that the bar stands for, and wipes it away before any other."""

    def __init__(self, bar: 'ProgressHook'):
        super().__init__()
        self.bar = bar

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.INFO and _ITERATION.search(record.getMessage()):
            return False
        self.bar.wipe()
        return True


class ProgressHook(Hook):
    """Draws steps, time left, losses and the best AP in one line, while a training runs.

    Args:
        stream: A terminal.
    """

    priority = 'LOWEST'

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.best: float | None = None
        self._drawn, self._length, self._handlers = 0.0, 0, []
        try:
            '━╌'.encode(stream.encoding or 'ascii')
            self.marks = '━╌'
        except (UnicodeEncodeError, LookupError):
            self.marks = '#-'

    def before_train(self, runner: Runner) -> None:
        """Take the place of the lines on the consoles."""
        over = _OverTheBar(self)
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.StreamHandler) \
                    and not isinstance(handler, logging.FileHandler):
                handler.addFilter(over)
                self._handlers.append((handler, over))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        step, steps = runner.iter + 1, runner.max_iters
        if time.monotonic() - self._drawn < _PAUSE and step < steps:
            return
        scalars = runner.message_hub.log_scalars
        losses = [f'{name.removeprefix("loss_")} {scalars[key].mean(_WINDOW):.3g}'
                  for name in ('loss', *_PARTS) if (key := f'train/{name}') in scalars]
        parts = [f'{step}/{steps}']
        eta = runner.message_hub.runtime_info.get('eta')
        if eta is not None:
            parts.append(f'{_clock(eta)} left')
        if losses:
            parts.append(losses[0] + (f' ({", ".join(losses[1:])})' if losses[1:] else ''))
        if self.best is not None:
            parts.append(f'best AP {self.best:.3f}')
        self.draw(step / max(steps, 1), parts)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                       outputs: Sequence | None = None) -> None:
        if time.monotonic() - self._drawn >= _PAUSE:
            count = len(runner.val_dataloader)
            self.draw((batch_idx + 1) / max(count, 1), [f'validating {batch_idx + 1}/{count}'])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        for name in ('segm_mAP', 'bbox_mAP'):
            values = [value for key, value in (metrics or {}).items()
                      if key.rsplit('/', 1)[-1] == name and isinstance(value, (int, float))]
            if values:
                self.best = max([v for v in (self.best, *values) if v is not None])
                return

    def after_train(self, runner: Runner) -> None:
        self.release()

    def draw(self, part: float, texts: list[str]) -> None:
        """Write the line over the one before.

        Args:
            part: From 0 to 1.
            texts: What is said behind the bar; what the terminal is too narrow for is cut off.
        """
        width = shutil.get_terminal_size().columns - 1
        full = max(8, min(24, width // 5))
        done = round(full * min(max(part, 0), 1))
        bar = self.marks[0] * done + self.marks[1] * (full - done)
        line = f'{bar} {100 * part:3.0f}%  ' + '  '.join(texts)
        line = line[:max(width, 1)]
        self._write('\r' + line.ljust(min(self._length, width)))
        self._length, self._drawn = len(line), time.monotonic()

    def wipe(self) -> None:
        """Take the line away."""
        if self._length:
            self._write('\r' + ' ' * self._length + '\r')
            self._length, self._drawn = 0, 0.0

    def release(self) -> None:
        """Take the line away, and let the log's lines through again."""
        self.wipe()
        for handler, over in self._handlers:
            handler.removeFilter(over)
        self._handlers.clear()

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone: the training is not
            self._length = 0


def progress_hook() -> ProgressHook | None:
    """The bar where somebody looks at a terminal, else None."""
    stream = sys.stdout
    try:
        return ProgressHook(stream) if stream.isatty() else None
    except (AttributeError, ValueError):
        return None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'
