"""Keys that nothing reads, in files and in ``--cfg-options``: found before anything is built.

mmengine takes any key. One that is misspelled changes nothing, or surfaces as an error of the class
that is built with it, far from where it was written. Here keys are compared with what is read:
the runner's own, and the arguments of the classes that ``type`` names.
"""
import difflib
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import mmengine.registry
from mmdet import registry as mmdet_registry
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.detectors.single_stage_instance_seg import SingleStageInstanceSegmentor
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import BaseAveragedModel, BaseModule
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..errors import UserError
from ..registry import MODELS as OF_OUR_SCOPE
from .arguments import check_arguments

#: Keys of a config that something reads beside the runner's arguments.
_TOP = {
    'activation_checkpointing', 'compile', 'custom_imports', 'data_preprocessor',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'gpu_ids', 'model_wrapper_cfg',
    'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'}
#: Keys whose dictionaries go to a builder of its own, which takes more than the class does.
_PARTIAL = ('_cfg', 'plugins', 'dcn', 'sac', 'layer', 'override')
#: Keys whose dictionaries name functions, or are handed on as they are.
_UNTYPED = ('init_cfg', 'nms', 'roi_layer', 'test_cfg', 'paramwise_cfg', 'metainfo', 'custom_keys',
            'dist_cfg', 'mp_cfg', 'language_model', 'extra', 'lm_cfg')
#: Places where a type is always the name of something registered.
_REGISTERED = re.compile(
    r'model|model\.(backbone|neck|\w+_head)|optim_wrapper|optim_wrapper\.optimizer|train_cfg|'
    r'param_scheduler(\.\d+)?|(default|custom)_hooks\.\w+|\w+_dataloader\.(dataset|sampler)|'
    r'\w+_evaluator(\.\d+)?|.*pipeline\.\d+')
#: Those of them where nothing fills in a type that is left out.
_TYPED = re.compile(r'model|model\.(backbone|neck|\w+_head)|optim_wrapper\.optimizer|'
                    r'param_scheduler\.\d+|(default|custom)_hooks\.\w+|'
                    r'\w+_dataloader\.sampler|.*pipeline\.\d+')
#: Those whose classes are built when the work folder is there, and get no other arguments.
_STRICT = re.compile(r'optim_wrapper\.optimizer|(default|custom)_hooks\.\w+')
#: Of what may stand there, what no list of arguments names.
_UNSAID = {'type', '_scope_', '_delete_', 'init_cfg', 'params', 'defaults'}
#: What mmengine calls its own hooks.
_HOOKS = 'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'
#: Those that are given all that their class needs by the config.
_WHOLE = re.compile(r'model|model\.(backbone|neck|mask_head|bbox_head)')
#: Arguments that a builder adds or takes out, by the registry's name.
_EXTRA = dict(hook={'priority'}, parameter_scheduler={'convert_to_iter_based'},
              transform=set(), loop={'by_epoch'},
              optim_wrapper={'optimizer', 'constructor', 'paramwise_cfg'})


def known_keys() -> set[str]:
    """Keys at the top of a config that something reads."""
    return {*inspect.signature(Runner.__init__).parameters, *_TOP} - {'self', 'cfg'}


def check_keys(cfg: Config, name: str) -> None:
    """Refuse keys and types of a config that nothing knows.

    Args:
        cfg: After ``custom_imports``; its own variables (``max_epochs = 12`` beside ``train_cfg``)
            are left alone, unless they look like one of the runner's keys.
        name: Of the config, for the message.

    Raises:
        UserError: Naming the key and the one that was probably meant.
    """
    known = known_keys()
    for key in cfg:
        if key not in known and not key.endswith('_pipeline') \
                and (near := _nearest(key, known, 0.88)) \
                and not (key.startswith(near) or key.endswith(near)):
            raise UserError(f'{name}: nothing reads {key!r}: did you mean {near!r}?')
    for key in known & set(cfg):
        for place, node in nodes_of(cfg[key], key):
            _check_node(node, place, name)


def check_option(cfg: Config, key: str, name: str) -> None:
    """Refuse a dotted key of ``--cfg-options`` that changes nothing.

    Args:
        cfg: The config before it is changed.
        key: Such as ``'optim_wrapper.optimizer.lr'``.
        name: Of the config, for the message.

    Raises:
        UserError: Naming the key that was probably meant.
    """
    parts = key.split('.')
    known = known_keys()
    if parts[0] not in known:
        if parts[0] not in cfg:
            raise UserError(f'--cfg-options {key}: {name} has no {parts[0]!r}, and nothing would '
                            f'read it{_meant(cfg, key, known | set(cfg))}')
        readers = [place for place in _dotted(cfg) if place.split('.')[-1] == parts[-1]
                   and place.split('.')[0] in known]
        such = f', such as {readers[0]}' if readers else ''
        raise UserError(f'--cfg-options {key}: {parts[0]!r} is a variable of {name}, which is '
                        f'used while the file is read: set the keys that take its value{such}')
    node: Any = cfg
    for depth, part in enumerate(parts):
        place = '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not node:
                raise UserError(f'--cfg-options {key}: {place} is an empty list, in which nothing '
                                f'can be set: set {place} itself')
            if not part.isdecimal() or int(part) >= len(node):
                raise UserError(f'--cfg-options {key}: {place} is a list of {len(node)}, so a '
                                f'number from 0 to {len(node) - 1} must follow, not {part!r}')
            node = node[int(part)]
        elif isinstance(node, (dict, Config)):
            if part not in node:
                _check_new(node, part, place, key)
                return
            node = node[part]
        elif node is None:
            return
        else:
            raise UserError(f'--cfg-options {key}: {place} is {node!r}, which has no keys')


def _check_new(node, part, place, key):
    """A key that a dictionary does not have yet: does anything read it?"""
    allowed = _allowed(node, place) if place else None
    if not place or (allowed is not None and part in allowed):
        return
    # without a name that is like it, the class that is built with it decides
    near = _nearest(part, node, 0.8) if allowed is None else \
        _nearest(part, allowed | set(node), 0.6)
    if near or place in _CONTAINERS:
        raise UserError(f'--cfg-options {key}: nothing reads {part!r} in {place}'
                        + (f': did you mean {place}.{near}?' if near else
                           f'; it has {", ".join(sorted(node))}'))


def _check_node(node, place, name):
    kind = node.get('type')
    if kind is None and ('type' in node or _TYPED.fullmatch(place)):
        if _REGISTERED.fullmatch(place):
            near = place.startswith('default_hooks.') and _nearest(place.split('.')[1], _HOOKS, 0.7)
            raise UserError(f'{name}: {place} has no type: ' + (
                f'did you mean default_hooks.{near}?' if near else
                f'set {place}.type to the name of a class'))
    elif kind is not None and not isinstance(kind, str) and not callable(kind):
        raise UserError(f'{name}: {place}.type must be a name, not {kind!r}')
    if isinstance(kind, str) and not _untyped(place) and _is_known_scope(kind) \
            and not _classes(kind):
        near = _near_type(kind)
        # elsewhere a short or a strange one may be a word of the class that it is given to
        if _REGISTERED.fullmatch(place) or (near and len(kind) > 4):
            raise UserError(f'{name}: {place}.type: there is no {kind!r}'
                            + (f': did you mean {near!r}?' if near else
                               '; a module that registers it is named by custom_imports'))
    _check_defaults(node, place, name)
    for cls in {cls for _, cls in _found_classes(kind)} if not _untyped(place) else ():
        check_arguments(node, place, name, cls)
    if isinstance(kind, str) and _WHOLE.fullmatch(place):
        _check_needs(node, place, name)
    allowed = _allowed(node, place)
    for key in () if allowed is None else set(node) - allowed:
        near = _nearest(key, allowed, 0.82)
        if near or place in _CONTAINERS or _STRICT.fullmatch(place):
            what = kind if isinstance(kind, str) else getattr(kind, '__name__', place)
            raise UserError(f'{name}: {place}.{key}: {what} has no such argument'
                            + (f': did you mean {near!r}?' if near else
                               f'; it takes {", ".join(sorted(allowed - _UNSAID))}'))


def _check_defaults(node, place, name):
    """A dictionary in place of an argument's default needs a type: nothing joins the two."""
    for _, cls in _classes(node['type']) if isinstance(node.get('type'), str) else ():
        for key, parameter in _parameters(cls).items():
            given, default = node.get(key), parameter.default
            if isinstance(default, dict) and 'type' in default and isinstance(given, dict) \
                    and given and 'type' not in given:
                whole = ', '.join(f'{k}={v!r}' for k, v in (default | given).items())
                raise UserError(f'{name}: {place}.{key} has no type: it stands in place of the '
                                f'default of {node["type"]}; set all of it: {whole}')


def _check_needs(node, place, name):
    """What a class cannot be built without must be there."""
    for _, cls in _classes(node['type']):
        parameters = _parameters(cls)
        missing = [key for key, parameter in parameters.items()
                   if key not in node and parameter.default is parameter.empty
                   and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)]
        # these have None for a default, and refuse it
        missing += [key for key, base in (('mask_head', SingleStageInstanceSegmentor),
                                          ('bbox_head', SingleStageDetector))
                    if issubclass(cls, base) and key in parameters and not node.get(key)]
        if missing:
            raise UserError(f'{name}: {place} has no {missing[0]}, which {node["type"]} needs: '
                            f'set {place}.{missing[0]}'
                            + (' to a dictionary with a type' if place == 'model' else ''))


def _parameters(cls) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(cls).parameters)
    except (ValueError, TypeError):
        return {}


def _untyped(place):
    return any(part in _UNTYPED for part in place.split('.')[1:])


def _allowed(node, place) -> set[str] | None:
    """Keys that a dictionary may have, or None when anything may be in it."""
    if place in _CONTAINERS:
        return _CONTAINERS[place]
    if place in ('train_cfg', 'optim_wrapper', 'log_processor') and 'type' not in node:
        cls = dict(optim_wrapper=OptimWrapper, log_processor=LogProcessor).get(place)
        if cls is None:
            cls = mmengine.registry.LOOPS.get(
                'EpochBasedTrainLoop' if node.get('by_epoch', True) else 'IterBasedTrainLoop')
        return _arguments(cls) | {'type'} | _EXTRA.get(place, {'by_epoch'})
    for pattern, keys in _SPELLED:
        if pattern.fullmatch(place):
            return keys
    kind = node.get('type')
    last = place.split('.')[-1]
    if kind is None or _untyped(place) or any(last.endswith(end) for end in _PARTIAL
                                              if place != 'train_cfg'):
        return None
    found = _found_classes(kind)
    allowed = {'type', '_scope_', '_delete_'}
    for registry, cls in found:
        arguments = _arguments(cls)
        if arguments is None:
            return None
        allowed |= arguments | _EXTRA.get(registry.replace(' ', '_'), set())
    return allowed if found else None


def _arguments(cls) -> set[str] | None:
    """Names that a class or function takes; None when any."""
    names, ends = set(), False
    parts = [p for p in cls.__mro__ if '__init__' in vars(p)] if inspect.isclass(cls) else [cls]
    for part in parts:
        if part in (object, nn.Module, BaseModule):
            # keywords that came this far go somewhere else than to a base class
            break
        try:
            parameters = inspect.signature(
                part.__init__ if inspect.isclass(part) else part).parameters.values()
        except (ValueError, TypeError):
            return None
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        if part is CheckpointHook:  # the rest goes to Runner.save_checkpoint
            return names - {'self'} | {'meta'}
        if part is EMAHook:
            averaged = (one for registry in _registries() for one in registry.module_dict.values()
                        if inspect.isclass(one) and issubclass(one, BaseAveragedModel))
            return names.union(*(_arguments(one) or () for one in averaged)) - {'self', 'model'}
        ends = ends or all(p.kind is not p.VAR_KEYWORD for p in parameters)
    return names - {'self'} | {'init_cfg'} if ends else None


@lru_cache(None)
def _registries() -> tuple[Registry, ...]:
    return tuple(value for module in (mmdet_registry, mmengine.registry)
                 for value in vars(module).values() if isinstance(value, Registry))


#: What :func:`_classes` has looked up.
_found: dict[str, tuple[tuple[str, Any], ...]] = {}


def _found_classes(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The same for a type that may be the class itself."""
    if isinstance(kind, str):
        return _classes(kind)
    return () if kind is None else (('', kind), )


def _classes(kind: str) -> tuple[tuple[str, Any], ...]:
    """(name of the registry, class) of everything that has this name, with or without a scope."""
    if not _is_known_scope(kind):
        return ()
    if kind not in _found:
        found = ((registry.name, _get(registry, kind)) for registry in _registries())
        found = tuple((name, cls) for name, cls in found if cls is not None)
        if not found:
            return ()  # something may be registered under it later
        _found[kind] = found
    return _found[kind]


def _get(registry, kind):
    try:
        return registry.get(kind)
    except RuntimeError:  # nothing has this name in its scope
        return None


def _is_known_scope(kind: str) -> bool:
    """Whether a name has no scope, or one that is there: others are those of packages to come."""
    return '.' not in kind or kind.split('.')[0] in scopes()


def scopes() -> set[str]:
    """Names of the scopes of all registries that there are."""
    found, queue = set(), list(_registries())
    while queue:
        registry = queue.pop()
        found.add(registry.scope)
        queue.extend(registry.children.values())
    return found


def _near_type(kind: str) -> str | None:
    """The type that was probably meant."""
    if kind in OF_OUR_SCOPE.module_dict:
        return f'mmdet_lordre.{kind}'
    scope, _, name = kind.rpartition('.')
    names = _type_names()
    near = name if scope and name in names else _nearest(name, names, 0.7)
    return f'{scope}.{near}' if scope and near and _classes(f'{scope}.{near}') else near


def _type_names() -> set[str]:
    return {name for registry in _registries() for name in registry.module_dict}


def nodes_of(value: Any, place: str) -> Iterator[tuple[str, dict]]:
    """All dictionaries of a config value with their dotted keys, outermost first."""
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            yield from nodes_of(item, f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from nodes_of(item, f'{place}.{number}')


def _dotted(cfg: Config) -> Iterator[str]:
    for key in cfg:
        for place, node in nodes_of(cfg[key], key):
            yield from (f'{place}.{name}' for name in node)


def _nearest(word: str, words: Iterable[str], cutoff: float) -> str | None:
    close = difflib.get_close_matches(word, sorted(set(words) - {word}), n=1, cutoff=cutoff)
    return close[0] if close else None


def _meant(cfg: Config, key: str, top: set[str]) -> str:
    """The key that was probably meant: another first word, or the same last word elsewhere."""
    first, _, rest = key.partition('.')
    near = _nearest(first, top, 0.75)
    if near and (rest or near in cfg):
        return f': did you mean {near}{"." + rest if rest else ""}?'
    places = list(_dotted(cfg))
    ends = {place.split('.')[-1]: place for place in reversed(places)
            if place.split('.')[0] in top}
    last = key.split('.')[-1]
    near = last if last in ends else _nearest(last, ends, 0.7)
    return f': did you mean {ends[near]}?' if near else ''


_LOADER = set(inspect.signature(DataLoader.__init__).parameters) - {'self'} | {
    'num_batch_per_epoch', 'type'}
#: Dictionaries without a type, and what is read of them.
_CONTAINERS = dict(
    train_dataloader=_LOADER, val_dataloader=_LOADER, test_dataloader=_LOADER,
    env_cfg={'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    randomness={'seed', 'deterministic', 'diff_rank_seed'},
    auto_scale_lr={'enable', 'base_batch_size'}, **{'optim_wrapper.clip_grad': {
        'type', *inspect.signature(clip_grad_norm_).parameters,
        *inspect.signature(clip_grad_value_).parameters} - {'parameters'}})
#: Dictionaries of which other classes may read more: only what is like one of these is misspelled.
_SPELLED = (
    (re.compile(r'optim_wrapper\.paramwise_cfg'), {
        'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
        'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'}),
    (re.compile(r'optim_wrapper\.paramwise_cfg\.custom_keys\..+'), {'lr_mult', 'decay_mult'}),
    (re.compile(r'\w+_dataloader\.(.+\.)?filter_cfg'), {'filter_empty_gt', 'min_size'}))
