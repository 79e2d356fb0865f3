"""Values that no training can use, found before anything is built."""
import logging
import math
import multiprocessing
import re
from collections.abc import Callable
from typing import Any

from mmengine.config import Config

from ..errors import UserError
from .keys import nodes_of


def _whole(least: int, *others: Any) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if value in others and not isinstance(value, bool):
            return True
        return not isinstance(value, bool) and isinstance(value, int) and value >= least
    return fits


def _number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) \
        and math.isfinite(value) and value >= 0


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _level(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) \
        and isinstance(logging.getLevelName(value), (int, str)) \
        and not str(logging.getLevelName(value)).startswith('Level ')


def _deviations(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and all(
        _number(part) and part > 0 for part in value))


def _dictionaries(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, (list, tuple)) and bool(value)
                                       and all(isinstance(item, dict) for item in value))


def _transforms(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) \
        and all(isinstance(item, dict) or callable(item) for item in value)


#: Dotted keys, what their values must be, and a test of it.
_RULES = tuple((re.compile(pattern), text, fits) for pattern, text, fits in (
    (r'(train|val|test)_dataloader\.batch_size', 'a whole number from 1', _whole(1)),
    (r'(train|val|test)_dataloader\.num_workers', 'a whole number from 0', _whole(0)),
    (r'(train|val|test)_dataloader\.(.+\.)?dataset', 'a dictionary, or a list of them',
     _dictionaries),
    (r'(train|val|test)_dataloader\.(.+\.)?pipeline', 'a list of transforms', _transforms),
    (r'train_dataloader\.(.+\.)?times', 'a whole number from 1', _whole(1)),
    (r'(train|val|test)_dataloader\.(persistent_workers|pin_memory|drop_last)', 'True or False',
     _boolean),
    (r'train_cfg\.(max_epochs|max_iters|val_interval)', 'a whole number from 1', _whole(1)),
    (r'train_cfg\.val_begin', 'a whole number from 0', _whole(0)),
    (r'train_cfg\.by_epoch', 'True or False', _boolean),
    (r'default_hooks\.logger\.interval', 'a whole number from 1', _whole(1)),
    (r'default_hooks\.checkpoint\.interval', 'a whole number from 1, or -1 for none',
     _whole(1, -1)),
    (r'default_hooks\.checkpoint\.max_keep_ckpts', 'a whole number from 1, or -1 for all',
     _whole(1, -1)),
    (r'optim_wrapper\.accumulative_counts', 'a whole number from 1', _whole(1)),
    (r'optim_wrapper\.optimizer\.(lr|weight_decay|momentum)', 'a number from 0', _number),
    (r'optim_wrapper\.clip_grad\.max_norm', 'a number from 0', _number),
    (r'param_scheduler\.\d+\.by_epoch', 'True or False', _boolean),
    (r'optim_wrapper\.clip_grad', 'a dictionary, such as dict(max_norm=1), or None',
     lambda value: value is None or isinstance(value, dict)),
    (r'env_cfg\.mp_cfg', 'a dictionary', lambda value: isinstance(value, dict)),
    (r'model\.backbone', 'a dictionary with a type', lambda value: isinstance(value, dict)),
    (r'model\.(.+\.)?(num_classes|num_queries)', 'a whole number from 1', _whole(1)),
    (r'model\.(mask|bbox)_head\.(kernel_dim|(feat_|in_)?channels|depth|groups)',
     'a whole number from 1', _whole(1)),
    (r'model\.data_preprocessor\.pad_size_divisor', 'a whole number from 1', _whole(1)),
    (r'(train|val|test)_dataloader\.(.+\.)?filter_cfg\.min_size', 'a number from 0', _number),
    (r'param_scheduler\.\d+\.start_factor', 'a number above 0',
     lambda value: _number(value) and value > 0),
    (r'log_processor\.window_size', 'a whole number from 1', _whole(1)),
    (r'model\.(mask|bbox)_head\.(loss_mask|loss_cls|mask_feature_head|matcher)', 'a dictionary',
     lambda value: isinstance(value, dict)),
    (r'model\.data_preprocessor\.std', 'numbers above 0', _deviations),
    (r'randomness\.seed', 'a whole number from 0, or None', _whole(0, None)),
    (r'randomness\.(deterministic|diff_rank_seed)', 'True or False', _boolean),
    (r'auto_scale_lr\.base_batch_size', 'a whole number from 1', _whole(1)),
    (r'auto_scale_lr\.enable', 'True or False', _boolean),
    (r'env_cfg\.mp_cfg\.mp_start_method', ' or '.join(multiprocessing.get_all_start_methods()),
     lambda value: value is None or value in multiprocessing.get_all_start_methods()),
    (r'sync_bn', "'torch' or 'mmcv'", lambda value: value in ('torch', 'mmcv', None)),
    (r'log_level', 'the name of a level, such as INFO', _level)))

#: Keys of the runner, and what stands there.
_KINDS = {**dict.fromkeys((
    'model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'val_cfg',
    'test_cfg', 'optim_wrapper', 'default_hooks', 'env_cfg', 'randomness', 'log_processor',
    'visualizer', 'auto_scale_lr'), (dict, 'a dictionary')),
    'custom_hooks': ((list, tuple), 'a list'),
    **dict.fromkeys(('val_evaluator', 'test_evaluator'),
                    ((dict, list, tuple), 'a metric or a list of metrics')),
    'default_scope': (str, 'the name of a scope, such as mmdet'),
    'param_scheduler': ((list, tuple, dict), 'a list of schedulers'),
    'compile': ((bool, dict), 'True or False, or a dictionary of arguments of torch.compile'),
    'find_unused_parameters': (bool, 'True or False'),
    'work_dir': (str, 'a folder'), 'load_from': (str, 'a file'), 'resume': (bool, 'True or False')}


def check_values(cfg: Config, name: str) -> None:
    """Refuse values of the runner's own keys that cannot be meant.

    Args:
        cfg: Complete. Where a whole number is expected, a float that is one becomes an integer:
            mmengine would count with it.
        name: Of the config, for the message.

    Raises:
        UserError: Naming key, value and what is expected.
    """
    for key, (kind, text) in _KINDS.items():
        if cfg.get(key) is not None and not isinstance(cfg[key], kind):
            raise UserError(f'{name}: {key} must be {text}, not {_brief(repr(cfg[key]))}')
    _check_items(cfg, name)
    for top in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'train_cfg', 'model',
                'default_hooks', 'optim_wrapper', 'param_scheduler', 'randomness',
                'auto_scale_lr', 'env_cfg', 'log_processor'):
        for place, node in nodes_of(cfg.get(top), top):
            for key, value in list(node.items()):
                if _is_float_for_whole(f'{place}.{key}', value):
                    node[key] = int(value)
                else:
                    _check(f'{place}.{key}', value, name)
    for key in {'log_level', 'sync_bn'} & set(cfg):
        _check(key, cfg[key], name)
    if cfg.model.get('data_preprocessor', 0) is None and not cfg.get('data_preprocessor'):
        raise UserError(f'{name}: model.data_preprocessor=None: images would reach the model as '
                        'they are; take DetDataPreprocessor, with the mean and std of its weights')
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader') or {}
        if loader.get('persistent_workers') and not loader.get('num_workers'):
            raise UserError(f'{name}: {split}_dataloader.persistent_workers=True needs '
                            'num_workers of 1 or more')


def _check_items(cfg: Config, name: str) -> None:
    for key in ('param_scheduler', 'custom_hooks', 'default_hooks', 'val_evaluator',
                'test_evaluator'):
        value = cfg.get(key) or ()
        parts = enumerate(value) if isinstance(value, (list, tuple)) else \
            value.items() if key == 'default_hooks' else ()
        for part, item in parts:
            # a hook is switched off by None
            if isinstance(item, (str, int, float)) or (item is None and key != 'default_hooks'):
                raise UserError(f'{name}: {key}.{part} must be a dictionary with a type, not '
                                f'{item!r}')
    wrapper = cfg.get('optim_wrapper') or {}
    # a constructor of its own may have optimizers under other names
    if wrapper and wrapper.get('optimizer') is None and not wrapper.get('constructor'):
        raise UserError(f'{name}: optim_wrapper.optimizer is missing (or None): set '
                        "optim_wrapper.optimizer=dict(type='AdamW', lr=1e-4)")
    factors = str(wrapper.get('paramwise_cfg') or '')
    optimizer = wrapper.get('optimizer')
    if 'decay_mult' in factors and isinstance(optimizer, dict) \
            and optimizer.get('weight_decay') is None and not wrapper.get('constructor'):
        raise UserError(f'{name}: paramwise_cfg scales the weight decay, but '
                        'optim_wrapper.optimizer sets none: set '
                        'optim_wrapper.optimizer.weight_decay')


def _is_float_for_whole(place: str, value: Any) -> bool:
    return isinstance(value, float) and value.is_integer() and any(
        pattern.fullmatch(place) and not fits(value) and fits(int(value))
        for pattern, _, fits in _RULES)


def _check(place: str, value: Any, name: str) -> None:
    for pattern, text, fits in _RULES:
        if pattern.fullmatch(place) and not fits(value):
            raise UserError(f'{name}: {place} must be {text}, not {_brief(repr(value))}')


def check_kind(place: str, before: Any, value: Any) -> None:
    """Refuse a value of ``--cfg-options`` of another kind than what it replaces.

    Args:
        place: Its dotted key.
        before: What the config has there.
        value: What is to be there.

    Raises:
        UserError: Text for a number, True or False, a dictionary or a list.
    """
    if value is None or before is None:
        return
    wanted = None
    if isinstance(before, bool):
        wanted = None if isinstance(value, bool) else 'True or False'
    elif isinstance(before, (int, float)) and isinstance(value, (str, bool)):
        wanted = 'a number'
    elif isinstance(before, dict) and not isinstance(value, (dict, list)):
        wanted = 'a dictionary: set one of its keys'
    elif isinstance(before, (list, tuple)) and isinstance(value, (str, bool)):
        wanted = 'a list, such as [1,2]'
    if wanted:
        raise UserError(f'--cfg-options {place}={value}: the config has '
                        f'{_brief(before)} there, so it must be {wanted}')


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def value_at(cfg: Config, key: str) -> Any:
    """The value of a dotted key, or :data:`MISSING`."""
    node: Any = cfg
    for part in key.split('.'):
        if isinstance(node, (dict, Config)) and part in node:
            node = node[part]
        elif isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return MISSING
    return node


#: No such key.
MISSING = object()
