"""NaN and infinite values stop training, named, before they reach the weights."""
import functools

import pytest
import torch

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.errors import UserError
from mmdet_lordre.training import ToolRunner

from . import poison
from .families import FAMILIES, write_family


def run(folder, data, family, iterations, *more, **hook):
    hook = dict(type='PoisonHook', iterations=iterations, **hook)
    config = write_family(folder / 'config.py', family, custom_hooks=[hook] if iterations else [])
    return train([config, '--train-ann', f'{data}/train.json', '--seed', '1',
                  '--work-dir', f'{folder}/work', *more])


def finite(state):
    return all(bool(torch.isfinite(value).all()) for value in state.values())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


TERMS = dict(lordre='loss_predictions is nan', polarmask='loss_cls is nan',
             solov2='loss_mask is nan, loss_cls is nan')


def test_stops_with_the_state_before(data, tmp_path):
    check_stop(data, tmp_path, 'solov2')


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
def test_every_family_stops(data, tmp_path, family):
    check_stop(data, tmp_path, family)


def check_stop(data, folder, family):
    with pytest.raises(UserError, match=r'^iteration 4: ') as error:
        run(folder, data, family, [4])
    text = str(error.value)
    assert TERMS.get(family, 'is nan') in text
    assert f'= {data}/train/' in text and '--skip-nonfinite' in text
    path = folder / 'work' / 'before_nonfinite_iter_4.pth'
    assert str(path) in text
    saved = read_checkpoint(path)
    assert saved['meta']['iter'] == 3 and finite(saved['state_dict'])
    # without what made it NaN, the run goes on from there like one that never stopped
    resumed = run(folder, data, family, [], '--resume', str(path)).model.state_dict()
    (folder / 'whole').mkdir()
    whole = run(folder / 'whole', data, family, []).model.state_dict()
    assert same(resumed, whole)


def replaced(runner):
    """What objects have in front of the methods of their classes."""
    return [name for owner, names in ((runner.model, ('forward', 'parse_losses')),
                                      (runner.optim_wrapper, ('step', )))
            for name in names if isinstance(vars(owner).get(name), functools.partial)]


def test_what_it_replaces_is_put_back(data, tmp_path, monkeypatch):
    """After training, and after an error in the middle of it."""
    seen, runners = [], []
    train_step = ToolRunner.train

    def watched(self):
        runners.append(self)
        return train_step(self)
    monkeypatch.setattr(ToolRunner, 'train', watched)
    monkeypatch.setattr(poison.PoisonHook, 'before_train_iter',
                        lambda self, runner, *args, **kwargs: seen.append(replaced(runner)))
    run(tmp_path, data, 'solov2', [1])
    assert seen[0] == ['forward', 'parse_losses', 'step'] and replaced(runners[0]) == []

    def broken(self, *args, **kwargs):
        raise ZeroDivisionError
    monkeypatch.setattr(poison.PoisonHook, 'before_train_iter', broken)
    (tmp_path / 'again').mkdir()
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / 'again', data, 'solov2', [1])
    assert replaced(runners[1]) == []


def test_gradients_alone(data, tmp_path):
    with pytest.raises(UserError, match=r'iteration 2: all losses are finite, but not the '
                                        r'gradient of backbone\.\S+weight \(images 1\d\d = '):
        run(tmp_path, data, 'solov2', [2], where='backward')


def test_batches_that_are_left_out(data, tmp_path):
    runner = run(tmp_path, data, 'solov2', [2, 5], '--skip-nonfinite', '2')
    assert runner.iter == 8 and finite(runner.model.state_dict())
    assert runner.message_hub.get_info('batches_left_out') == 2
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 6 and all(loss == loss for loss in losses)
    # the limit holds for the whole run, also over an interruption
    (tmp_path / 'again').mkdir()
    with pytest.raises(UserError, match=r'iteration 5: .* after 1 that were left out'):
        run(tmp_path / 'again', data, 'solov2', [2, 5], '--skip-nonfinite', '1')
    with pytest.raises(UserError, match=r'iteration 5: .* after 1 that were left out'):
        run(tmp_path / 'again', data, 'solov2', [5], '--skip-nonfinite', '1', '--resume')
