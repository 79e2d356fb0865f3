"""The line on a terminal, and how often the log gets one."""
import io
import logging
from types import SimpleNamespace

import pytest
from mmengine.logging import HistoryBuffer

from mmdet_lordre.training.progress import ProgressHook, SteadyLoggerHook, progress_hook


class Terminal(io.StringIO):
    encoding = 'utf-8'

    def isatty(self):
        return True

    def shown(self):
        """What a terminal would show: of every line what was written last."""
        lines = []
        for line in self.getvalue().split('\n'):
            seen = ''
            for part in line.split('\r'):
                seen = part + seen[len(part):]
            lines.append(seen.rstrip())
        return lines


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '100')
    monkeypatch.setattr('mmdet_lordre.training.progress._PAUSE', 0)
    return Terminal()


@pytest.fixture
def runner(terminal):
    logger = logging.Logger('test', logging.INFO)
    logger.addHandler(logging.StreamHandler(terminal))
    scalars = {f'train/{name}': HistoryBuffer([value], [1]) for name, value in (
        ('loss', 2.345), ('loss_mask', 1.5), ('loss_objectness', 9.0))}
    return SimpleNamespace(
        iter=0, max_iters=10, logger=logger, val_dataloader=range(4), message_hub=SimpleNamespace(
            log_scalars=scalars, runtime_info=dict(eta=65)))


def test_the_line(terminal, runner):
    bar = ProgressHook(terminal)
    bar.before_train(runner)
    runner.iter = 4
    bar.after_train_iter(runner, 0)
    line, = terminal.shown()
    assert line == '━' * 10 + '╌' * 9 + '  50%  5/10  1:05 left  loss 2.35 (mask 1.5)'
    bar.after_val_iter(runner, 1)
    assert terminal.shown()[0].endswith('50%  validating 2/4')
    bar.after_val_epoch(runner, {'coco/segm_mAP': 0.25, 'coco/segm_mAP_50': 0.5})
    bar.after_val_epoch(runner, {'coco/segm_mAP': 0.125})
    bar.after_train_iter(runner, 0)
    assert terminal.shown()[0].endswith('best AP 0.250')
    bar.after_train(runner)
    assert terminal.shown() == ['']


def test_other_lines_take_its_place_and_those_of_iterations_are_left_out(terminal, runner):
    bar = ProgressHook(terminal)
    bar.before_train(runner)
    bar.after_train_iter(runner, 0)
    runner.logger.info('Iter(train) [ 50/100]  lr: 1e-3  eta: 0:00:10  loss: 2.0')
    runner.logger.info('Epoch(val) [1][ 50/100]    eta: 0:00:10  time: 0.1')
    runner.logger.info('Epoch(val) [1][4/4]    coco/segm_mAP: 0.5  time: 0.1')
    bar.after_train_iter(runner, 0)
    runner.logger.warning('eta: something')
    assert terminal.shown() == ['Epoch(val) [1][4/4]    coco/segm_mAP: 0.5  time: 0.1',
                                'eta: something', '']
    bar.release()
    runner.logger.info('Iter(train) [ 50/100]  eta: 0:00:10  loss: 2.0')
    assert terminal.shown()[2].startswith('Iter(train)')


def test_narrow_and_plain_terminals(terminal, runner, monkeypatch):
    monkeypatch.setenv('COLUMNS', '30')
    terminal.encoding = 'ascii'
    bar = ProgressHook(terminal)
    bar.before_train(runner)
    bar.after_train_iter(runner, 0)
    line, = terminal.shown()
    assert line.isascii() and line.startswith('#') and len(line) <= 29
    terminal.close()
    bar.after_train_iter(runner, 0)  # the window was closed: training goes on


def test_no_bar_without_a_terminal(monkeypatch, terminal):
    assert progress_hook() is None
    monkeypatch.setattr('sys.stdout', terminal)
    assert progress_hook() is not None


@pytest.mark.parametrize('batches, interval, steps, expected', [
    (9, 50, 108, [50, 100, 108]), (9, 50, 20, [20]), (100, 50, 200, [50, 100, 150, 200]),
    (60, 50, 120, [50, 110, 120]), (3, 1, 3, [1, 2, 3])])
def test_lines_of_the_log(batches, interval, steps, expected, runner):
    lines, seen = [], []
    runner.logger = SimpleNamespace(info=lines.append)
    runner.log_processor = SimpleNamespace(
        get_log_after_iter=lambda r, i, mode: ({}, f'{r.iter + 1}'))
    runner.visualizer = SimpleNamespace(add_scalars=lambda tag, step, file_path: seen.append(step))
    runner.train_dataloader, runner.max_iters = range(batches), steps
    hook = SteadyLoggerHook(interval=interval)
    hook.json_log_path = 'x.json'
    for step in range(steps):
        runner.iter = step
        hook.after_train_iter(runner, step % batches)
    assert seen == expected and lines == [str(step) for step in expected]  # and no name
