"""Training on one's own COCO files: what ``train.py --train-ann`` changes in a config."""
import os

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict

from ..datasets.coco_file import class_names, find_images, read_annotations
from ..errors import UserError
from .classes import set_classes
from .reading import evaluators, leaf_datasets, split_datasets


def use_own_data(cfg, train_ann=None, val_ann=None, train_images=None, val_images=None):
    """Point a config at one's own COCO files and give it their classes.

    Args:
        cfg (Config): changed in place: heads, data sets (also wrapped ones), evaluators and
            the palette of the pictures.
        train_ann, val_ann (str): annotation files. Category ids may have gaps. Without
            ``val_ann`` there is no validation, and the test data are the training data.
        train_images, val_images (str, optional): image folders; see :func:`find_images`.

    Returns:
        tuple[str]: the classes.

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


def set_dataset_files(cfg, split, ann_file, images):
    """Make the data set and the evaluators of a split read one annotation file."""
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


def check_same_classes(classes, data, path, train_path):
    """Refuse annotations of classes that training does not have.

    Raises:
        UserError: naming the class.
    """
    names = dict(zip((c['id'] for c in data['categories']), class_names(data, path),
                     strict=True))
    for annotation in data.get('annotations', ()):
        name = names.get(annotation.get('category_id'))
        if name is not None and name not in classes:
            raise UserError(f'{path}: annotation {annotation.get("id")} is of category {name!r}, '
                            f'which {train_path} does not have')


def _one_leaf(dataset):
    """Replace a concatenation by its first part: one file is read once."""
    if isinstance(dataset, (list, tuple)):
        return _one_leaf(dataset[0])
    if dataset.get('datasets'):
        return next(leaf_datasets(dataset))
    if dataset.get('dataset') is not None:
        dataset['dataset'] = _one_leaf(dataset['dataset'])
    return dataset
