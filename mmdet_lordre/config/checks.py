"""What can be known to fail is found before training starts."""
import inspect
import json
from collections import Counter

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from ..datasets.annotation_rules import STOP, annotation_problems, cleaned
from ..datasets.coco_file import class_names, clean_name, read_annotations, write_annotations
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..datasets.repairs import Repairs, describe
from ..datasets.usable import usable_annotations
from ..errors import UserError
from ..text import listed, printable
from .classes import class_names_of
from .reading import dataset_files, dicts_in, evaluators, model_class_counts, split_datasets

#: Headers of images are read for at most this many seconds for each data set.
HEADER_SECONDS = 5.0


def check_data(cfg, splits, skip_bad=False, skip_images=None, clean_to=None, warn=print,
               crowd_as_instances=False):
    """Check annotation files, images and classes of a config.

    Every annotation and the presence of every image are checked, and as many image headers
    as can be read in a few seconds: all of them for some ten thousand images. What is a problem
    is said in :mod:`~mmdet_lordre.datasets.annotation_rules`, what can be put right without
    guessing in :mod:`~mmdet_lordre.datasets.repairs`.

    Args:
        cfg (Config): with data sets of COCO files; others are left alone.
        splits (Sequence[str]): of 'train', 'val', 'test'.
        skip_bad (bool): warn of annotations that cannot be used instead of refusing them.
        skip_images (bool, optional): the same for images; as ``skip_bad`` if not given.
        clean_to (str, optional): folder for copies that are repaired, and without what was
            warned of.
        warn (Callable): takes a line of text.
        crowd_as_instances (bool): take crowd regions as objects.

    Returns:
        dict[str, str]: annotation files and their copies, for :func:`use_files`.

    Raises:
        UserError: the first problem found, with file, annotation or image, and remedy; or nothing
            of a training file can be learned.
    """
    skip_images = skip_bad if skip_images is None else skip_images
    seen, copies = set(), {}
    for split in splits:
        for dataset in split_datasets(cfg, split):
            ann_file, images = dataset_files(dataset)
            if not _reads_coco(dataset, ann_file) or (ann_file, images) in seen:
                continue
            seen.add((ann_file, images))
            data = read_annotations(ann_file)
            class_names(data, ann_file)
            _check_categories(dataset, data, ann_file, split, warn)
            repairs = Repairs(data, ann_file).make(images)
            if crowd_as_instances:
                repairs.take_crowds()
            if repairs.notes:
                warn(describe(repairs))
                data = repairs.data
            problems = _problems(dataset, data, images, split, skip_bad, skip_images, ann_file,
                                 warn)
            if (problems or repairs.notes) and clean_to:
                copies[ann_file] = write_annotations(cleaned(data, problems),
                                                     clean_name(ann_file, clean_to))
    return copies


def _reads_coco(dataset, ann_file):
    """Whether a data set reads a COCO file from this machine."""
    if not ann_file or '://' in ann_file:
        return False
    kind = dataset.get('type')
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    return ann_file.endswith('.json') or (inspect.isclass(cls) and issubclass(cls, CocoDataset))


def _problems(dataset, data, images, split, skip_bad, skip_images, ann_file, warn):
    """What training would stop at: said, or refused."""
    need_masks, upright = _loading(dataset)
    found = list(annotation_problems(data, need_masks))
    if split == 'train':
        usable = usable_annotations(data, found, (dataset.get('metainfo') or {}).get('classes'))
        usable.demand_some(ann_file)
        warn(usable.line(ann_file))
    found += listed_image_problems(data, split == 'train')
    found += image_file_problems(data, images, HEADER_SECONDS, upright)
    found = [p for p in found if p.treatment == STOP]
    for of_image, skip in ((True, skip_images), (False, skip_bad)):
        some = [p for p in found if p.of_image == of_image]
        if some:
            _report(some, ann_file, skip, warn)
    return found


def _report(problems, ann_file, skip, warn):
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    first = problems[0]
    line = f'{first.what if first.of_image else first}{more}'
    if first.of_image:
        line = f'{line}, named in {ann_file}'
    else:
        line = f'{ann_file}: {line}'
    if not skip:
        raise UserError(f'{line}; mend or replace it, or train without such '
                        f'{"images" if first.of_image else "annotations"} by --skip-bad '
                        '(lordre check-dataset lists everything)')
    warn(printable(f'left out: {line}'))


def _loading(dataset):
    """(whether masks are read, whether images are turned upright) in a data set's pipeline."""
    need_masks, upright = False, True
    for step in dicts_in(dataset.get('pipeline') or []):
        need_masks |= bool(step.get('with_mask'))
        if 'LoadImage' in str(step.get('type')):
            upright = 'ignore_orientation' not in str(step.get('color_type')) \
                and step.get('color_type') != 'unchanged'
    return need_masks, upright


def use_files(cfg, copies):
    """Make data sets and metrics of a config read other annotation files.

    Args:
        cfg (Config): changed in place.
        copies (dict[str, str]): what to read in place of what.
    """
    for split in ('train', 'val', 'test'):
        for dataset in split_datasets(cfg, split):
            ann_file, _ = dataset_files(dataset)
            if ann_file in copies:
                dataset['ann_file'] = copies[ann_file]
        for metric in evaluators(cfg, split):
            if metric.get('ann_file') in copies:
                metric['ann_file'] = copies[metric['ann_file']]


def check_class_counts(cfg):
    """The heads, the data and each other must agree on the number of classes.

    Raises:
        UserError: naming both places in the config.
    """
    classes = class_names_of(cfg)
    if classes is None:
        return
    for key, count in model_class_counts(cfg).items():
        if count != len(classes):
            some = ', '.join(classes[:3]) + (', ...' if len(classes) > 3 else '')
            raise UserError(f'the config has {key}.num_classes={count}, but its data have '
                            f'{len(classes)} classes ({some}): set num_classes={len(classes)} '
                            'or the metainfo of the data')


def _check_categories(dataset, data, ann_file, split, warn):
    wanted = (dataset.get('metainfo') or {}).get('classes')
    if not wanted:
        return
    names = [category.get('name') for category in data['categories']]
    absent = [name for name in wanted if name not in names]
    if (split == 'train' and absent) or len(absent) == len(wanted):
        raise UserError(f'{ann_file} has no category {absent[0]!r}, which the config names; its '
                        f'categories are {json.dumps(names[:8])}')
    order = [name for name in names if name in wanted]
    if split == 'train' and order != list(wanted):
        # mmdet numbers labels in the order of the file, whatever the config says
        raise UserError(f'{ann_file} lists its categories as {json.dumps(order[:4])}, the config '
                        f'as {json.dumps(list(wanted)[:4])}: labels follow the file, so give '
                        'the config that order')
    unknown = {category.get('id'): category.get('name') for category in data['categories']
               if category.get('name') not in wanted}
    objects = Counter(annotation.get('category_id') for annotation in data.get('annotations', ())
                      if annotation.get('category_id') in unknown) if unknown else {}
    if objects:
        found = [f'{unknown[id_]} {count}' for id_, count in objects.most_common()]
        warn(f'{printable(ann_file)}: {sum(objects.values())} annotations are of classes that '
             f'{"the config does not name" if split == "train" else "the model does not know"} '
             f'({listed(found)}): they are left out'
             + ('' if split == 'train' else ', and the figures are of the other classes alone'))
