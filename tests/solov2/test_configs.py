"""The published configurations against mmdet's of the same names."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

import mmdet_lordre  # noqa: F401

FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'solov2'
NAMES = sorted(path.stem for path in FOLDER.glob('*_coco.py'))


def shapes(cfg):
    """Names and shapes of the state dict of a config's model, without its numbers."""
    register_all_modules(init_default_scope=True)
    cfg.model.backbone.init_cfg = None
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def test_there_are_nine():
    assert len(NAMES) == 9


@pytest.mark.parametrize('name', NAMES)
def test_mmdets_checkpoint_fits(name):
    ours = shapes(Config.fromfile(FOLDER / f'{name}.py'))
    theirs = Config.fromfile(f'{mmdet_configs()}/{name}.py')
    if name == 'solov2-light_r50-dcn_fpn_ms-3x_coco':
        # the authors' model has DCN where mmdet's has DCNv2
        for part in (theirs.model.backbone.dcn, theirs.model.mask_head.dcn_cfg):
            part.type = 'DCN'
    assert shapes(theirs) == ours


def mmdet_configs():
    import mmdet
    return Path(mmdet.__file__).parent / '.mim' / 'configs' / 'solov2'


@pytest.mark.parametrize('name', NAMES)
def test_settings_that_the_two_share(name):
    ours = Config.fromfile(FOLDER / f'{name}.py')
    theirs = Config.fromfile(f'{mmdet_configs()}/{name}.py')
    for key in ('strides', 'num_grids', 'pos_scale', 'scale_ranges', 'stacked_convs',
                'feat_channels'):
        assert ours.model.mask_head[key] == theirs.model.mask_head[key], key
    for key, value in theirs.model.test_cfg.items():
        assert ours.model.test_cfg[key] == value
    assert ours.train_cfg.max_epochs == theirs.train_cfg.max_epochs
    assert ours.optim_wrapper.optimizer == theirs.optim_wrapper.optimizer
    assert ours.optim_wrapper.clip_grad == theirs.optim_wrapper.clip_grad
