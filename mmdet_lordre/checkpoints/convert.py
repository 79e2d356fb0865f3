"""From a published checkpoint to one that this project's configs load."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmdet.datasets import CocoDataset
from torch import Tensor

from ..files import atomic_write, refuse_overwriting
from ..text import agree, plural
from . import backbones, formats
from .reading import read_published, sha256
from .rules import Conversion, ConversionError
from .verify import find_configs, read_config, verify

COCO_CLASSES = CocoDataset.METAINFO['classes']


def convert_state_dict(state: Mapping[str, Tensor], format: str = 'auto',
                       meta: Mapping | None = None) -> Conversion:
    """Rename a published state dict to this project's names.

    Args:
        state: Published names and tensors; a whole model, a head alone or a backbone alone.
        format: ``'auto'`` to tell it from the names, ``'imagenet'`` or a key of
            :data:`FORMATS`.
        meta: The file's meta data, for the class names.

    Returns:
        The renamed state dict with the account of every name.

    Raises:
        ConversionError: An unknown format, names that have no place (all are listed), or class
            names that do not fit the classifier.
    """
    known = ('auto', 'imagenet', *formats.FORMATS)
    if format not in known:
        raise ConversionError(f'no format {format!r}; known: {", ".join(known)}')
    if format == 'auto':
        format = formats.find_format(state)
    if format == 'imagenet':
        return backbones.convert_backbone(state)
    fmt = formats.FORMATS[format]
    result = fmt.convert(state)
    result.classes = _classes(fmt.num_classes(state), meta or {}, result)
    return result


def _classes(count: int | None, meta: Mapping, result: Conversion) -> tuple[str, ...] | None:
    """The class names: those that the file states, or COCO's for a classifier of 80 rows."""
    stated = meta.get('CLASSES') or (meta.get('dataset_meta') or {}).get('classes')
    if isinstance(stated, str):
        stated = (stated, )
    if stated:
        stated = tuple(str(name) for name in stated)
        if count is not None and count != len(stated):
            raise ConversionError(f'the file names {plural(len(stated), "class")}, but its '
                                  f'classifier has {count}')
        # mmdet 1.x wrote underscores.
        if tuple(name.replace('_', ' ') for name in stated) == COCO_CLASSES:
            return COCO_CLASSES
        if sorted(name.replace('_', ' ') for name in stated) == sorted(COCO_CLASSES):
            result.notes.append("the file's classes are COCO's in another order; its order is kept")
        return stated
    if count == len(COCO_CLASSES):
        return COCO_CLASSES
    if count is not None:
        result.notes.append(f'the classifier has {plural(count, "class")} and the file does '
                            f'not name {agree(count, "it", "them")}')
    return None


def dataset_meta(classes: tuple[str, ...] | None) -> dict:
    """``dataset_meta`` of a checkpoint's meta data: classes, and colors if they are COCO's."""
    if not classes:
        return {}
    found = dict(classes=tuple(classes))
    if classes == COCO_CLASSES:
        found['palette'] = [tuple(color) for color in CocoDataset.METAINFO['palette']]
    return dict(dataset_meta=found)


def convert_file(source: str | os.PathLike, target: str | os.PathLike, format: str = 'auto',
                 config: str | os.PathLike | None = None, overwrite: bool = False) -> Conversion:
    """Convert a checkpoint file.

    The written file loads with ``weights_only=True`` and holds ``state_dict`` and ``meta``:
    ``dataset_meta`` (classes, palette), ``source`` (file name, SHA-256, format) and, with a
    config, ``config`` (its name) and ``cfg`` (its text).

    Args:
        source: The published file.
        target: The file to write; its folder is made.
        format: As in :func:`convert_state_dict`.
        config: A config whose model the result must fit; nothing is written if it does not.
            ``'auto'`` looks for one among this project's, if the file holds a whole model.
        overwrite: Replace a target that is there; never the source.

    Raises:
        UserError: The target is there already.
        ConversionError: As in :func:`read_published` and :func:`convert_state_dict`, or a result
            that does not fit the model of ``config``.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    refuse_overwriting([target], overwrite, (source, ), 'overwrite=True')
    state, published_meta = read_published(source)
    try:
        result = convert_state_dict(state, format, published_meta)
    except ConversionError as error:
        raise ConversionError(f'{source}: {error}') from None

    meta = dict(source=dict(file=source.name, sha256=sha256(source), format=result.format),
                **dataset_meta(result.classes))
    if config == 'auto':
        config = _find_config(result)
    if config is not None:
        cfg = read_config(config)
        verify(result, cfg, str(config))
        meta.update(config=Path(config).stem, cfg=cfg.pretty_text)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as unfinished:
        torch.save(dict(meta=meta, state_dict=result.state), unfinished)
    return result


def _find_config(result: Conversion) -> Path | None:
    if result.format not in formats.FORMATS or result.layout is None:
        return None
    found = find_configs(result, formats.FORMATS[result.format].family)
    if not found:
        result.notes.append('no config of this project has exactly this model')
        return None
    others = ', '.join(path.stem for path in found[1:])
    result.notes.append(f'config {found[0].stem}' + (f'; the same model: {others}' if others
                                                     else ''))
    return found[0]
