"""Reading configurations, and finding one's way in them."""
import difflib
import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..errors import UserError
from ..files import CONFIG, refuse_large
from .keys import check_keys, check_option
from .plain_yaml import plain_yaml
from .values import MISSING, check_kind, check_values, value_at

_TUPLES = {'scale', 'scales', 'img_scale', 'img_scales', 'crop_size', 'scale_factor',
           'short_edge_length', 'cutout_shape'}
#: How names of configs end: text that is run, and text that is data.
_ENDINGS = ('.py', '.json', '.yml', '.yaml')
#: Keys whose None stands for mmengine's default, which it takes where the key is missing.
_DEFAULTS = ('env_cfg', 'randomness')

#: Parts of a model whose ``num_classes`` is not that of the instances: an RPN tells objects from
#: background, HTC's semantic head knows the 183 classes of COCO-Stuff.
OTHER_CLASSES = ('backbone', 'data_preprocessor', 'rpn_head', 'semantic_head')


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config file, or one of mmdet's by ``mmdet::folder/name.py``.

    Args:
        path: ``.py``, ``.json`` or ``.yml`` file.
        options: Values that override it, by dotted key.

    Raises:
        UserError: No such file, a file that cannot be read as a config, an option that does not
            fit the config, or keys and values that nothing can use.
    """
    source = file_of(path)
    if not os.path.isfile(source):
        if os.path.exists(source):
            raise UserError(f'config {path} is no file: '
                            + ('a folder; give a config in it' if os.path.isdir(source)
                               else 'give an ordinary one'))
        raise UserError(f'no such config: {path}{_similar(source)}')
    cfg = _read(path, source)
    return finish_config(cfg, f'config {path}', options, path)


def file_of(path: str) -> str:
    """The file of a config: its path, or of ``package::folder/name.py`` that in the package.

    Raises:
        UserError: The package is not installed.
    """
    package, separator, name = path.partition('::')
    if not separator:
        return path
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f'no such config: {path} ({package} is not installed)')
    return os.path.join(spec.submodule_search_locations[0], '.mim', 'configs', name)


def finish_config(cfg: Config, where: str, options: dict | None = None,
                  path: str | None = None) -> Config:
    """Put in the options and check what was read.

    Args:
        cfg: Changed in place.
        where: What it is, in words.
        options: Values that override it, by dotted key.
        path: Its name (default: the words).

    Raises:
        UserError: See :func:`load_config`.
    """
    path = path or where
    if cfg.get('model') is None:
        raise UserError(f'{where} has no "model": is it a _base_ file?')
    # names of types in the config are looked up in this scope
    scope = cfg.get('default_scope')
    init_default_scope(scope if isinstance(scope, str) else 'mmdet')
    for key, value in (options or {}).items():
        check_option(cfg, key, path)
        if (before := value_at(cfg, key)) is not MISSING:
            check_kind(key, before, value)
    if options:
        try:
            cfg.merge_from_dict(options)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise UserError(f'--cfg-options does not fit {path}: {error}') from error
        if cfg.get('model') is None:
            raise UserError(f'--cfg-options model={cfg.model!r}: without a model nothing can be '
                            'built')
    if cfg.get('default_scope') is None:
        cfg.default_scope = 'mmdet'
    for key in _DEFAULTS:
        if key in cfg and cfg[key] is None:
            cfg.pop(key)
    check_values(cfg, where)
    check_keys(cfg, where)
    return cfg


def is_config_name(name: str) -> bool:
    """Whether a name is that of a config, and not of a checkpoint."""
    return name.endswith(_ENDINGS) or '::' in name


def _read(path, source):
    refuse_large(source, CONFIG)
    if not source.endswith(_ENDINGS):
        raise UserError(f'{path} is not a config (.py, .json or .yml)'
                        + ': give the config first, then the checkpoint'
                        * source.endswith(('.pth', '.pt')))
    try:
        with plain_yaml():
            cfg = Config.fromfile(source)
        if source.endswith(_ENDINGS[1:]):
            _restore_tuples(cfg)
        return cfg
    except FileNotFoundError as error:
        raise UserError(f'config {path} inherits from a file that does not exist: '
                        f'{error.filename or error}') from error
    except yaml.constructor.ConstructorError as error:
        raise UserError(f'config {path} refused: {error.problem}, which is not data and could '
                        'run code') from error
    except yaml.YAMLError as error:
        raise UserError(f'config {path} is not YAML: {" ".join(str(error).split())}') from error
    except SyntaxError as error:
        at = f' (line {error.lineno})' if error.lineno else ''
        raise UserError(f'config {path} is not Python: {error.msg}{at}') from error
    except RecursionError as error:
        raise UserError(f'config {path} inherits from itself, through its own _base_ or that of '
                        'another config') from error
    except Exception as error:  # a config is a program, in which anything may fail
        raise UserError(f'config {path} cannot be read: {type(error).__name__}: {error} '
                        '(MMDET_LORDRE_TRACEBACK=1 shows where)') from error


def _restore_tuples(cfg):
    """Sizes in pipelines, which transforms want as tuples and JSON can only say as lists."""
    for node in dicts_in(cfg, skip=('model',)):
        for key in _TUPLES & set(node):
            value = node[key]
            if isinstance(value, list) and value and all(isinstance(v, list) for v in value):
                node[key] = [tuple(item) for item in value]
            elif isinstance(value, list) and len(value) == 2 and not isinstance(value[0], dict):
                node[key] = tuple(value)


def dicts_in(node: Any, skip: Sequence[str] = ()) -> Iterator[dict]:
    """All dictionaries in a config value, outermost first.

    Args:
        node: A config, dictionary, list or anything else.
        skip: Keys that are not entered.
    """
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, dict):
        yield node
        for key in list(node):
            if key not in skip:
                yield from dicts_in(node[key], skip)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from dicts_in(item, skip)


def type_name(part: dict) -> str:
    """Name of the class that a part of a config is built as, without scope or module."""
    kind = part.get('type')
    return str(getattr(kind, '__name__', kind)).split('.')[-1]


def tile_of(cfg: Config) -> int | None:
    """Side of the tiles that a config trains and tests on, None where it takes whole pictures."""
    tile = (cfg.get('test_cfg') or {}).get('tile')
    return int(tile) if tile else None


def leaf_datasets(dataset: dict | Sequence | None) -> Iterator[dict]:
    """The data sets that read files, inside any wrappers (repeat, concatenate, mix).

    Args:
        dataset: ``train_dataloader.dataset`` and the like.
    """
    if dataset is None:
        return
    if isinstance(dataset, (list, tuple)):
        for item in dataset:
            yield from leaf_datasets(item)
    elif 'dataset' in dataset or 'datasets' in dataset:
        for key in ('dataset', 'datasets'):
            yield from leaf_datasets(dataset.get(key))
    else:
        yield dataset


def split_datasets(cfg: Config, split: str) -> list[dict]:
    """The data sets of 'train', 'val' or 'test'; none when the split is not configured."""
    loader = cfg.get(f'{split}_dataloader')
    return list(leaf_datasets(loader.get('dataset'))) if loader else []


def evaluators(cfg: Config, split: str) -> list[dict]:
    """The metrics of 'val' or 'test', as dictionaries."""
    found = cfg.get(f'{split}_evaluator')
    if found is None:
        return []
    found = found if isinstance(found, (list, tuple)) else [found]
    return [metric for entry in found
            for metric in ([entry] if 'metrics' not in entry else
                           entry['metrics'] if isinstance(entry['metrics'], (list, tuple))
                           else [entry['metrics']])]


def max_dets_of(metrics: Sequence[dict]) -> list[int] | None:
    """Detections of a class in an image that these metrics count at most; None for COCO's.

    Args:
        metrics: See :func:`evaluators`; of others a number of that name may mean anything.
    """
    return max((list(metric['max_dets']) for metric in metrics
                if type_name(metric) == 'CocoMaskMetric' and metric.get('max_dets')),
               key=lambda limits: limits[-1], default=None)


def dataset_files(dataset: dict) -> tuple[str, str]:
    """(annotation file, image folder) of a data set, as mmengine will join them."""
    def joined(name):
        root = dataset.get('data_root') or ''
        return name if not name or '://' in name else os.path.join(root, name)
    prefix = dataset.get('data_prefix') or {}
    images = prefix.get('img', prefix.get('img_path', ''))
    return joined(dataset.get('ann_file') or ''), joined(images) or dataset.get('data_root') or ''


def model_class_counts(cfg: Config) -> dict[str, int]:
    """{dotted key: num_classes} of the heads that tell instances apart."""
    found = {}

    def visit(node, key):
        if isinstance(node, dict):
            if isinstance(node.get('num_classes'), int):
                found[key] = node['num_classes']
            for name, value in node.items():
                if name not in OTHER_CLASSES:
                    visit(value, f'{key}.{name}')
        elif isinstance(node, (list, tuple)):
            for i, value in enumerate(node):
                visit(value, f'{key}.{i}')
    visit(cfg.model, 'model')
    return found


def input_size(cfg: Config) -> tuple[int, int]:
    """Padded height and width of a landscape image that fills the test size of a config.

    mmcv's ``Resize`` keeps the aspect ratio only if told to, and takes one number for both sides.

    Raises:
        ValueError: The test pipeline does not resize to a fixed size.
    """
    step = next((step for step in next(iter(split_datasets(cfg, 'test')), {}).get('pipeline') or ()
                 if type_name(step) == 'Resize' and step.get('scale')), None)
    if step is None:
        raise ValueError('the test pipeline has no Resize with a scale: give the size')
    scale = (step.scale, ) * 2 if isinstance(step.scale, int) else step.scale
    divisor = cfg.model.data_preprocessor.get('pad_size_divisor', 1)
    height, width = (min(scale), max(scale)) if step.get('keep_ratio') else scale[::-1]
    return tuple(math.ceil(side / divisor) * divisor for side in (height, width))


def _similar(path):
    folder = Path(path).parent
    names = [str(p) for p in folder.glob('*.py')] if folder.is_dir() else []
    names += [str(p) for p in Path('configs').glob('*/*.py') if not names]
    close = difflib.get_close_matches(path, names, n=1, cutoff=0.6)
    return f' (did you mean {close[0]}?)' if close else ''
