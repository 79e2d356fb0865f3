"""A schedule by the clock, on a clock of the test."""
import logging
import types

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop

from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.tiled_loops import TiledValLoop
from mmdet_lordre.training import timed
from mmdet_lordre.training.timed import TimedSchedule, _images_in, rate_at

from ..on_device import several_processes
from .test_distributed import run_both

ONE_OF_TWO = """
import torch.distributed as dist
from mmdet_lordre.training.timed import TimedSchedule
from tests.training.test_timed import Training
dist.init_process_group('gloo')
slower = 1 + 0.7 * dist.get_rank()
run = Training(TimedSchedule(50, validations=2), lambda t: slower,
               validation=5 * slower).run()
print(len(run.rates), len(run.validated), run.rates[-1])
dist.destroy_process_group()
"""


class Images(list):
    """Sizes of the pictures that are judged."""

    def get_data_info(self, number):
        return dict(zip(('height', 'width'), self[number]))


def judging(images, tile):
    loop = TiledValLoop.__new__(TiledValLoop) if tile else types.SimpleNamespace()
    vars(loop).update(dataloader=types.SimpleNamespace(dataset=images), tile=tile, overlap=0.2)
    return loop


class Training:
    """mmengine's loop over iterations, with steps and validations that take as long as told."""

    def __init__(self, hook, seconds, validation=0., iteration=0, info=None, validates=True,
                 images=(), tile=None, batches=(2,), max_iters=10**9):
        self.hook, self.seconds, self.validation, self.time = hook, seconds, validation, 0.
        hook.now = lambda: self.time
        self.train_loop = loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
        loop._max_iters, self.iter = max_iters, iteration
        self.val_loop = judging(Images(images), tile) if validates else None
        self.param_schedulers, self.logger = [], 'silent'
        self.message_hub = types.SimpleNamespace(runtime_info=dict(info or {}))
        self.message_hub.update_info = self.message_hub.runtime_info.__setitem__
        self.group = dict(lr=0.1)
        self.optim_wrapper = types.SimpleNamespace(
            optimizer=types.SimpleNamespace(param_groups=[self.group]))
        self.rates, self.validated, self.batches = [], [], batches

    def run(self, steps=10**6):
        self.hook.before_train(self)
        while self.iter < self.train_loop._max_iters and len(self.rates) < steps:
            self.hook.before_train_iter(self, 0)
            self.rates.append(self.group['lr'])
            self.time += self.seconds(self.time)
            size = self.batches[self.iter % len(self.batches)]
            self.hook.after_train_iter(self, 0, dict(inputs=torch.zeros(size, 3)))
            self.iter += 1
            if self.val_loop and (self.iter % self.train_loop.val_interval == 0
                                  or self.iter == self.train_loop._max_iters):
                self.hook.before_val(self)
                self.time += self.validation(self.time) if callable(self.validation) else \
                    self.validation
                self.hook.after_val(self)
                self.validated.append(self.time)
        return self


def test_rates():
    assert rate_at(0, 0.1, 0.01) == pytest.approx(0.01)
    assert rate_at(0.05, 0.1, 0.01) == pytest.approx(0.5)
    assert rate_at(0.1, 0.1, 0.01) == pytest.approx(1)
    assert rate_at(0.55, 0.1, 0.) == pytest.approx(0.5)
    assert rate_at(1, 0.1, 0.01) == rate_at(3, 0.1, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize('seconds', [
    lambda t: 1., lambda t: 0.3 if t < 20 else 1.2, lambda t: 2.5 if t < 50 else 0.5,
    lambda t: 8. if t < 1 else 0.7], ids=['even', 'slower', 'faster', 'slow start'])
def test_it_ends_in_time_with_a_schedule_that_has_come_to_its_end(seconds):
    run = Training(TimedSchedule(100), seconds).run()
    assert 95 < run.time < 103
    assert max(run.rates) == pytest.approx(0.1, rel=0.05)
    assert run.rates[-1] < 0.003
    top = run.rates.index(max(run.rates))
    assert run.rates[top:] == sorted(run.rates[top:], reverse=True)


def test_validations_are_counted_and_spread():
    run = Training(TimedSchedule(100, validations=4, validation_seconds=1), lambda t: 0.5,
                   validation=5.).run()
    assert len(run.validated) == 4 and run.validated[-1] == run.time
    assert 92 < run.time < 106
    # between them lie steps for 20 s
    gaps = [b - a for a, b in zip([0., *run.validated], run.validated)]
    assert all(20 < gap < 32 for gap in gaps)
    assert run.rates[-1] < 0.003


def test_where_steps_take_longer_validations_will_too():
    """Half-way the machine becomes four times slower, the validation at the end with it."""
    def slower(seconds):
        return lambda time: seconds * (1 if time < 40 else 4)

    hook = TimedSchedule(100, validation_seconds=4, step_seconds=0.5)
    run = Training(hook, slower(0.5), validation=slower(4.)).run()
    assert 95 < run.time < 105
    assert run.rates[-1] < 0.005
    # and so does one that was measured in between
    hook = TimedSchedule(100, validations=3, validation_seconds=4, step_seconds=0.5)
    run = Training(hook, slower(0.5), validation=slower(4.)).run()
    assert len(run.validated) == 3 and 93 < run.time < 107


@pytest.mark.parametrize('seconds, thought, said', [
    (lambda t: 1., 0.25, 'a step takes 1 s, and took 0.25 s when it was measured: some 100 steps '
                         'in place of 400; other programs'), (lambda t: 1., 0.6, ''),
    (lambda t: 1., None, ''), (lambda t: 9. if 2 <= t < 4 else 1., 0.6, '')])  # one by chance
def test_fewer_steps_than_announced_are_said_once(seconds, thought, said, monkeypatch):
    lines = []
    monkeypatch.setattr(timed, 'print_log', lambda line, *_: lines.append(line))
    Training(TimedSchedule(100, step_seconds=thought), seconds, validates=False,
             max_iters=400).run()
    assert len(lines) == bool(said) and all(said in line for line in lines)


def test_without_validation_nothing_is_kept_for_it():
    run = Training(TimedSchedule(50, validations=3, validation_seconds=20), lambda t: 1.,
                   validates=False).run()
    assert 48 < run.time < 52 and not run.validated


@pytest.mark.parametrize('images, tile', [
    ([(50, 50)] * 40, None),  # 40 of half a second each, as far as steps can tell, less a fifth
    ([(200, 200)] * 4, 100),  # 3 x 3 tiles each
    ([(80, 100), (80, 60)] * 10, 50),  # 2 x 3 and 2 x 2
])
def test_what_nothing_is_known_of_is_guessed_from_the_steps(images, tile):
    expected = {None: 2 + 16, 100: 2 + 14.4, 50: 2 + 0.4 * 100}[tile]
    run = Training(TimedSchedule(100), lambda t: 1., validation=expected, images=images,
                   tile=tile).run()
    assert len(run.validated) == 1 and 98 < run.time < 102
    assert run.rates[-1] < 0.003


def test_the_guess_is_not_misled(caplog):
    """By a last batch of a round that is smaller, or a first step that takes long."""
    images = [(9, 9)] * 160
    run = Training(TimedSchedule(100), lambda t: 1., validation=10., images=images,
                   batches=[16] * 19 + [1]).run()
    assert 97 < run.time < 103
    run = Training(TimedSchedule(100), lambda t: 25. if t < 1 else 1., validation=10.,
                   images=[(9, 9)] * 20).run()
    assert 97 < run.time < 103 and not caplog.messages


@pytest.mark.parametrize('batch, count', [
    (dict(inputs=[1, 2, 3]), 3), (dict(inputs=torch.zeros(4, 3, 8, 8)), 4),
    (dict(inputs=dict(sup=[1], unsup=[1, 2])), 3), ([torch.zeros(2)], 1), (None, 1), (dict(), 1)])
def test_images_of_a_batch(batch, count):
    assert _images_in(batch) == count


def test_judging_that_takes_longer_than_all_of_the_time(caplog):
    run = Training(TimedSchedule(100), lambda t: 1., validation=400., images=[(9, 9)] * 995)
    run.logger = logging.getLogger('judging')
    with caplog.at_level(logging.WARNING):
        run.run()
    assert 48 < run.time - 400 < 52 and run.rates[-1] < 0.003
    assert caplog.messages == ['validation takes about 400 s, more than half of the time: the run '
                               'will end that much later; use fewer validation images']


def test_going_on_takes_the_time_that_was_left():
    first = Training(TimedSchedule(100), lambda t: 1.).run(steps=60)
    second = Training(TimedSchedule(100), lambda t: 1., iteration=first.iter,
                      info=first.message_hub.runtime_info).run()
    assert 38 < second.time < 42
    assert second.rates[0] == pytest.approx(first.rates[-1], rel=0.1)


def test_going_on_keeps_time_for_the_validation_at_the_end():
    """How many there are, and what one takes, is not known when nothing is planned anew."""
    first = Training(TimedSchedule(100, validations=3, validation_seconds=9, step_seconds=1.),
                     lambda t: 1., validation=10.).run(steps=50)
    assert len(first.validated) == 2
    second = Training(TimedSchedule(100), lambda t: 1., validation=10., iteration=first.iter,
                      info=first.message_hub.runtime_info).run()
    assert len(second.validated) == 1 and 95 < first.time + second.time < 103
    # stopped right after a validation, it counts
    info = dict(first.message_hub.runtime_info)
    assert info['timed_schedule'][1:3] == [20., 2]


@pytest.mark.parametrize('left', [0, 40])
def test_going_on_where_no_time_is_left_is_said(left, caplog):
    first = Training(TimedSchedule(60), lambda t: 1., validation=10.).run()
    second = Training(TimedSchedule(60 + left), lambda t: 1., validation=10.,
                      iteration=first.iter, info=first.message_hub.runtime_info)
    second.logger = logging.getLogger('going on')
    with caplog.at_level(logging.WARNING):
        second.run()
    assert any('give more --minutes' in line for line in caplog.messages) == (not left)
    assert second.iter - first.iter <= 2 if not left else second.time > 25


@several_processes
def test_of_several_processes_the_first_one_decides():
    """Each has a clock of its own, and all must take the same steps."""
    (_, first, err), (_, second, other) = run_both(ONE_OF_TWO)
    assert first == second != '', err + other
    steps, validated, rate = first.split()
    assert 38 <= int(steps) <= 47 and validated == '2' and float(rate) < 0.005


def test_one_step_longer_than_all_of_the_time():
    run = Training(TimedSchedule(10), lambda t: 60.).run()
    assert run.iter <= 2


@pytest.mark.parametrize('settings', [dict(seconds=0), dict(seconds=float('nan')),
                                      dict(seconds=1, clock='sun'), dict(seconds=1, warmup=1)])
def test_settings_that_cannot_be_meant(settings):
    with pytest.raises(UserError):
        TimedSchedule(**settings)


def test_configs_that_it_does_not_go_with():
    run = Training(TimedSchedule(10), lambda t: 1.)
    run.param_schedulers = [object()]
    with pytest.raises(UserError, match=r'param_scheduler=\[\]$'):
        run.run()
    run.train_loop = object()
    with pytest.raises(UserError, match='epochs'):
        run.run()
