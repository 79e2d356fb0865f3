"""One list of classes, everywhere in a config."""
import inspect
from collections.abc import Sequence

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict

from ..errors import UserError
from ..text import listed, plural
from ..visualization.palette import class_palette
from .reading import OTHER_CLASSES, dicts_in, split_datasets


def set_classes(cfg: Config, classes: Sequence[str],
                palette: Sequence[tuple[int, int, int]] | None = None) -> None:
    """Make a config speak of other classes: heads, data sets, metrics and pictures.

    Args:
        cfg: Changed in place.
        classes: Names in the order of the labels.
        palette: A color (R, G, B) for each; made up if not given.
    """
    classes = tuple(classes)
    palette = [tuple(int(v) for v in color) for color in palette or class_palette(len(classes))]
    for node in dicts_in(cfg.model, skip=OTHER_CLASSES):
        if isinstance(node.get('num_classes'), int):
            node['num_classes'] = len(classes)
    for key, node in cfg.model.items():
        if key.endswith('_head') and key not in OTHER_CLASSES and isinstance(node, dict) \
                and 'num_classes' not in node and _takes_num_classes(node.get('type')):
            node['num_classes'] = len(classes)
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            dataset['metainfo'] = ConfigDict(classes=classes, palette=palette)


def class_names_of(cfg: Config) -> tuple[str, ...] | None:
    """Class names of a config's training (or else test) data, or None when not said."""
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            names = _metainfo(dataset).get('classes')
            if names:
                return tuple(names)
    return None


def label_counts_of(cfg: Config) -> set[int]:
    """How many labels a head may tell apart for a config's data; empty when not said.

    Of panoptic data an instance head knows the things alone. Videos have labels of their own,
    and a model with a language model is told the names instead.
    """
    if 'language_model' in cfg.model:
        return set()
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            meta, cls = _metainfo(dataset), dataset_class(dataset)
            if meta.get('classes'):
                if cls is not None and not issubclass(cls, BaseDetDataset):
                    return set()
                return {len(meta[key]) for key in ('classes', 'thing_classes') if meta.get(key)}
    return set()


def dataset_class(dataset: dict) -> type | None:
    """The class that a data set of a config is built as."""
    kind = dataset.get('type')
    return DATASETS.get(kind) if isinstance(kind, str) else kind


def _metainfo(dataset: dict) -> dict:
    """What is said of a data set's classes, by the config or else by its class."""
    own = dataset.get('metainfo') or {}
    return own if own.get('classes') else getattr(dataset_class(dataset), 'METAINFO', {})


def classes_in(checkpoint: dict, path: str) -> tuple[tuple[str, ...] | None, Sequence | None]:
    """(classes, palette) that a checkpoint was trained on; None for what it does not say.

    Args:
        checkpoint: With or without ``meta``.
        path: Its name, for messages.

    Raises:
        UserError: Its class names are no names.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict):
        return None, None
    said = meta.get('dataset_meta')
    found = {str(key).lower(): value for key, value in said.items()} \
        if isinstance(said, dict) else {}
    classes = found.get('classes') or meta.get('CLASSES')
    if not classes:
        return None, None
    if not isinstance(classes, (list, tuple)) or not all(isinstance(n, str) for n in classes):
        raise UserError(f'{path}: its list of classes is damaged: {str(classes)[:80]}')
    palette = found.get('palette')
    if not isinstance(palette, (list, tuple)) or len(palette) != len(classes):
        palette = None
    return tuple(classes), palette


def differing_classes(before: Sequence[str], now: Sequence[str]) -> str:
    """How two lists of classes differ, in a few words; '' when they do not."""
    if list(before) == list(now):
        return ''
    if sorted(before) == sorted(now):
        label = next(i for i, pair in enumerate(zip(before, now)) if len(set(pair)) > 1)
        return (f'the same {len(now)} classes in another order: label {label} was '
                f'{before[label]!r} and is now {now[label]!r}')
    gone = [name for name in before if name not in now]
    new = [name for name in now if name not in before]
    return (f'{plural(len(before), "class")} before, {len(now)} now'
            + (f'; no longer: {listed(gone)}' if gone else '')
            + (f'; new: {listed(new)}' if new else ''))


def _takes_num_classes(type_: str | type) -> bool:
    cls = MODELS.get(type_) if isinstance(type_, str) else type_
    if not inspect.isclass(cls):
        return False
    return any('num_classes' in inspect.signature(base.__init__).parameters
               for base in cls.__mro__ if '__init__' in vars(base))
