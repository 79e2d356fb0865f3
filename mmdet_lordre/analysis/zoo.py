"""The table of the model zoo, made from the metafiles and from measurements."""
from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import yaml
from mmengine.config import Config

from ..config.reading import input_size
from .complexity import Complexity, complexity

FAMILIES = ('lordre', 'solov2', 'aggmask', 'polarmask')

#: Where the parity cases are, which say what is proven of which config.
CASES = Path('tests', 'data', 'parity')

_HEADER = '''\
# Model zoo

Written by `python tools/make_model_zoo.py`; edit the metafiles, not this page.

- **AP** is mask AP in percent on COCO val (minival) as the authors published it, not a figure of
  this project. *test-dev* likewise. *At 608*: measured on images of that short side, where the
  config tests at the short side of **input**.
- **Params** (millions) and **FLOPs** (giga multiply-adds of the network, as mmdet counts) are
  measured by `tools/get_flops.py` for one image that fills the **input**, padded.
- **Weights** are the authors' files: `tools/convert_checkpoint.py` converts them, and
  `published://NAME` stands for them wherever a checkpoint is named
  ([checkpoints.md](checkpoints.md)).
- **Parity** says what `tests/test_parity.py` proves against outputs of the published
  implementation, from its checkpoint names through conversion to final masks: the whole *model*,
  its *head*, or the *parts* that it shares with such models. Every config's names are covered by
  the conversion tests.
'''
_COLUMNS = ('config', 'backbone', 'schedule', 'input', 'params', 'FLOPs', 'AP', 'test-dev',
            'weights', 'parity')


def _family(root: Path, family: str) -> Iterator[tuple[dict, Config]]:
    metafile = root / 'configs' / family / 'metafile.yml'
    for model in yaml.safe_load(metafile.read_text())['Models']:
        path = root / model['Config']
        if not path.is_file():
            raise FileNotFoundError(f'{metafile}: {model["Name"]} names {model["Config"]}, '
                                    'which is not there')
        yield model, Config.fromfile(path)


def _network(cfg: Config, part: str) -> object:
    """What decides the computation: the model's config, or its head's, without starting weights."""
    model = copy.deepcopy(cfg.model.to_dict())
    if part == 'head':
        return model.get('mask_head') or model.get('bbox_head')
    model['backbone'].pop('init_cfg', None)
    for key in ('train_cfg', 'data_preprocessor'):
        model.pop(key, None)
    return model


def proven_parts(root: Path) -> dict[str, str]:
    """Config -> what a parity case proves of it: the whole ``'model'``, or its ``'head'``.

    A case names the config whose network it is; a published checkpoint without a backbone is that
    of a head.
    """
    cases = [json.loads(path.read_text()) for path in sorted((root / CASES).glob('*.json'))]
    return {case['config']: 'model' if any(name.startswith('backbone.') for name in case['shapes'])
            else 'head' for case in cases}


@functools.lru_cache
def _proven(root: Path) -> dict[str, list]:
    """What cases prove: ``{'model': networks, 'head': heads}``."""
    found = dict(model=[], head=[])
    for path, part in proven_parts(root).items():
        cfg = Config.fromfile(root / path)
        if part == 'model':
            found['model'].append(_network(cfg, 'model'))
        found['head'].append(_network(cfg, 'head'))
    return found


def parity(root: Path, cfg: Config) -> str:
    """What is proven of a config: 'model', 'head' or 'parts'.

    Args:
        root: Folder of the project, with the parity cases.
        cfg: The config.
    """
    return next((part for part, networks in _proven(root).items()
                 if _network(cfg, part) in networks), 'parts')


def _metric(model: dict, dataset: str) -> str:
    for result in model.get('Results', []):
        if result['Dataset'] == dataset:
            return str(result['Metrics'].get('mask AP', '-'))
    return '-'


def _precision(model: dict, dataset: str, cost: Complexity) -> str:
    """A published AP, and the short side of its images where the config tests at another."""
    value, side = _metric(model, dataset), model['Metadata'].get('Published Test Size')
    return f'{value} at {side}' if value != '-' and side and side != min(cost.size) else value


def _schedule(metadata: dict) -> str:
    if 'Schedule' in metadata:
        return str(metadata['Schedule'])
    return f'{metadata["Epochs"]} epochs' if 'Epochs' in metadata else '-'


def _link(weights: str | None) -> str:
    if not weights:
        return '-'
    return f'[{"folder" if "/folders/" in weights else "file"}]({weights})'


#: What was counted, by network and size of its input.
_COSTS: dict[tuple, Complexity] = {}


def _cost(cfg: Config) -> Complexity:
    """What the network of a config costs, counted once for all configs that have it."""
    size = input_size(cfg)
    key = repr(_network(cfg, 'model')), size
    if key not in _COSTS:
        _COSTS[key] = complexity(cfg, size)
    return _COSTS[key]


def row(root: Path, model: dict, cfg: Config) -> tuple[str, ...]:
    """Cells of one config.

    Args:
        root: Folder of the project.
        model: Entry of its metafile.
        cfg: Its config.
    """
    metadata = model.get('Metadata', {})
    cost = _cost(cfg)
    weights = metadata.get('Published Weights')
    return (f'[{model["Name"]}](../{model["Config"]})', str(metadata.get('Backbone', '-')),
            _schedule(metadata), f'{cost.size[0]}x{cost.size[1]}', f'{cost.params / 1e6:.1f}',
            f'{cost.macs / 1e9:.1f}', _precision(model, 'COCO', cost),
            _precision(model, 'COCO test-dev', cost), _link(weights), parity(root, cfg))


def zoo(root: Path) -> str:
    """The page, as Markdown; the same bytes for the same configs and metafiles.

    Args:
        root: Folder that holds ``configs/``.

    Raises:
        FileNotFoundError: A metafile names a config that is not there.
    """
    lines = [_HEADER]
    for family in FAMILIES:
        metafile = yaml.safe_load((root / 'configs' / family / 'metafile.yml').read_text())
        lines += [f'## {metafile["Collections"][0]["Name"]}', '',
                  '| ' + ' | '.join(_COLUMNS) + ' |', '|---' * len(_COLUMNS) + '|']
        lines += ['| ' + ' | '.join(row(root, *one)) + ' |' for one in _family(root, family)]
        lines.append('')
    return '\n'.join(lines)
