"""Values of another kind than a class takes, and types with a scope."""
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from mmdet.models.losses import DiceLoss
from mmengine.config import Config

from mmdet_lordre.config.arguments import check_arguments, fits, words
from mmdet_lordre.config.keys import check_keys
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError
from mmdet_lordre.lordre.matcher import LordreMatcher
from mmdet_lordre.solov2 import SOLOv2KernelHead

from ..cli.tiny import write_config


@pytest.mark.parametrize('hint, good, bad, text', [
    (int, [3, 3.0], [True, 2.5, '3', None, math.inf], 'a whole number'),
    (float, [3, 2.5, math.inf], [True, '3', None, math.nan, [1]], 'a number'),
    (bool, [True], [0, 'no', None], 'True or False'),
    (str | None, ['a', None], [1], 'text or None'),
    (Sequence[int], [[], (1, 2)], [1, 'ab', [1, 'a'], [1.5]], 'a list of whole numbers'),
    (tuple[float, float], [[1, 2.5]], [[1], [1, 2, 3], 1], 'a list of 2 numbers'),
    (tuple[int, ...] | None, [(1, 2, 3), None], [(1, None)], 'a list of whole numbers or None'),
    (dict, [{}, Config(dict(a=1))._cfg_dict], [[], 'x'], 'a dictionary'),
    (Mapping[str, int], [dict(a=1)], [1], 'a dictionary'),
    (Literal['a', 'b'], ['a'], ['c', None], "'a' or 'b'"),
    (Any, [1, None, 'a'], [], None)])
def test_what_an_annotation_says(hint, good, bad, text):
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)
    assert text is None or words(hint) == text


@pytest.mark.parametrize('cls, key, value, said', [
    (LordreMatcher, 'alpha', 'fast', "must be a number, not 'fast'"),
    (LordreMatcher, 'beta', None, 'must be a number, not None'),
    (SOLOv2KernelHead, 'strides', ['a'], 'must be a list of whole numbers'),
    (SOLOv2KernelHead, 'norm_cfg', 'BN', 'must be a dictionary'),
    (DiceLoss, 'loss_weight', 'two', "must be a number, not 'two'"),
    (DiceLoss, 'eps', None, 'must be a number, not None')])
def test_arguments(cls, key, value, said):
    with pytest.raises(UserError, match=rf'mine: model\.part\.{key} {said}'):
        check_arguments({'type': cls, key: value}, 'model.part', 'mine', cls)


def test_arguments_that_are_taken():
    # a float where a whole number is wanted becomes one; mmdet says 1 where it means 1.0
    node = dict(stacked_convs=4.0, pos_scale=1)
    check_arguments(node, 'model', 'mine', SOLOv2KernelHead)
    assert node == dict(stacked_convs=4, pos_scale=1) and isinstance(node['stacked_convs'], int)
    check_arguments(dict(loss_weight=0.5, eps=1, whatever='x'), 'model', 'mine', DiceLoss)
    check_arguments(dict(a='anything'), 'model', 'mine', lambda a=1: a)


def test_floats_that_are_whole_numbers(tmp_path):
    """As mmdet writes them in its configs of V3Det."""
    cfg = load_config(write_config(tmp_path / 'a.py', 'train_cfg = dict(val_interval=57300.0)\n'),
                      {'train_dataloader.batch_size': 2.0, 'train_cfg.max_epochs': 1e3})
    values = cfg.train_cfg.val_interval, cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs
    assert values == (57300, 2, 1000) and {type(value) for value in values} == {int}


@pytest.mark.parametrize('kind, key, said', [
    ('mmdet.ResNet', 'dept', "mmdet.ResNet has no such argument: did you mean 'depth'?"),
    ('mmdet.models.backbones.ResNet', 'dept', "did you mean 'depth'?"),
    ('mmdet.ResNett', 'depth', "there is no 'mmdet.ResNett': did you mean 'mmdet.ResNet'?"),
    ('mmdet_lordre.ResNet', 'dept', "did you mean 'depth'?")])
def test_types_with_a_scope(kind, key, said):
    cfg = Config(dict(model=dict(type='mmdet.SingleStageInstanceSegmentor',
                                 backbone={'type': kind, 'depth': 50, key: 50},
                                 mask_head=dict(type='mmdet_lordre.LordreHead', num_classes=3))))
    with pytest.raises(UserError) as caught:
        check_keys(cfg, 'mine')
    assert said in str(caught.value)


def test_scopes_of_packages_to_come():
    """What custom_imports brings later is not known yet."""
    check_keys(Config(dict(visualizer=dict(type='mmpretrain.Whatever', any_key=1))), 'mine')


@pytest.mark.parametrize('keys, said', [
    (dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', intervall=5))),
     "hooks.checkpoint.intervall: CheckpointHook has no such argument: did you mean 'interval'?"),
    (dict(default_hooks=dict(checkpiont=dict(interval=5))),
     'default_hooks.checkpiont has no type: did you mean default_hooks.checkpoint?'),
    (dict(default_hooks=dict(mine=dict(interval=5))),
     'set default_hooks.mine.type to the name of a class'),
    (dict(optim_wrapper=dict(optimizer=dict(type='AdamW', learning_rate=1))),
     'optimizer.learning_rate: AdamW has no such argument; it takes'),
    (dict(custom_hooks=[dict(type='EMAHook', momentun=0.1)]),
     "custom_hooks.0.momentun: EMAHook has no such argument: did you mean 'momentum'?")])
def test_what_hooks_and_optimizers_do_not_take(keys, said):
    with pytest.raises(UserError, match=re.escape(said)):
        check_keys(Config(keys), 'mine')


def test_what_hooks_hand_on_is_taken():
    check_keys(Config(dict(
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', meta=dict(a=1)), timer=None),
        custom_hooks=[dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=3, priority=49)])),
        'mine')
