"""Settings that a config may hold, and that nothing reads."""
from mmdet.registry import MODELS

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


def _package(kind):
    if isinstance(kind, str):
        try:
            kind = MODELS.get(kind)
        except RuntimeError:  # nothing has this name in its scope
            return ''
    return getattr(kind, '__module__', '').partition('.')[0]


def _name(kind):
    return kind if isinstance(kind, str) else kind.__name__
