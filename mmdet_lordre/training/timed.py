"""A schedule that follows the clock: training that ends when it was promised to."""
import logging
import math
import statistics
import time

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner

from ..errors import UserError

CLOCKS = {'wall': time.monotonic, 'cpu': time.process_time}
#: Share of the time that is kept for validations at most, when they take longer than was thought.
_JUDGING = 0.5
#: Of the time that an image takes in a step, what it takes to be judged, and seconds for the rest.
_JUDGED, _AROUND = 0.8, 2.
#: Steps after which it is said how many there will be, where each takes so many times as long as
#: was thought.
_SAID, _SLOWER = 10, 2.
#: Under it in the state that a checkpoint keeps.
TIMED = 'timed_schedule'


def rate_at(progress: float, warmup: float, final: float) -> float:
    """Share of the full learning rate: a linear warm-up, then half a cosine.

    Args:
        progress: Share of the training's time that is used.
        warmup: Share of the time for the warm-up.
        final: What is left of the rate at the end.
    """
    if progress < warmup:
        return max(0.01, progress / warmup)
    along = min(1., (progress - warmup) / (1 - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * along)) / 2


@HOOKS.register_module()
class TimedSchedule(Hook):
    """Let the learning rate follow the share of the time that is used, and end in time.

    A schedule in steps is cut off, or ends early, where the machine is slower or faster than was
    thought. Here every step's rate is that of the clock: on a slow machine there are fewer steps,
    and the schedule still comes to its end. The step that would exceed the time is not begun;
    the one before it counts as the last, with the checkpoint and the validation that belong to
    it. The time for validations is taken off beforehand, by how long the last one took.

    Where nothing is known of that, it is guessed from the steps and the number of images.
    Of several processes the clock of the first counts.

    The schedulers of the config must be empty. Going on from a checkpoint goes on with the time
    that was left; since steps depend on the clock, such a run is not repeated bit by bit.

    Args:
        seconds: For everything: steps, and validations within the training.
        clock: ``'wall'``, or ``'cpu'`` for the time of this process alone.
        warmup: Share of the time in which the rate rises.
        final: Share of the rate that is left at the end.
        validations: How many there are, evenly spread, the last one at the end.
        validation_seconds: What one takes, until the first has been measured.
        step_seconds: What a step took when that was measured: where steps take longer now, so will
            validations.

    Raises:
        UserError: The training counts epochs, or has schedulers of its own.
    """

    priority = 'VERY_HIGH'  # the rate is set before any other hook looks at it

    def __init__(self, seconds: float, clock: str = 'wall', warmup: float = 0.05,
                 final: float = 0.01, validations: int = 1, validation_seconds: float = 0.,
                 step_seconds: float | None = None) -> None:
        if clock not in CLOCKS:
            raise UserError(f"TimedSchedule: clock must be 'wall' or 'cpu', not {clock!r}")
        if not seconds > 0 or not 0 < warmup < 1:
            raise UserError('TimedSchedule: seconds must be more than 0, and warmup between 0 and '
                            f'1, not {seconds} and {warmup}')
        self.seconds, self.now = float(seconds), CLOCKS[clock]
        self.warmup, self.final = warmup, final
        self.validations, self.validation_seconds = max(1, int(validations)), validation_seconds
        self.step_seconds = step_seconds
        self.used = self.validating = 0.
        self.validated = 0
        self._step = self._group = None
        self._thought, self._first = None, []
        self._images, self._batch, self._steps = 0., 1, 0

    def before_train(self, runner: Runner) -> None:
        """Take the time; a resumed run has used some of it already."""
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop):
            raise UserError('a timed schedule (--minutes) needs train_cfg=dict(type='
                            "'IterBasedTrainLoop'): this config counts epochs")
        if runner.param_schedulers:
            raise UserError('a timed schedule (--minutes) replaces param_scheduler: set '
                            'param_scheduler=[]')
        kept = runner.message_hub.runtime_info.get(TIMED) if runner.iter else None
        if kept:
            self.used, self.validating, self.validated, *took = kept
            if took and took[0]:
                self.validation_seconds, self.step_seconds = took
            # one more comes at the end, however many there were
            self.validations = max(self.validations, self.validated + 1)
            print_log(f'{self.used + self.validating:.0f} of {self.seconds:.0f} s have been '
                      'used; from here on the run depends on the clock and is not reproducible '
                      'bit for bit', runner.logger)
            if self._left <= (self.step_seconds or 0):
                print_log('no time is left: what follows are the last steps and a validation; '
                          'to train longer, give more --minutes', runner.logger, logging.WARNING)
        if get_world_size() > 1:
            # numbers of the host, which no GPU has to wait for
            self._group = torch.distributed.new_group(backend='gloo')
            self.seconds = self._of_the_first(self.seconds)
        if runner.val_loop is None:
            self.validations, self.validation_seconds = 0, 0.
        elif not self.validation_seconds:
            judging = runner.val_loop
            # a loop that cuts pictures into tiles says how many
            images = getattr(judging, 'inputs', len(judging.dataloader.dataset))
            self._images = images / get_world_size()
        self._thought = (loop.max_iters, self.step_seconds) if not kept else None
        self._last = self.now()
        self._val_interval(loop, 2**40)

    @property
    def _left(self) -> float:
        to_come = max(0, self.validations - self.validated) * self.validation_seconds
        if self._step and self.step_seconds:
            to_come *= max(1., self._step / self.step_seconds)
        # on a machine that has come to a standstill something is learned, too
        to_come = min(to_come, max(_JUDGING * self.seconds, self.validation_seconds))
        return self.seconds - self.used - self.validating - to_come

    @property
    def progress(self) -> float:
        """Share of the training's own time that is used."""
        left = max(0., self._left)
        return self.used / (self.used + left) if self.used + left else 1.

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Set the rate; say how many steps are left, by the time that they take."""
        loop, progress = runner.train_loop, self.progress
        for group in runner.optim_wrapper.optimizer.param_groups:
            full = group.setdefault('initial_lr', group['lr'])
            group['lr'] = full * rate_at(progress, self.warmup, self.final)
        if self._step is None:
            return  # nothing is known yet: not the last
        steps = self._left / self._step
        loop._max_iters = runner.iter + max(1, round(steps))
        # the validation at the end is the loop's own
        due = self.validated + 1
        if due < self.validations and progress >= due / self.validations:
            self._val_interval(loop, runner.iter + 1)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Count the step, its loading included."""
        now = self.now()
        seconds, self._last = self._of_the_first(now - self._last), now
        self.used += seconds
        # the first step pays for what later ones find ready
        self._step = seconds if self._step is None or runner.iter < 3 \
            else 0.9 * self._step + 0.1 * seconds
        self._steps += 1
        # the last batch of a round may be smaller
        self._batch = max(self._batch, _images_in(data_batch))
        if self._thought and self._steps < _SAID:
            self._first.append(seconds)
        elif self._thought and self._steps == _SAID:
            self._say_slower(runner, *self._thought)
        if self._images and not self.validated and self._steps > 1:
            self._guess(runner)
        self._keep(runner)

    def _say_slower(self, runner, steps, seconds):
        took = statistics.median(self._first)
        if seconds and took > _SLOWER * seconds:
            print_log(f'a step takes {took:.2g} s, and took {seconds:.2g} s when it was measured: '
                      f'some {self._steps + max(0., self._left) / took:.0f} steps in place of '
                      f'{steps}' + '; other programs may be using the machine'
                      * (self.now is not CLOCKS['cpu']), runner.logger, logging.WARNING)

    def _guess(self, runner):
        """What a validation will take, until there has been one."""
        wished = _AROUND + _JUDGED * self._images * self._step / self._batch
        self.validation_seconds = min(wished, _JUDGING * self.seconds)
        self.step_seconds = self._step
        if wished > self.validation_seconds and self._steps == 3:
            print_log(f'validation takes about {wished:.0f} s, more than half of the time: the '
                      'run will end that much later; use fewer validation images',
                      runner.logger, logging.WARNING)

    def _of_the_first(self, seconds):
        """Seconds of the first process, by which all have to decide alike."""
        if self._group is None:
            return seconds
        found = torch.tensor([seconds], dtype=torch.float64)
        torch.distributed.broadcast(found, 0, group=self._group)
        return float(found)

    def _keep(self, runner):
        runner.message_hub.update_info(TIMED, [self.used, self.validating, self.validated,
                                              self.validation_seconds, self.step_seconds])

    def before_val(self, runner: Runner) -> None:
        """Take the time."""
        self._began = self.now()

    def after_val(self, runner: Runner) -> None:
        """Count the validation by itself."""
        now = self.now()
        if runner.train_loop is None or isinstance(runner.train_loop, dict):
            return
        self.validation_seconds = self._of_the_first(now - self._began)
        self.step_seconds = self._step
        self.validating += self.validation_seconds
        self.validated += 1
        self._last = now
        self._keep(runner)
        self._val_interval(runner.train_loop, 2**40)

    @staticmethod
    def _val_interval(loop: IterBasedTrainLoop, steps: int) -> None:
        # what the loop divides its counter by
        loop.val_interval, loop.dynamic_intervals, loop.dynamic_milestones = steps, [steps], [0]


def _images_in(batch):
    """Images of a batch, whatever collated it."""
    inputs = batch.get('inputs') if isinstance(batch, dict) else None
    if isinstance(inputs, dict):  # of several branches
        return sum(len(part) for part in inputs.values())
    return len(inputs) if hasattr(inputs, '__len__') else 1
