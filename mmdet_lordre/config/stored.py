"""The config that a checkpoint carries, read as data: a checkpoint runs no code.

mmengine writes the text of the config into every checkpoint, as Python. It is assignments of
literals and ``dict(...)`` alone, so that is all that is read here, and the types in it must be
names that are registered: mmengine would import anything else that a type names.
"""
import ast
import itertools
import math
from typing import Any

from mmengine import registry as of_mmengine
from mmengine.config import Config
from mmengine.registry import Registry

from ..errors import UserError
from ..files import CONFIG
from ..text import quoted
from .keys import scopes
from .reading import dicts_in, finish_config

_NUMBERS = dict(inf=math.inf, nan=math.nan)


def stored_config(checkpoint: dict, path: str, options: dict | None = None) -> Config | None:
    """The config in a checkpoint that mmengine wrote.

    Args:
        checkpoint: As it was read.
        path: Its name, for messages and as the file name of the config.
        options: Values that override it, by dotted key.

    Returns:
        None where the checkpoint carries none.

    Raises:
        UserError: What is there is no plain config, or not one that can be used.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str) or not text.strip():
        return None
    where = f'the config in {path}'
    if len(text) > CONFIG:
        raise UserError(f'{where} has {len(text) / 2**20:.0f} MiB, which no config has: give the '
                        'config file')
    content = _assignments(text, where)
    _check_types(content, where)
    imports = content.pop('custom_imports', None) or {}
    names = imports.get('imports', ()) if isinstance(imports, dict) else ()
    foreign = [name for name in ([names] if isinstance(names, str) else names)
               if str(name).split('.')[0] not in ('mmdet_lordre', 'mmdet')]
    if foreign:
        raise UserError(f'{where} imports {quoted(foreign[0])}, which a checkpoint may not: give '
                        'the config file')
    return finish_config(Config(content, filename=None), where, options)


def _assignments(text: str, where: str) -> dict:
    try:
        tree = ast.parse(text)
        return {_target(node): _value(node.value) for node in tree.body}
    except SyntaxError as error:
        raise UserError(f'{where} is not Python: {error.msg}: give the config file') from error
    except (_NoDataError, RecursionError, MemoryError, ValueError) as error:
        raise UserError(f'{where} is more than plain values ({error}): give the config '
                        'file') from error


class _NoDataError(Exception):
    pass


def _target(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 \
            and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    raise _NoDataError(f'line {node.lineno}: a {type(node).__name__.lower()}')


def _value(node: ast.expr) -> Any:
    """What a literal or ``dict(...)`` stands for."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Set):
        return {_value(item) for item in node.elts}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' \
            and not node.args:
        pairs = [(k.arg, _value(k.value)) for k in node.keywords]
        # dict(a=1, **{'b c': 2}): names that are no identifiers
        return dict(itertools.chain.from_iterable(
            v.items() if k is None and isinstance(v, dict) else [(k, v)] for k, v in pairs))
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        if isinstance(value, (int, float)):
            return -value
    raise _NoDataError(f'line {node.lineno}: {quoted(ast.unparse(node), 60)}')


#: Kinds of suppression, which mmcv knows by the names of its functions.
_SUPPRESSION = {'nms', 'soft_nms'}


def _check_types(content: dict, where: str) -> None:
    # registering is what importing mmdet's modules does
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    known = _registered() | _SUPPRESSION
    allowed = scopes()
    for node in dicts_in(content):
        kind = node.get('type')
        if kind is not None and (not isinstance(kind, str) or kind.split('.')[-1] not in known
                                 or '.'.join(kind.split('.')[:-1]) not in ('', *allowed)):
            raise UserError(f'{where} names the type {quoted(kind)}, which is registered nowhere: '
                            'give the config file')


def _registered() -> set[str]:
    """Names in all registries of mmengine and of what is built on them."""
    names, queue = set(), [value for value in vars(of_mmengine).values()
                           if isinstance(value, Registry)]
    while queue:
        registry = queue.pop()
        registry.import_from_location()
        names |= set(registry.module_dict)
        queue.extend(registry.children.values())
    return names
