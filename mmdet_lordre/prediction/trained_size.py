"""The size of pictures that a config is for, read from its pipelines."""
from collections.abc import Iterator
from statistics import median

from mmengine.config import Config

from ..config.reading import split_datasets, tile_of, type_name

#: Side of tiles where nothing says what a model was trained at.
_SIDE = 1024
#: Steps that give pictures one size, and what of them says it.
_FIXED = {'Resize': 'scale', 'FixScaleResize': 'scale'}
_RANDOM = {'RandomChoiceResize': 'scales', 'RandomResize': 'scale', 'RandomCrop': 'crop_size'}


def trained_side(cfg: Config) -> int:
    """Side of the tiles that a config is for.

    Where it names none, that of the square that its test pipeline leaves as it is: the shorter side
    of its resize. Where that has no fixed size, the first resize or crop of the training pipeline
    says it: of several sizes the middle one. Or else 1024.
    """
    if (tile := tile_of(cfg)) is not None:
        return tile
    for split, kinds in (('test', _FIXED), ('train', _FIXED | _RANDOM)):
        for step in _steps(cfg, split):
            key = kinds.get(type_name(step))
            side = key and _side(step.get(key), step)
            if side:
                return max(32, round(side))
    return _SIDE


def _steps(cfg, split) -> Iterator[dict]:
    dataset = next(iter(split_datasets(cfg, split)), {})
    yield from _flat(dataset.get('pipeline') or [])


def _flat(steps):
    """Steps, and those within them (of ``RandomChoice``, say)."""
    for step in steps:
        if isinstance(step, (list, tuple)):
            yield from _flat(step)
        elif isinstance(step, dict):
            yield step
            yield from _flat(step.get('transforms') or [])


def _side(value, step):
    """Shorter side in pixels, None where it is none."""
    if _pixels(value):
        side = value
    elif isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_pixels, value)) \
            and 'Choice' not in type_name(step):
        side = min(value)
    elif isinstance(value, (list, tuple)) and value:
        sides = [_side(one, dict(type='')) for one in value]
        side = median(sides) if all(sides) else None
    else:
        return None
    span = step.get('ratio_range')
    return side * sum(span) / 2 if side and span and 'RandomResize' in type_name(step) else side


def _pixels(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
