"""Names: none is mmdet's or another project's, and old ones are found in the package's scope."""
import mmdet.registry
import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from torch import nn

from mmdet_lordre.backbones import LordrePVTv2
from mmdet_lordre.config.keys import check_keys
from mmdet_lordre.errors import UserError
from mmdet_lordre.lordre import LordreEncoder
from tests.cli.tiny import write_config

#: What mmdet's projects/SparseInst registers, and names that users give their own classes.
TAKEN = {'SparseInst', 'BaseIAMDecoder', 'GroupIAMDecoder', 'GroupIAMSoftDecoder',
         'InstanceContextEncoder', 'SparseInstCriterion', 'SparseInstMatcher', 'PVTv2', 'PVT'}


def registered():
    """``{name: class}`` of what the package registers with mmdet's registries."""
    return {name: cls for registry in vars(mmdet.registry).values()
            if isinstance(registry, Registry) for name, cls in registry.module_dict.items()
            if cls.__module__.startswith('mmdet_lordre.')}


def test_names_are_our_own():
    names = registered()
    assert {'LordreHead', 'SOLOv2KernelHead', 'PolarMaskHead', 'LazyMasks'} & set(names)
    assert not TAKEN & set(names) and len(names) > 30


@pytest.mark.parametrize('name', ['InstanceContextEncoder', 'PVTv2'])
def test_others_may_register_the_papers_names(name):
    class Theirs(nn.Module):
        pass
    MODELS.register_module(name=name, module=Theirs)
    try:
        assert type(MODELS.build(dict(type=name))) is Theirs
        ours = MODELS.get(f'mmdet_lordre.{name}')
    finally:
        del MODELS.module_dict[name]
    assert ours is dict(InstanceContextEncoder=LordreEncoder, PVTv2=LordrePVTv2)[name]


def test_a_config_with_an_old_name_is_told_the_scope(tmp_path):
    init_default_scope('mmdet')
    cfg = Config.fromfile(write_config(tmp_path / 'c.py'))
    cfg.model.neck.type = 'InstanceContextEncoder'
    with pytest.raises(UserError, match=r"did you mean 'mmdet_lordre\.InstanceContextEncoder'"):
        check_keys(cfg, 'c.py')
    cfg.model.neck.type = 'mmdet_lordre.InstanceContextEncoder'
    check_keys(cfg, 'c.py')
    assert isinstance(MODELS.build(cfg.model).neck, LordreEncoder)
