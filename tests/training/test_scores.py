"""What follows the score of a validation, in a run that goes on."""
import types

import pytest
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.runner import BaseLoop

from mmdet_lordre.errors import UserError
from mmdet_lordre.training import ToolRunner
from mmdet_lordre.training.early_stopping import KeptEarlyStoppingHook
from mmdet_lordre.training.resume import AtomicCheckpointHook


class Loop(BaseLoop):
    """No loop: a place for its counter."""
    stop_training = False

    def __init__(self):
        self.iter = self.epoch = 0

    def run(self):
        raise AssertionError


class Run:
    """A runner that is nothing but validations; ``states`` are what its checkpoints keep."""
    iter = property(lambda self: self._train_loop.iter)
    epoch = property(lambda self: self._train_loop.epoch)

    def __init__(self, folder, *hooks, info=None, iteration=0):
        self.work_dir, self.hooks, self.states, self.full = str(folder), hooks, {}, False
        self.train_loop = self._train_loop = Loop()
        self._train_loop.iter = iteration
        self.logger = types.SimpleNamespace(said=[], info=lambda text: None)
        self.logger.warning = self.logger.said.append
        self.message_hub = MessageHub(f'scores_{id(self)}')
        for key, value in (info or {}).items():
            self.message_hub.update_info(key, value)
        for hook in self.hooks:
            hook.before_train(self)

    def save_checkpoint(self, folder, filename, *args, **kwargs):
        if self.full:
            raise UserError('no space left')
        (self.folder / filename).write_text('')
        self.states[filename] = dict(self.message_hub.runtime_info)

    @property
    def folder(self):
        return type(self.hooks[0].path)(self.work_dir)

    def validate(self, **scores):
        self._train_loop.iter += 2
        for name in ('after_val_epoch', 'after_val'):
            for hook in sorted(self.hooks, key=lambda hook: {'VERY_LOW': 1, 'LOWEST': 2}.get(
                    hook.priority, 0)):
                getattr(hook, name)(self, **(dict(metrics=scores) if 'epoch' in name else {}))


@pytest.fixture
def hooks(tmp_path):
    """A function that gives hooks of a new process: checkpoints, early stopping."""
    def make(**early):
        keep = AtomicCheckpointHook(interval=100, by_epoch=False, save_best='score',
                                    rule='greater')
        keep.path = tmp_path
        return [keep, KeptEarlyStoppingHook(monitor='score', rule='greater', **early)]
    return make


@pytest.mark.parametrize('rule, scores', [('greater', (0.0, 0.0, -1.0)), ('less', (2.0, 2.0, 3.0))])
def test_of_equal_scores_the_later_is_the_best(tmp_path, rule, scores):
    """Early in a training all are zero, and the first model is the worst of them."""
    keep = AtomicCheckpointHook(interval=100, by_epoch=False, save_best='score', rule=rule)
    keep.path = tmp_path
    run = Run(tmp_path, keep)
    for score in scores:
        run.validate(score=score)
    assert keep.best_ckpt_path.endswith('best_score_iter_4.pth')


def test_patience_goes_on(tmp_path, hooks):
    whole = Run(tmp_path, *hooks(patience=2))
    for score in (0.5, 0.4):
        whole.validate(score=score)
    assert not whole.train_loop.stop_training
    second = Run(tmp_path, *hooks(patience=2), info=whole.message_hub.runtime_info, iteration=4)
    second.validate(score=0.45)  # better than the last one, not than the best
    assert second.train_loop.stop_training
    # a run of its own in the same process begins anew
    other = Run(tmp_path, *hooks(patience=2), info=whole.message_hub.runtime_info)
    other.validate(score=0.45)
    assert not other.train_loop.stop_training


def test_a_slow_start_is_no_standstill(tmp_path, hooks):
    """Also of a run that goes on."""
    early = dict(patience=5, min_delta=0.001, counts_from=0.01)
    run = Run(tmp_path, *hooks(**early))
    for score in (0, 0, .0005, .0008):
        run.validate(score=score)
    run = Run(tmp_path, *hooks(**early), info=run.message_hub.runtime_info, iteration=8)
    for score in (.0009, .0009, .0009, .0009, .02):
        run.validate(score=score)
        assert not run.train_loop.stop_training
    for _ in range(5):
        assert not run.train_loop.stop_training
        run.validate(score=.02)
    assert run.train_loop.stop_training


@pytest.mark.parametrize('early', [dict(patience=2), dict(patience=9, stopping_threshold=0.3)])
def test_what_has_stopped_does_not_begin_again(tmp_path, hooks, early):
    whole = Run(tmp_path, *hooks(**early))
    for score in (0.5, 0.4, 0.4):
        whole.validate(score=score)
    assert whole.train_loop.stop_training
    second = Run(tmp_path, *hooks(**early), info=whole.message_hub.runtime_info, iteration=6)
    assert second.train_loop.stop_training
    assert second.logger.said == ['nothing is left to train: it was stopped early, with score '
                                  f'{0.4 if "stopping_threshold" in early else 0.5:.3f}']
    more = Run(tmp_path, *hooks(patience=10), info=whole.message_hub.runtime_info, iteration=6)
    assert not more.train_loop.stop_training


def test_a_new_best_is_saved_with_the_state_when_all_hooks_are_done(tmp_path, hooks):
    class Last(Hook):
        priority = 'LOWEST'

        def after_val_epoch(self, runner, metrics=None):
            assert f'iter_{runner.iter}.pth' not in runner.states
            runner.message_hub.update_info('seen', runner.iter)

    run = Run(tmp_path, *hooks(patience=9), Last())
    for score in (0.5, 0.4, 0.6):
        run.validate(score=score)
    assert list(run.states) == ['best_score_iter_2.pth', 'iter_2.pth', 'best_score_iter_6.pth',
                                'iter_6.pth']
    for number in (2, 6):
        state = run.states[f'iter_{number}.pth']
        assert state['seen'] == state['validated'] == number
        assert state['best_ckpt'] == str(tmp_path / f'best_score_iter_{number}.pth')
    assert [p.name for p in tmp_path.glob('best_score*')] == ['best_score_iter_6.pth']


def test_the_best_is_there_until_a_better_one_is(tmp_path, hooks):
    run = Run(tmp_path, *hooks(patience=9))
    run.validate(score=0.5)
    run.full = True
    with pytest.raises(UserError, match='no space'):
        run.validate(score=0.6)
    assert [p.name for p in tmp_path.glob('best_score*')] == ['best_score_iter_2.pth']
    # validated again by whoever goes on: it is the same file
    again = Run(tmp_path, *hooks(patience=9), iteration=0, info=dict(
        best_score=0.4, best_ckpt=str(tmp_path / 'best_score_iter_2.pth')))
    again.validate(score=0.5)
    assert [p.name for p in tmp_path.glob('best_score*')] == ['best_score_iter_2.pth']


def test_the_best_of_another_folder(tmp_path, hooks):
    """Where the run came from nothing is removed; where it was moved to, its file is."""
    (tmp_path / 'best_score_iter_2.pth').write_text('')
    info = dict(best_score=0.5, best_ckpt=str(tmp_path / 'best_score_iter_2.pth'))
    for there in ([], ['best_score_iter_2.pth']):
        folder = tmp_path / f'folder_{len(there)}'
        folder.mkdir()
        for name in there:
            (folder / name).write_text('')
        run = hooks(patience=9)
        run[0].path = folder
        Run(folder, *run, info=info, iteration=2).validate(score=0.6)
        assert [p.name for p in folder.glob('best_score*')] == ['best_score_iter_4.pth']
        assert (tmp_path / 'best_score_iter_2.pth').exists()


def test_best_by_two_scores(tmp_path):
    hook = AtomicCheckpointHook(interval=100, by_epoch=False, save_best=['a', 'b'], rule='greater')
    hook.path = tmp_path
    run = Run(tmp_path, hook)
    for a, b in ((1, 1), (2, 0), (0, 2), (0, 0)):
        run.validate(a=a, b=b)
    assert sorted(p.name for p in tmp_path.glob('best_*.pth')) == ['best_a_iter_4.pth',
                                                               'best_b_iter_6.pth']


@pytest.mark.parametrize('kind', ['EarlyStoppingHook', 'mmengine.EarlyStoppingHook',
                                  KeptEarlyStoppingHook.__base__])
def test_it_takes_the_place_of_mmengines(kind):
    init_default_scope('mmdet')
    runner = ToolRunner.__new__(ToolRunner)
    runner._hooks = []
    runner.register_hook(dict(type=kind, monitor='score', rule='greater'))
    assert type(runner._hooks[0]) is KeptEarlyStoppingHook
