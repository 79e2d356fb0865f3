"""Schedules of another length than the training."""
import pytest
from mmengine.config import Config
from mmengine.runner import IterBasedTrainLoop

from mmdet_lordre.config.reading import load_config
from mmdet_lordre.config.schedule import counts_epochs, schedule_warnings
from mmdet_lordre.model_index import config_of, model_index

WARM_UP = dict(type='LinearLR', start_factor=0.01, begin=0, end=10, by_epoch=False)
COSINE = dict(type='CosineAnnealingLR', begin=10, end=100, by_epoch=False)
STEPS = dict(type='MultiStepLR', milestones=[8, 11], end=12)


@pytest.mark.parametrize('schedulers, training, said', [
    ([WARM_UP, COSINE], dict(type='IterBasedTrainLoop', max_iters=100), None),
    ([WARM_UP, COSINE], dict(type='IterBasedTrainLoop', max_iters=150),
     'ends at iteration 100 and training at 150 (train_cfg.max_iters): the rate stays where it is '
     'for the last 50; set end'),
    ([WARM_UP, COSINE], dict(type='IterBasedTrainLoop', max_iters=60),
     'training stops 40 iterations before the schedule does, at a rate that is too high'),
    ([WARM_UP, STEPS], dict(type='EpochBasedTrainLoop', max_epochs=12), None),
    ([WARM_UP, STEPS], dict(by_epoch=True, max_epochs=11), 'stops 1 epoch before'),
    (STEPS, dict(type='EpochBasedTrainLoop', max_epochs=24), 'ends at epoch 12 and training at 24'),
    # of other units, without an end, by the clock
    ([COSINE], dict(type='EpochBasedTrainLoop', max_epochs=24), None),
    ([dict(STEPS, end=None)], dict(type='EpochBasedTrainLoop', max_epochs=24), None),
    ([WARM_UP, dict(type='ConstantLR', factor=1., by_epoch=False)],
     dict(type='IterBasedTrainLoop', max_iters=60), None),
    ([], dict(type='IterBasedTrainLoop', max_iters=60), None), ([], None, None)])
def test_lengths(schedulers, training, said):
    lines = schedule_warnings(Config(dict(param_scheduler=schedulers, train_cfg=training)))
    assert len(lines) == bool(said) and all(said in line for line in lines), lines


def test_published_configs_have_schedules_of_their_length():
    for name in model_index():
        assert schedule_warnings(load_config(str(config_of(name)))) == [], name


@pytest.mark.parametrize('training, epochs', [
    (dict(type='EpochBasedTrainLoop'), True), (dict(type='mmengine.IterBasedTrainLoop'), False),
    (dict(type=IterBasedTrainLoop), False), (dict(by_epoch=True), True),
    (dict(by_epoch=False), False), (dict(type='MyLoop'), None), ({}, None)])
def test_what_a_training_counts(training, epochs):
    assert counts_epochs(training) is epochs
