"""Settings that a config may hold, and that nothing reads."""
import ast

from mmdet.registry import MODELS
from mmengine.config import Config

from .keys import known_keys, nodes_of

_HEADS = ('mask_head', 'bbox_head')
#: Packages whose detectors do nothing with them but to hand them to the head.
_DETECTORS = ('mmdet', 'mmdet_lordre')


def unread_train_cfg(model: dict) -> list[str]:
    """A line for each ``train_cfg`` of a model with one of our heads, which read none.

    mmdet's heads take their assigner and sampler from there. Heads and detectors of other projects
    may read it, also those that are made of ours.

    Args:
        model: Of a config, after ``custom_imports``.
    """
    lines = []
    for key in _HEADS:
        head = model.get(key)
        if not isinstance(head, dict) or _package(head.get('type')) != 'mmdet_lordre':
            continue
        found = {f'model.{key}.train_cfg': head.get('train_cfg')}
        if _package(model.get('type')) in _DETECTORS:
            found['model.train_cfg'] = model.get('train_cfg')
        lines += [f'{place} ({", ".join(map(str, value))}) changes nothing: {_name(head["type"])} '
                  'reads none of it, its own arguments say what is learned where'
                  for place, value in found.items() if value]
    return lines


def unread_variables(cfg: Config) -> list[str]:
    """A line for each variable that a config with a ``_base_`` sets, to no effect.

    ``max_iters = 9000`` changes no ``train_cfg`` of a base, which was read before. Variables that
    the config uses itself are left alone, and so are all where modules of others may read them.

    Args:
        cfg: With the name of its file.
    """
    path = str(cfg.filename or '')
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else imports
    if not path.endswith('.py') or any(name.split('.')[0] not in _DETECTORS for name in imports):
        return []
    try:
        with open(path, encoding='utf-8') as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return []
    names = [target.id for line in tree.body if isinstance(line, ast.Assign)
             for target in line.targets if isinstance(target, ast.Name)]
    if '_base_' not in names:
        return []
    read = {node.id for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    known = known_keys()
    lines = []
    for name in dict.fromkeys(names):
        if name in read or name in known or name.startswith('_'):
            continue
        taker = next((f'{place}.{name}' for top in sorted(known & set(cfg))
                      for place, node in nodes_of(cfg[top], top) if name in node), None)
        lines.append(f'{path}: {name} changes nothing: nothing in this file uses it, and its '
                     '_base_ is read before; set the keys that take it'
                     + (f', such as {taker}' if taker else ''))
    return lines


def _package(kind):
    if isinstance(kind, str):
        try:
            kind = MODELS.get(kind)
        except RuntimeError:  # nothing has this name in its scope
            return ''
    return getattr(kind, '__module__', '').partition('.')[0]


def _name(kind):
    return kind if isinstance(kind, str) else kind.__name__
