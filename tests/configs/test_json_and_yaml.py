"""Every config says the same as JSON and as YAML, which run nothing when they are read."""
import re

import pytest
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.checkpoints.verify import build_untrained
from mmdet_lordre.config.reading import load_config, split_datasets

from .test_every_config import PATHS


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def words(transform):
    """What it prints of itself: tuples may have become lists, and keys another order."""
    return sorted(re.findall(r'[^\s()\[\]{},]+', repr(transform)))


QUICK = [min(p for p in PATHS if p.parent == folder) for folder in {p.parent for p in PATHS}]


def check_pipelines(path, suffix, folder):
    init_default_scope('mmdet')
    cfg = Config.fromfile(path)
    cfg.dump(folder / f'c.{suffix}')
    read = load_config(str(folder / f'c.{suffix}'))
    assert plain(read._cfg_dict.to_dict()) == plain(cfg._cfg_dict.to_dict())
    for split in ('train', 'val', 'test'):
        for one, other in zip(split_datasets(cfg, split), split_datasets(read, split), strict=True):
            for a, b in zip(one.pipeline, other.pipeline, strict=True):
                assert words(TRANSFORMS.build(a)) == words(TRANSFORMS.build(b))


@pytest.mark.parametrize('suffix', ['json', 'yaml'])
@pytest.mark.parametrize('path', sorted(QUICK), ids=lambda path: path.stem)
def test_pipelines(path, suffix, tmp_path):
    check_pipelines(path, suffix, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize('suffix', ['json', 'yaml'])
@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_all_pipelines(path, suffix, tmp_path):
    check_pipelines(path, suffix, tmp_path)


@pytest.mark.parametrize('path', [p for p in PATHS if p.stem.endswith('shapes')],
                         ids=lambda path: path.stem)
def test_models(path, tmp_path):
    cfg = Config.fromfile(path)
    cfg.dump(tmp_path / 'c.json')
    one, other = build_untrained(cfg), build_untrained(load_config(str(tmp_path / 'c.json')))
    assert {name: p.shape for name, p in one.named_parameters()} == {
        name: p.shape for name, p in other.named_parameters()}
