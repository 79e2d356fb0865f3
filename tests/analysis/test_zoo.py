"""The model zoo page is what the script writes, and what the metafiles and parity cases say."""
import importlib
import json
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.analysis.zoo import CASES, FAMILIES, parity, proven_parts, zoo
from tests.parity.case import OWN_CASES, ParityCase, check_module
from tests.parity.lordre import config_path

ROOT = Path(__file__).resolve().parents[2]
OWN = sorted(OWN_CASES.glob('*.json'))
HEADS = [path for path in OWN if not path.stem.startswith('lordre')]


def models(family):
    return yaml.safe_load((ROOT / 'configs' / family / 'metafile.yml').read_text())['Models']


def test_the_page_is_up_to_date():
    assert (ROOT / 'docs' / 'model_zoo.md').read_text() == zoo(ROOT)


@pytest.mark.parametrize('family', FAMILIES)
def test_every_config_on_coco_is_in_the_metafile(family):
    named = [model['Config'] for model in models(family)]
    assert len(named) == len(set(named))
    for model in models(family):
        assert Path(model['Config']).stem == model['Name']
    # the examples on the embedded data and in a user's own config have no published figures
    others = {'lordre_mobilenetv2_fpn_giam_coco', 'lordre_r18_giam_small-data',
              'lordre-places_r18_small-data'}
    on_coco = [path for path in (ROOT / 'configs' / family).glob('*.py')
               if 'shapes' not in path.stem and path.stem not in others]
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in on_coco)


def test_what_is_called_proven_is_what_the_parity_tests_run():
    assert ROOT / CASES == OWN_CASES
    claimed = {json.loads(path.read_text())['config'] for path in OWN}
    assert set(proven_parts(ROOT)) == claimed and len(claimed) == len(OWN)
    for path in OWN:
        # raises for a source that nobody compares
        assert check_module(ParityCase(path).meta['source']).check


@pytest.mark.parametrize('path', [path for path in OWN if path not in HEADS],
                         ids=lambda path: path.stem)
def test_a_case_of_a_whole_model_is_that_of_its_config(path):
    meta = ParityCase(path).meta
    assert ROOT / meta['config'] == config_path(meta['source'])
    assert proven_parts(ROOT)[meta['config']] == 'model'


def plain(value):
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def network(head):
    """What a head computes with: its layers, weights and settings; not how it is initialized."""
    kinds = (bool, int, float, str, list, tuple, type(None))
    settings = {f'{name}.{key}': plain(value) for name, module in head.named_modules()
                for key, value in vars(module).items()
                if isinstance(value, kinds) and not key.startswith('_')
                and 'init' not in key and key != 'training'}
    layers = {name: type(module) for name, module in head.named_modules()}
    return layers, settings, {name: p.shape for name, p in head.state_dict().items()}


@pytest.mark.parametrize('path', HEADS, ids=lambda path: path.stem)
def test_a_case_of_a_head_is_that_of_its_config(path):
    case = ParityCase(path)
    init_default_scope('mmdet')
    module = importlib.import_module(check_module(case.meta['source']).__name__)
    model = Config.fromfile(ROOT / case.meta['config']).model
    with torch.device('meta'):
        head = model.get('mask_head') or model.bbox_head
        ours = MODELS.build(dict(head, test_cfg=model.test_cfg))
    theirs = module.build_head(case)
    for one, other in zip(network(ours), network(theirs), strict=True):
        assert one == other
    assert proven_parts(ROOT)[case.meta['config']] == 'head'


@pytest.mark.parametrize('name, expected', [
    ('lordre/lordre_r50_iam_8xb8-270k_coco', 'model'),
    ('lordre/lordre_r50_giam-soft_8xb8-270k_coco', 'model'),
    ('lordre/lordre_r50vd_giam_aug_8xb8-270k_coco', 'model'),
    ('lordre/lordre_r50_giam_8xb8-270k_coco', 'head'),
    ('lordre/lordre_r101-dcn_giam_8xb8-270k_coco', 'head'),
    ('solov2/solov2_r101_fpn_ms-3x_coco', 'head'),
    ('solov2/solov2_r101-dcn_fpn_ms-3x_coco', 'parts'),
    # its grids are in no case
    ('aggmask/aggmask_r101_fpn_increasing_clsgrid', 'parts')])
def test_parity_of_a_config_with_the_same_network(name, expected):
    assert parity(ROOT, Config.fromfile(ROOT / 'configs' / f'{name}.py')) == expected


def test_a_figure_at_another_size_than_the_configs_says_so():
    page = {line.split('](')[0][3:]: line.split(' | ')
            for line in zoo_page().splitlines() if line.startswith('| [')}
    for model in (model for family in FAMILIES for model in models(family)):
        size = model['Metadata'].get('Published Test Size', 640)
        precision = page[model['Name']][6]
        assert (' at 608' in precision) == (size == 608 and precision != '-'), model['Name']
        if size == 608:
            assert page[model['Name']][3] == '640x864'


def zoo_page():
    return (ROOT / 'docs' / 'model_zoo.md').read_text()
