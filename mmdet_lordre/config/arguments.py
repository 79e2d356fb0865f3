"""Values of arguments, compared with the annotations of the class that they are given to.

A number that was written as text passes every reader of configs, and surfaces in the middle of a
training as an error of arithmetic. The classes of this package say what they take; of the losses
of mmdet, which do not, the defaults do.
"""
import inspect
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Union

from ..errors import UserError
from ..text import quoted

#: Packages whose annotations are demanded, and one whose defaults are.
_OURS, _BY_DEFAULT = 'mmdet_lordre', 'mmdet.models.losses'
_WORDS = {int: 'a whole number', float: 'a number', bool: 'True or False', str: 'text',
          type(None): 'None', dict: 'a dictionary', list: 'a list', tuple: 'a list'}
_MANY = {int: 'whole numbers', float: 'numbers', str: 'texts', dict: 'dictionaries'}
_LISTS = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)


def check_arguments(node: dict, place: str, name: str, cls: Any) -> None:
    """Refuse values of another kind than the class takes.

    Args:
        node: A dictionary of a config, with a type. A float that is a whole number, where one is
            wanted, becomes an integer.
        place: Its dotted key.
        name: Of the config, for the message.
        cls: What ``type`` names.

    Raises:
        UserError: Naming key, value and what is expected.
    """
    for key, hint in _hints(cls).items():
        if key not in node or key == 'type':
            continue
        value = node[key]
        if not fits(value, hint):
            raise UserError(f'{name}: {place}.{key} must be {words(hint)}, not {quoted(value)}')
        if isinstance(value, float) and not fits(value, hint, whole=False):
            node[key] = int(value)


@lru_cache(None)
def _hints(cls) -> dict[str, Any]:
    """What the arguments of a class or function are said to be, those that are known."""
    found: dict[str, Any] = {}
    for part in cls.__mro__ if inspect.isclass(cls) else (cls, ):
        module = getattr(part, '__module__', '') or ''
        called = vars(part).get('__init__') if inspect.isclass(cls) else cls
        if called is None:
            continue
        if module.split('.')[0] == _OURS:
            for key, hint in _annotations(called):
                found.setdefault(key, hint)
        elif module.startswith(_BY_DEFAULT):
            for key, parameter in inspect.signature(called).parameters.items():
                kind = type(parameter.default)
                if kind in (bool, int, float):
                    # a weight of 1 may be 0.5 as well
                    found.setdefault(key, float if kind is int else kind)
    return found


def _annotations(called) -> Iterator[tuple[str, Any]]:
    try:
        hints = typing.get_type_hints(called)
        parameters = inspect.signature(called).parameters
    except (NameError, TypeError, ValueError):  # of what is imported for type checkers alone
        return
    for key, parameter in parameters.items():
        if key in hints and parameter.kind not in (parameter.VAR_KEYWORD,
                                                   parameter.VAR_POSITIONAL):
            yield key, hints[key] if parameter.default is not None else hints[key] | None


def fits(value: Any, hint: Any, whole: bool = True) -> bool:
    """Whether a value of a config is what an annotation says.

    Args:
        value: Of a config.
        hint: An annotation; one that is not known here fits everything.
        whole: Whether a float that is a whole number fits ``int``.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one, whole) for one in inner)
    if origin is Literal:
        return value in inner
    if hint is int:
        return not isinstance(value, bool) and (
            isinstance(value, int) or (whole and isinstance(value, float) and value.is_integer()))
    if hint is float:
        return not isinstance(value, bool) and isinstance(value, (int, float)) \
            and not math.isnan(value)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    if (origin or hint) in _MAPPINGS:
        return isinstance(value, Mapping)
    if (origin or hint) in _LISTS:
        return _list_fits(value, (origin or hint) is tuple, inner)
    return True


def _list_fits(value, fixed, inner):
    if not isinstance(value, (list, tuple)):
        return False
    if fixed and inner and Ellipsis not in inner:
        return len(value) == len(inner) and all(map(fits, value, inner, [False] * len(inner)))
    return not inner or all(fits(item, inner[0], whole=False) for item in value)


def words(hint: Any) -> str:
    """What an annotation says, for people."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(words(one) for one in inner))
    if origin is Literal:
        return ' or '.join(map(repr, inner))
    if (origin or hint) in _LISTS:
        if inner and (origin is not tuple or Ellipsis in inner) and inner[0] in _MANY:
            return f'a list of {_MANY[inner[0]]}'
        if inner and len(set(inner)) == 1 and inner[0] in _MANY:
            return f'a list of {len(inner)} {_MANY[inner[0]]}'
        return 'a list'
    return _WORDS.get(dict if (origin or hint) in _MAPPINGS else hint, str(hint))
