"""Configs and models by name, as mmengine, mmdet and openmim look for them."""
from pathlib import Path

import pytest
import yaml
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS as ALL_MODELS

import mmdet_lordre
from mmdet_lordre.checkpoints.published import _address
from mmdet_lordre.checkpoints.rules import ConversionError
from mmdet_lordre.model_index import config_of, mim_folder, model_index

ROOT = Path(__file__).resolve().parents[1]
NAME = 'lordre_r50_giam_8xb8-270k_coco'


def lookup(name, scope):
    """What an inferencer loads for a name, without building it."""
    inferencer = DetInferencer.__new__(DetInferencer)
    inferencer.scope = scope
    return inferencer._load_model_from_metafile(name)


def test_the_index_has_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(index) == sorted(
        str(path.relative_to(ROOT)) for path in ROOT.glob('configs/*/metafile.yml'))


def test_the_installation_has_the_folder():
    assert mim_folder() == Path(mmdet_lordre.__file__).parent / '.mim'
    for name in ('configs', 'tools', 'model-index.yml'):
        assert (mim_folder() / name).resolve() == ROOT / name


def test_every_model_has_a_config():
    assert len(model_index()) >= 49
    for name, model in model_index().items():
        assert config_of(name).is_file() and config_of(name).stem == model['Name']
        # by name, which is converted while it is read, or says why it cannot be
        assert model['Weights'] == f'published://{model["Name"]}'
        # what `mim search` can show
        for key, value in model.get('Metadata', {}).items():
            assert isinstance(value, (str, int, float)) or all(
                isinstance(item, str) for item in value), (name, key)


def test_what_the_name_of_weights_stands_for():
    """The address of a file, or the reason why there is none."""
    lacking = 0
    for model in model_index().values():
        published = model['Metadata'].get('Published Weights', '')
        if published and '/folders/' not in published:
            assert _address(model) == published
            continue
        lacking += 1
        with pytest.raises(ConversionError, match=r'published: train|share a folder'):
            _address(model)
    assert lacking == 19


def test_an_inferencer_takes_other_weights_where_none_are_published():
    """mmdet's looks for the metafile's before it looks at those that are given."""
    cfg, weights = lookup('polarmask_r50-caffe_fpn_gn-head_1x_coco', 'mmdet_lordre')
    assert cfg.model.type == 'PolarMask' and weights.startswith('published://polarmask_r50')


def test_an_inferencer_finds_a_name_in_our_scope():
    cfg, weights = lookup(NAME, 'mmdet_lordre')
    assert cfg.model.type == 'Lordre' and cfg.model.mask_head.groups == 4
    assert weights == f'published://{NAME}'
    with pytest.raises(ValueError, match='Cannot find model'):
        lookup(NAME, 'mmdet')


def test_a_name_that_mmdet_has_too_is_mmdets_in_its_scope():
    name = 'solov2_r50_fpn_1x_coco'
    cfg, weights = lookup(name, 'mmdet')
    assert cfg.model.mask_head.type == 'SOLOV2Head' and weights.startswith('https://')
    cfg, weights = lookup(name, 'mmdet_lordre')
    assert cfg.model.mask_head.type == 'SOLOv2KernelHead' and weights == f'published://{name}'


def test_a_config_inherits_by_the_name_of_the_package(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = 'mmdet_lordre::lordre/{NAME}.py'\n"
        "model = dict(mask_head=dict(num_classes=3))\n")
    cfg = Config.fromfile(tmp_path / 'mine.py')
    assert cfg.model.mask_head.num_classes == 3
    assert cfg.model.backbone.depth == 50
    assert cfg.custom_imports.imports == ['mmdet_lordre']
    # parts that come from there are looked up in a scope of that name
    assert cfg.model._scope_ == 'mmdet_lordre'
    cfg.model.backbone.init_cfg = None
    assert type(MODELS.build(cfg.model)) is mmdet_lordre.lordre.Lordre


def test_mmengines_hub():
    cfg = get_config(f'mmdet_lordre::lordre/{NAME}.py', pretrained=True)
    assert cfg.model_path == f'published://{NAME}'


@pytest.mark.parametrize('name', ['LordreHead', 'FPN', 'mmdet.FPN', 'Conv2d'])
def test_the_scope_of_the_package_has_what_mmdet_has(name):
    with ALL_MODELS.switch_scope_and_registry('mmdet_lordre') as registry:
        assert registry.scope == 'mmdet_lordre'
        assert registry.get(name) is not None
