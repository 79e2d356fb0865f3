"""The model zoo page is what the script writes, and what the metafiles say is there."""
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.analysis.zoo import FAMILIES, PROVEN, parity, zoo

ROOT = Path(__file__).resolve().parents[2]


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
        assert (ROOT / model['Config']).is_file()


def test_parity_is_claimed_for_configs_that_are_there():
    for path in PROVEN:
        assert (ROOT / 'configs' / path).is_file()


@pytest.mark.parametrize('name, expected', [
    ('r50_iam', 'model'), ('r50_giam-soft', 'model'), ('r50vd_giam_aug', 'model'),
    ('r50_giam', 'head'), ('r101-dcn_giam', 'head')])
def test_parity_of_a_config_with_the_same_network(name, expected):
    path = f'lordre/lordre_{name}_8xb8-270k_coco.py'
    assert parity(ROOT, Config.fromfile(ROOT / 'configs' / path)) == expected
