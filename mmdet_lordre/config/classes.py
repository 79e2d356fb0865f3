"""One list of classes, everywhere in a config."""
import inspect

from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict

from ..checkpoints.safe_load import read_checkpoint
from ..errors import UserError
from ..visualization.palette import class_palette
from .reading import dicts_in, split_datasets


def set_classes(cfg, classes, palette=None):
    """Make a config speak of other classes: heads, data sets, metrics and pictures.

    Args:
        cfg (Config): changed in place.
        classes (Sequence[str]): names in the order of the labels.
        palette (Sequence[tuple], optional): a colour (R, G, B) for each.
    """
    classes = tuple(classes)
    palette = [tuple(int(v) for v in colour) for colour in palette or class_palette(len(classes))]
    for node in dicts_in(cfg.model, skip=('backbone', 'data_preprocessor')):
        if isinstance(node.get('num_classes'), int):
            node['num_classes'] = len(classes)
    for key, node in cfg.model.items():
        if key.endswith('_head') and isinstance(node, dict) and 'num_classes' not in node \
                and _takes_num_classes(node.get('type')):
            node['num_classes'] = len(classes)
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            dataset['metainfo'] = ConfigDict(classes=classes, palette=palette)


def class_names_of(cfg):
    """Class names of a config's training (or else test) data, or None when not said."""
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            meta = dataset.get('metainfo') or {}
            if meta.get('classes'):
                return tuple(meta['classes'])
            cls = DATASETS.get(dataset.get('type')) if isinstance(dataset.get('type'), str) \
                else dataset.get('type')
            names = getattr(cls, 'METAINFO', {}).get('classes')
            if names:
                return tuple(names)
    return None


def classes_of_checkpoint(path):
    """(classes, palette) that a checkpoint was trained on; None for what it does not say.

    Raises:
        UserError: the file cannot be read, or its class names are no names.
    """
    meta = read_checkpoint(path).get('meta') or {}
    found = {str(key).lower(): value for key, value in
             (meta.get('dataset_meta') or {}).items()} if isinstance(meta, dict) else {}
    classes = found.get('classes') or (meta.get('CLASSES') if isinstance(meta, dict) else None)
    if not classes:
        return None, None
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise UserError(f'{path}: its list of classes is damaged: {str(classes)[:80]}')
    palette = found.get('palette')
    if not isinstance(palette, (list, tuple)) or len(palette) != len(classes):
        palette = None
    return tuple(classes), palette


def use_checkpoint_classes(cfg, path):
    """Give a config the classes of a checkpoint, when it names any.

    Returns:
        tuple[str] | None: the classes.
    """
    classes, palette = classes_of_checkpoint(path)
    if classes and classes != class_names_of(cfg):
        set_classes(cfg, classes, palette)
        # a metric without an annotation file of its own keeps working by name
    return classes


def _takes_num_classes(type_):
    cls = MODELS.get(type_) if isinstance(type_, str) else type_
    if not inspect.isclass(cls):
        return False
    return any('num_classes' in inspect.signature(base.__init__).parameters
               for base in cls.__mro__ if '__init__' in vars(base))
