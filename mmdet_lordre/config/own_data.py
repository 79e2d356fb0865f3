"""Training on one's own data: what ``train.py --train-ann`` and ``--data`` change in a config."""
import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from ..datasets.annotation_rules import category_name
from ..datasets.coco_file import class_names
from ..datasets.formats import CocoData, open_data
from ..datasets.repairs import plain_id
from ..errors import UserError
from ..text import listed, printable, quoted
from .classes import set_classes
from .reading import evaluators, leaf_datasets, split_datasets, type_name

#: Folder in the work folder for COCO files of data in other formats.
CONVERTED = 'converted'
#: In the same: annotations without what cannot be learned, and what a plan consists of.
CLEAN, PLAN = 'clean', 'plan'


class Part(NamedTuple):
    """A COCO file and the folder of its images."""
    ann_file: str
    images: str


@dataclass(frozen=True)
class OwnData:
    """What a config is pointed at.

    Attributes:
        train, val, test (Part | None): Without ``val`` there is no validation.
        classes: Of the training data, in the order of the labels.
    """
    train: Part
    val: Part | None
    test: Part | None
    classes: tuple[str, ...]

    @property
    def other_test(self) -> Part | None:
        """What to test on, where that is not what to validate on."""
        return None if self.test == self.val else self.test


def find_own_data(train_ann: str | None = None, val_ann: str | None = None,
                  train_images: str | None = None, val_images: str | None = None,
                  data: str | None = None, folder: str = '.', keep_empty_classes: bool = False,
                  say: Callable[[str], object] = print,
                  train_format: str | None = None) -> OwnData:
    """Open one's own data, of any format, as COCO files.

    Args:
        train_ann, val_ann: Annotations, files or folders.
        train_images, val_images: Image folders, where they are not found.
        data: A folder or file that holds all parts, in place of the others.
        folder: Where COCO files of other formats are written.
        keep_empty_classes: Whether classes without any object are learned, too.
        say: Takes a line of text.
        train_format: Of ``train_ann``, one of :data:`.formats.FORMATS`; found if not given.

    Raises:
        UserError: Data that cannot be read or do not belong together.
    """
    if data is not None:
        given = {'--train-ann': train_ann, '--val-ann': val_ann, '--val-images': val_images}
        if any(given.values()):
            raise UserError('--data holds all parts: leave out '
                            + listed([option for option, value in given.items() if value], 3))
        parts = open_data(data, train_images)
        if 'train' not in parts:
            raise UserError(f'{data} has no training part, only {" and ".join(parts)}')
    else:
        if train_ann is None:
            raise UserError('--val-ann needs --train-ann as well: the classes come from it')
        if val_images is not None and val_ann is None:
            raise UserError('--val-images needs --val-ann: without it there is nothing that they '
                            'belong to')
        parts = {'train': choose_part(open_data(train_ann, train_images, train_format),
                                      ('train',), train_ann, say)}
        if val_ann is not None:
            parts['val'] = choose_part(open_data(val_ann, val_images), ('val', 'test'), val_ann,
                                       say)
    classes = class_names(parts['train'].data, parts['train'].source)
    for name in [name for name in parts if name != 'train']:
        if 'annotations' not in parts[name].data and name == 'test':
            say(f'{printable(parts[name].source)} has no annotations, so it is not used for '
                'testing: pass it to lordre test --ann')
            del parts[name]
            continue
        check_same_classes(classes, parts[name].data, parts[name].source, parts['train'].source)
    if not keep_empty_classes:
        classes = _with_objects(classes, [part.data for part in parts.values()], say)
    for line in dict.fromkeys(filter(None, (part.line() for part in parts.values()))):
        say(line)
    files = {name: Part(os.path.abspath(part.save(folder, name)), os.path.abspath(part.folder))
             for name, part in parts.items()}
    return OwnData(files['train'], files.get('val'), files.get('test') or files.get('val'), classes)


def choose_part(parts: dict[str, CocoData], wanted: Sequence[str], source: str,
                say: Callable[[str], object] = print) -> CocoData:
    """The part of a data set that an option asks for; a data set of one part is that part.

    Args:
        parts: As :func:`open_data` gives them.
        wanted: Names, the first one that there is is taken.
        source: What was opened, for messages.
        say: Takes a line of text.

    Raises:
        UserError: There are several parts, and none of these.
    """
    if len(parts) == 1:
        return next(iter(parts.values()))
    for name in wanted:
        if name in parts:
            say(f'{printable(source)} has the parts {", ".join(parts)}: {name} is taken here')
            return parts[name]
    raise UserError(f'{source} has the parts {", ".join(parts)} and no {wanted[0]}: give the file '
                    'or folder of one part')


def _with_objects(classes, parts, say):
    """The classes that any object has; all of them where there is no object."""
    names = set()
    for data in parts:
        used = {plain_id(annotation.get('category_id'))
                for annotation in data.get('annotations', ())}
        names |= {category_name(category) for category in data['categories']
                  if plain_id(category.get('id')) in used}
    empty = [name for name in classes if name not in names]
    if not empty or len(empty) == len(classes):
        return classes
    say(f'classes without any object are left out of the model: {listed(empty, 10)} '
        '(--keep-empty-classes keeps them)')
    return tuple(name for name in classes if name in names)


def use_own_data(cfg: Config, train_ann: str | None = None, val_ann: str | None = None,
                 train_images: str | None = None,
                 val_images: str | None = None, **more: Any) -> tuple[str, ...]:
    """Point a config at one's own data and give it their classes.

    Args:
        cfg: Changed in place; see :func:`set_own_data`.
        train_ann, val_ann: Annotations. Category ids may have gaps. Without ``val_ann`` there is no
            validation, and the test data are the training data.
        train_images, val_images: Image folders; see :func:`find_images`.
        more: As for :func:`find_own_data`.

    Returns:
        The classes.

    Raises:
        UserError: Files that are missing or do not belong together.
    """
    more.setdefault('folder', os.path.join(cfg.get('work_dir') or '.', CONVERTED))
    own = find_own_data(train_ann, val_ann, train_images, val_images, **more)
    set_own_data(cfg, own)
    return own.classes


def set_own_data(cfg: Config, own: OwnData) -> None:
    """Point a config at data and give it their classes.

    Args:
        cfg: Changed in place: heads, data sets (also wrapped ones), evaluators and the palette of
            the pictures.
        own: The data.

    Raises:
        UserError: There is no data set to train or to validate on.
    """
    set_dataset_files(cfg, 'train', *own.train)
    if own.val is None:
        cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    else:
        # of a config without validation: images are prepared as they are for tests
        for key, other in (('val_dataloader', cfg.get('test_dataloader')),
                           ('val_cfg', ConfigDict(type='ValLoop'))):
            if cfg.get(key) is None:
                cfg[key] = copy.deepcopy(other)
        set_dataset_files(cfg, 'val', *own.val)
    # other tools read from the test data how images are prepared
    set_dataset_files(cfg, 'test', *(own.test or own.train))
    set_classes(cfg, own.classes)


def set_dataset_files(cfg: Config, split: str, ann_file: str, images: str) -> None:
    """Make the data set and the evaluators of a split read one annotation file.

    Args:
        cfg: Changed in place.
        split: 'train', 'val' or 'test'.
        ann_file: Annotations.
        images: Their folder.

    Raises:
        UserError: There is no data set to train or to validate on.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        if split != 'test':
            raise UserError(f'the config has no {split}_dataloader to put your data in: set '
                            f'{split}_dataloader=dict(dataset=dict(type=\'CocoDataset\', '
                            'pipeline=[...]))')
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
            if 'ann_file' in metric or 'Coco' in type_name(metric)]
    # a metric that reads files of its own (LVIS) has nothing to say about these images
    cfg[f'{split}_evaluator'] = kept or [_metric_of({}, ann_file)]


def _metric_of(metric, ann_file):
    if not type_name(metric).startswith('Coco'):
        metric = ConfigDict(type='CocoMaskMetric', metric=metric.get('metric', 'segm'))
    metric['ann_file'] = os.path.abspath(ann_file)
    return metric


def check_same_classes(classes: tuple[str, ...], data: dict, path: str, train_path: str) -> None:
    """Refuse annotations of classes that training does not have.

    Args:
        classes: Of the training data.
        data: The other annotations.
        path: Their file, for the message.
        train_path: The file of the training data.

    Raises:
        UserError: Naming the class.
    """
    names = class_names(data, path)
    known = set(classes)
    unknown = {category['id']: name
               for category, name in zip(data['categories'], names, strict=True)
               if name not in known}
    for annotation in data.get('annotations', ()) if unknown else ():
        name = unknown.get(annotation.get('category_id'))
        if name is not None:
            near = next((other for other in classes if _plain(other) == _plain(name)), None)
            raise UserError(f'{path}: annotation {quoted(annotation.get("id"))} is of category '
                            f'{quoted(name)}, which {train_path} does not have'
                            + ('' if near is None else f'; it has {quoted(near)}: give both the '
                               'same name'))


def _plain(name):
    return ''.join(character for character in name.lower() if character.isalnum())


def _one_leaf(dataset):
    """Replace a concatenation by its first part: one file is read once."""
    if isinstance(dataset, (list, tuple)):
        return _one_leaf(dataset[0])
    if dataset.get('datasets'):
        return next(leaf_datasets(dataset))
    if dataset.get('dataset') is not None:
        dataset['dataset'] = _one_leaf(dataset['dataset'])
    return dataset
