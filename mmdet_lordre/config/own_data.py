"""Training on one's own COCO files: what ``train.py --train-ann`` changes in a config."""
import os

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from ..datasets.coco_file import class_names, find_images, read_annotations
from ..errors import UserError
from ..text import quoted
from .classes import set_classes
from .reading import evaluators, leaf_datasets, split_datasets


def use_own_data(cfg: Config, train_ann: str | None = None, val_ann: str | None = None,
                 train_images: str | None = None,
                 val_images: str | None = None) -> tuple[str, ...]:
    """Point a config at one's own COCO files and give it their classes.

    Args:
        cfg: Changed in place: heads, data sets (also wrapped ones), evaluators and
            the palette of the pictures.
        train_ann, val_ann: Annotation files. Category ids may have gaps. Without
            ``val_ann`` there is no validation, and the test data are the training data.
        train_images, val_images: Image folders; see :func:`find_images`.

    Returns:
        The classes.

    Raises:
        UserError: files that are missing or do not belong together.
    """
    if train_ann is None:
        raise UserError('--val-ann needs --train-ann as well: the classes come from it')
    train = read_annotations(train_ann)
    classes = class_names(train, train_ann)
    folder = find_images(train, train_ann, train_images)
    set_dataset_files(cfg, 'train', train_ann, folder)
    if val_ann is None:
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
        # other tools read from the test data how images are prepared
        set_dataset_files(cfg, 'test', train_ann, folder)
    else:
        val = read_annotations(val_ann)
        check_same_classes(classes, val, val_ann, train_ann)
        images = find_images(val, val_ann, val_images)
        for split in ('val', 'test'):
            set_dataset_files(cfg, split, val_ann, images)
    set_classes(cfg, classes)
    return classes


def set_dataset_files(cfg: Config, split: str, ann_file: str, images: str) -> None:
    """Make the data set and the evaluators of a split read one annotation file.

    Args:
        cfg: Changed in place.
        split: 'train', 'val' or 'test'.
        ann_file: Annotations.
        images: Their folder.

    Raises:
        UserError: there is no training data set.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        if split == 'train':
            raise UserError('the config has no train_dataloader to put your data in')
        return
    loader['dataset'] = _one_leaf(loader['dataset'])
    for dataset in split_datasets(cfg, split):
        dataset['ann_file'] = os.path.abspath(ann_file)
        dataset['data_prefix'] = ConfigDict(img=os.path.abspath(images))
        dataset['data_root'] = ''
        cls = DATASETS.get(dataset['type']) if isinstance(dataset['type'], str) \
            else dataset['type']
        if cls is None or not issubclass(cls, CocoDataset) or cls.__name__ != 'CocoDataset':
            # other classes of data set expect the files or the classes of their own data
            dataset['type'] = 'CocoDataset'
    kept = [_metric_of(metric, ann_file) for metric in evaluators(cfg, split)
            if 'ann_file' in metric or 'Coco' in str(metric.get('type', ''))]
    # a metric that reads files of its own (LVIS) has nothing to say about these images
    cfg[f'{split}_evaluator'] = kept or [_metric_of({}, ann_file)]


def _metric_of(metric, ann_file):
    if not str(metric.get('type', '')).startswith('Coco'):
        metric = ConfigDict(type='CocoMaskMetric', metric=metric.get('metric', 'segm'))
    metric['ann_file'] = os.path.abspath(ann_file)
    return metric


def check_same_classes(classes: tuple[str, ...], data: dict, path: str, train_path: str) -> None:
    """Refuse annotations of classes that training does not have.

    Raises:
        UserError: naming the class.
    """
    names = class_names(data, path)
    known = set(classes)
    unknown = {category['id']: name
               for category, name in zip(data['categories'], names, strict=True)
               if name not in known}
    for annotation in data.get('annotations', ()) if unknown else ():
        name = unknown.get(annotation.get('category_id'))
        if name is not None:
            raise UserError(f'{path}: annotation {quoted(annotation.get("id"))} is of category '
                            f'{quoted(name)}, which {train_path} does not have')


def _one_leaf(dataset):
    """Replace a concatenation by its first part: one file is read once."""
    if isinstance(dataset, (list, tuple)):
        return _one_leaf(dataset[0])
    if dataset.get('datasets'):
        return next(leaf_datasets(dataset))
    if dataset.get('dataset') is not None:
        dataset['dataset'] = _one_leaf(dataset['dataset'])
    return dataset
