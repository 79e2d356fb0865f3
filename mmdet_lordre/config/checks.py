"""What can be known to fail is found before training starts."""
import inspect
import os
from collections import Counter
from collections.abc import Callable, Sequence

from mmdet.datasets import CocoDataset
from mmdet.registry import HOOKS
from mmengine.config import Config

from ..datasets.annotation_rules import STOP, annotation_problems, cleaned
from ..datasets.coco_file import (
    class_names,
    clean_name,
    read_annotations,
    source_of,
    write_annotations,
)
from ..datasets.file_names import plain_name
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..datasets.pages import several_pages
from ..datasets.repairs import Repairs, describe, names_alike
from ..datasets.units import refuse_other_units
from ..datasets.usable import usable_annotations
from ..errors import UserError
from ..text import agree, listed, plural, printable, quoted
from .classes import class_names_of, dataset_class, label_counts_of
from .keys import nodes_of
from .pipelines import loads_masks
from .reading import (
    dataset_files,
    dicts_in,
    evaluators,
    model_class_counts,
    split_datasets,
    type_name,
)

#: Packages whose hooks add no figures to an evaluation.
_OWN_HOOKS = {'mmengine', 'mmdet', 'mmdet_lordre'}
#: Headers of images are read for at most this many seconds for each data set.
HEADER_SECONDS = 5.0


def check_data(cfg: Config, splits: Sequence[str], skip_bad: bool = False,
               skip_images: bool | None = None, clean_to: str | None = None,
               warn: Callable[[str], object] = print,
               crowd_as_instances: bool = False) -> dict[str, str]:
    """Check annotation files, images and classes of a config.

    Every annotation and the presence of every image are checked, and as many image headers
    as can be read in a few seconds: all of them for some ten thousand images. What is a problem
    is said in :mod:`~mmdet_lordre.datasets.annotation_rules`, what can be put right without
    guessing in :mod:`~mmdet_lordre.datasets.repairs`.

    Args:
        cfg: With data sets of COCO files; others are left alone.
        splits: Of 'train', 'val', 'test'.
        skip_bad: Warn of annotations that cannot be used instead of refusing them.
        skip_images: The same for images; as ``skip_bad`` if not given.
        clean_to: Folder for copies that are repaired, and without what was warned of.
        warn: Takes a line of text.
        crowd_as_instances: Take crowd regions as objects.

    Returns:
        Annotation files and their copies, for :func:`use_files`.

    Raises:
        UserError: The first problem found, with file, annotation or image, and remedy; or nothing
            of a training file can be learned.
    """
    seen, copies = set(), {}
    for split in splits:
        for dataset in split_datasets(cfg, split):
            ann_file, folder = dataset_files(dataset)
            if not reads_coco(dataset) or (ann_file, folder) in seen:
                continue
            seen.add((ann_file, folder))
            check = _FileCheck(dataset, split, evaluators(cfg, split), warn, bool(clean_to))
            data = check.data(crowd_as_instances)
            bad = check.problems(data, skip_bad, skip_bad if skip_images is None else skip_images)
            if (bad or check.repaired) and clean_to:
                copies[_whole_path(ann_file)] = write_annotations(
                    cleaned(data, bad), clean_name(ann_file, clean_to))
    return copies


def reads_coco(dataset: dict) -> bool:
    """Whether a data set reads a COCO file from this machine."""
    ann_file, _ = dataset_files(dataset)
    if not ann_file or '://' in ann_file:
        return False
    cls = dataset_class(dataset)
    return ann_file.endswith('.json') or (inspect.isclass(cls) and issubclass(cls, CocoDataset))


def _evaluates_masks(metric):
    kinds = metric.get('metric') or ('segm' if type_name(metric) == 'CocoMaskMetric' else ())
    return 'segm' in kinds and not metric.get('format_only')


def _whole_path(ann_file):
    return os.path.abspath(ann_file)


class _FileCheck:
    """The annotation file of one data set."""

    def __init__(self, dataset, split, metrics, warn, copies):
        self.dataset, self.split, self.warn, self.copies = dataset, split, warn, copies
        self.ann_file, self.folder = dataset_files(dataset)
        self.need_masks, self.upright, self.opencv = _loading(dataset)
        # pycocotools stops at an annotation without a mask, after the training
        self.need_masks |= any(_evaluates_masks(metric) for metric in metrics)
        self.classes = (dataset.get('metainfo') or {}).get('classes')
        cls = dataset_class(dataset)
        if split == 'train' and not self.classes and getattr(cls, '__name__', '') == 'CocoDataset':
            # mmdet looks for COCO's own classes where none are named, and takes no others
            self.classes = cls.METAINFO['classes']
        self.repaired = False

    def data(self, crowd_as_instances):
        """The annotations, repaired, with classes that fit the config."""
        data = read_annotations(self.ann_file)
        self.ann_file = source_of(data, self.ann_file)  # from here on for messages alone
        repairs = Repairs(data, self.ann_file).make(self.folder, self.upright)
        class_names(repairs.data, self.ann_file)
        for name, other in names_alike(repairs.data):
            self.warn(f'{printable(self.ann_file)}: the classes {quoted(name)} and {quoted(other)} '
                      'differ in case or spaces alone: if they are one, give them one name')
        self._categories(repairs)
        if crowd_as_instances:
            repairs.take_crowds()
        if apart := refuse_other_units(repairs.data, self.ann_file):
            self.warn(apart)
        if repairs.notes:
            self.repaired = True
            self.warn(describe(self.ann_file, repairs.notes))
        return repairs.data if repairs.notes else data

    def _categories(self, repairs):
        """Refuse categories that the config does not have, or warn of them."""
        if not self.classes:
            return
        data = repairs.data
        wanted = set(self.classes)
        names = [category['name'] for category in data['categories']]
        present = set(names)
        absent = [name for name in self.classes if name not in present]
        if (self.split == 'train' and absent) or len(absent) == len(self.classes):
            raise UserError(f'{self.ann_file} has no category {quoted(absent[0])}, which the '
                            f'config names; its categories are {listed(names, 8)}')
        # mmdet numbers labels in the order of the file, whatever the config says
        if self.copies:
            repairs.order_categories(self.classes)
        elif self.split == 'train' and [n for n in names if n in wanted] != list(self.classes):
            raise UserError(f'{self.ann_file} lists its categories as {listed(names, 4)}, the '
                            f'config as {listed(self.classes, 4)}: labels follow the file, so '
                            'give the config that order')
        unknown = {category['id']: category['name'] for category in data['categories']
                   if category['name'] not in wanted}
        objects = Counter(annotation.get('category_id')
                          for annotation in data.get('annotations', ()) if unknown
                          and annotation.get('category_id') in unknown)
        if objects:
            found = [f'{unknown[number]} {count}' for number, count in objects.most_common()]
            count = sum(objects.values())
            who = 'the config does not name' if self.split == 'train' else \
                'the model does not know'
            self.warn(f'{printable(self.ann_file)}: {plural(count, "annotation")} '
                      + agree(count, 'is of a class that ', 'are of classes that ')
                      + f'{who} ({listed(found)}): {agree(count, "it is", "they are")} left out'
                      + ('' if self.split == 'train' else
                         ', and the figures are of the other classes alone'))

    def problems(self, data, skip_bad, skip_images):
        """What training would stop at: said, or refused."""
        found = list(annotation_problems(data, self.need_masks))
        min_size = 0 if self.dataset.get('test_mode') else \
            (self.dataset.get('filter_cfg') or {}).get('min_size', 0)

        def usable():
            return usable_annotations(data, found, self.classes, min_size)
        if self.split == 'train':
            usable().demand_usable(self.ann_file)
        usable().demand_few_crowds(self.ann_file)
        found += listed_image_problems(data, self.split == 'train')
        found += image_file_problems(data, self.folder, HEADER_SECONDS, self.upright,
                                     opencv=self.opencv)
        stopping = [p for p in found if p.treatment == STOP]
        for of_image, skip in ((True, skip_images), (False, skip_bad)):
            some = [p for p in stopping if p.of_image == of_image]
            if some:
                _report(some, self.ann_file, skip, self.warn, self.split == 'test')
        if self.split == 'train':
            usable().demand_usable(self.ann_file)
            self.warn(usable().line(self.ann_file))
        elif 'annotations' in data and not usable().count:
            self.warn(f'{printable(self.ann_file)}: none of its {len(data["annotations"])} '
                      'annotations can be used for evaluation: no metric will have a value')
        names = Counter(plain_name(image.get('file_name')) for image in data['images'])
        twice = [name for name, count in names.items() if count > 1]
        if twice and self.split == 'train':
            self.warn(f'{printable(self.ann_file)}: {plural(len(twice), "file")} '
                      + f'{agree(len(twice), "is", "are")} named by several images '
                      f'({listed(twice, 3)}), and what one of them annotates is background in the '
                      'others: give each file one entry with all annotations')
        turned = [p for p in found if p.kind == 'turned by its tag']
        if turned:
            # a size that fits shows of all others how they were annotated
            self.warn(f'{printable(self.ann_file)}: {plural(len(turned), "image")} turned or '
                      f'mirrored by the orientation tag, which the size does not show '
                      f'({turned[0].where}), and read upright: annotations must have been drawn '
                      'so (lordre check names all images with such tags)')
        if paged := [str(p) for p in found if p.kind == 'several pages']:
            self.warn(f'{printable(self.ann_file)}: {several_pages(paged)}')
        return stopping


def _report(problems, ann_file, skip, warn, testing=False):
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    first = problems[0]
    line = f'{first.what if first.of_image else first}{more}'
    if first.of_image:
        line = f'{line}, named in {ann_file}'
    else:
        line = f'{ann_file}: {line}'
    if not skip:
        such = 'such images' if first.of_image else 'such annotations'
        remedy = f'test on a copy without {such}, which lordre check --clean writes' if testing \
            else f'use --skip-bad to train without {such}'
        raise UserError(f'{printable(line)}; fix or replace it, or {remedy} '
                        '(lordre check lists everything)')
    warn(printable(f'left out: {line}'))


def _loading(dataset):
    """(whether masks are read, whether images are turned upright, whether OpenCV reads them) in a
    data set's pipeline."""
    need_masks, upright, opencv = False, True, True
    for step in dicts_in(dataset.get('pipeline') or []):
        need_masks |= loads_masks(step)
        if 'LoadImage' in type_name(step):
            upright = 'ignore_orientation' not in str(step.get('color_type')) \
                and step.get('color_type') != 'unchanged'
            opencv = step.get('imdecode_backend', 'cv2') == 'cv2'
    return need_masks, upright, opencv


def use_files(cfg: Config, copies: dict[str, str]) -> None:
    """Make data sets and metrics of a config read other annotation files.

    Args:
        cfg: Changed in place.
        copies: What to read in place of what.
    """
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            ann_file, _ = dataset_files(dataset)
            if _whole_path(ann_file) in copies:
                dataset['ann_file'] = copies[_whole_path(ann_file)]
        for metric in evaluators(cfg, split):
            ann_file = _whole_path(metric.get('ann_file') or '')
            if ann_file in copies:
                metric['ann_file'] = copies[ann_file]


def check_best(cfg: Config) -> None:
    """The figure that the best checkpoint is kept by must be one that the evaluation gives.

    mmengine looks for it after the first evaluation. Only COCO's metrics are known here, and a hook
    of somebody else's may add figures of its own.

    Raises:
        UserError: Naming the figures that there are.
    """
    best = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    hooks = [hook['type'] if callable(hook.get('type')) else HOOKS.get(str(hook.get('type')))
             for hook in cfg.get('custom_hooks') or ()]
    if not all(hook and hook.__module__.split('.')[0] in _OWN_HOOKS for hook in hooks):
        return
    figures = []
    for metric in evaluators(cfg, 'val'):
        kinds = metric.get('metric') or ('segm' if type_name(metric) == 'CocoMaskMetric' else
                                         'bbox')
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if type_name(metric) not in ('CocoMaskMetric', 'CocoMetric') or metric.get('classwise') \
                or metric.get('metric_items') or not {*kinds} <= {'segm', 'bbox'}:
            return
        figures += [f'{metric.get("prefix") or "coco"}/{kind}_{item}' for kind in kinds
                    for item in ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')]
    for name in (best if isinstance(best, (list, tuple)) else [best]):
        if figures and isinstance(name, str) and name not in ('auto', *figures):
            raise UserError(f'default_hooks.checkpoint.save_best is {quoted(name)}, which the '
                            f'evaluation does not give: choose from auto, {listed(figures, 12)}')


def check_start(cfg: Config) -> None:
    """The files must be there that parts of the model begin with (``init_cfg``).

    Raises:
        UserError: Naming the key and the file.
    """
    for place, node in nodes_of(cfg.model, 'model'):
        path = node.get('checkpoint')
        if type_name(node) == 'Pretrained' and isinstance(path, str) and '://' not in path \
                and not os.path.isfile(os.path.expanduser(path)):
            raise UserError(f'{place}.checkpoint: no such file: {path}; give the weights that this '
                            f'part begins with, or set {place}=None to begin with random ones')


def check_class_counts(cfg: Config) -> None:
    """The heads, the data and each other must agree on the number of classes.

    Raises:
        UserError: Naming both places in the config.
    """
    allowed = label_counts_of(cfg)
    classes = class_names_of(cfg) or ()
    for key, count in model_class_counts(cfg).items():
        if allowed and count not in allowed:
            raise UserError(f'the config has {key}.num_classes={count}, but its data have '
                            f'{plural(len(classes), "class")} ({listed(classes, 3)}): set '
                            f'num_classes={len(classes)} or the metainfo of the data')
