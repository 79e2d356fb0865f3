"""Settings that nothing reads."""
from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.config.reading import load_config
from mmdet_lordre.config.unread import unread_train_cfg, unread_variables
from mmdet_lordre.polarmask import PolarMask, PolarMaskHead

#: As mmdet's configs of one stage have it.
ASSIGNER = dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5), pos_weight=-1)
CONFIGS = sorted(str(path) for path in Path(__file__).parents[2].glob('configs/*/*.py')
                 if '_base_' not in path.parts)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


@pytest.mark.parametrize('nothing', [None, {}])
@pytest.mark.parametrize('key, head', [
    ('bbox_head', 'PolarMaskHead'), ('bbox_head', PolarMaskHead), ('mask_head', 'SOLOv2KernelHead'),
    ('mask_head', 'mmdet_lordre.LordrePlaceHead'), ('mask_head', 'AggMaskHead')])
def test_what_mmdets_heads_take_their_assigner_from(key, head, nothing):
    model = Config(dict(model=dict(
        type='SingleStageInstanceSegmentor', train_cfg=nothing,
        **{key: dict(type=head, train_cfg=nothing)}))).model
    assert unread_train_cfg(model) == []
    model[key].train_cfg = model.train_cfg = ASSIGNER
    within, line = unread_train_cfg(model)
    name = getattr(head, '__name__', head)
    assert line.startswith(f'model.train_cfg (assigner, pos_weight) changes nothing: {name} reads')
    assert within.startswith(f'model.{key}.train_cfg (assigner, pos_weight) changes nothing')


def test_others_may_read_it():
    class OwnDetector(PolarMask):
        """Of somebody's project."""
    OwnDetector.__module__ = 'project.models'
    model = dict(type=OwnDetector, bbox_head=dict(type='PolarMaskHead'), train_cfg=ASSIGNER)
    assert unread_train_cfg(model) == []
    for head in (dict(type='FCOSHead'), dict(type='not.Registered'), None):
        assert unread_train_cfg(dict(type='FCOS', bbox_head=head, train_cfg=ASSIGNER)) == []


def test_published_configs_have_none():
    for path in CONFIGS[::25]:
        cfg = load_config(path)
        assert unread_train_cfg(cfg.model) == [], path


@pytest.mark.parametrize('path', CONFIGS)
def test_published_configs_use_their_variables(path):
    assert unread_variables(Config(filename=path)) == []


def test_a_variable_that_changes_nothing(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text("_base_ = 'b.py'\nmax_iters = 9\nscale = 3\nwork_dir = 'w'\n_own = 1\n"
                    'test_cfg = dict(x=scale)\n')
    cfg = Config(dict(train_cfg=dict(max_iters=4)), filename=str(path))
    line, = unread_variables(cfg)
    assert line.startswith(f'{path}: max_iters changes nothing: ') and \
        line.endswith('set the keys that take it, such as train_cfg.max_iters')
    cfg.custom_imports = dict(imports=['mmdet_lordre'])
    assert unread_variables(cfg) == [line]
    cfg.custom_imports.imports = ['mine']
    assert unread_variables(cfg) == []
    path.write_text(path.read_text().replace('_base_', '_others_'))  # it may be a base itself
    assert unread_variables(Config(filename=str(path))) == []


def test_what_is_said_is_so():
    """A head that is built with it is the head without."""
    head = dict(type='PolarMaskHead', num_classes=1, in_channels=4, feat_channels=32)
    with_it, without = (MODELS.build(dict(head, train_cfg=value)) for value in (ASSIGNER, None))
    assert repr(with_it) == repr(without) and with_it.train_cfg == ASSIGNER
