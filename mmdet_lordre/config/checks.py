"""What can be known to fail is found before training starts."""
import json

from ..datasets.annotation_rules import STOP, annotation_problems
from ..datasets.coco_file import read_annotations, write_clean
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..errors import UserError
from .classes import class_names_of
from .reading import dataset_files, dicts_in, evaluators, model_class_counts, split_datasets

#: Headers of images are read for at most this many seconds for each data set.
HEADER_SECONDS = 5.0


def check_data(cfg, splits, skip_bad=False, skip_images=None, clean_to=None, warn=print):
    """Check annotation files, images and classes of a config.

    Every annotation and the presence of every image are checked, and as many image headers
    as can be read in a few seconds: all of them for some ten thousand images. What is a problem
    is said in :mod:`.data_rules`.

    Args:
        cfg (Config): with data sets of COCO files; others are left alone.
        splits (Sequence[str]): of 'train', 'val', 'test'.
        skip_bad (bool): warn of annotations that cannot be used instead of refusing them.
        skip_images (bool, optional): the same for images; as ``skip_bad`` if not given.
        clean_to (str, optional): folder for copies without what was warned of.
        warn (Callable): takes a line of text.

    Returns:
        dict[str, str]: annotation files and their clean copies, for :func:`use_files`.

    Raises:
        UserError: the first problem found, with file, annotation or image, and remedy.
    """
    skip_images = skip_bad if skip_images is None else skip_images
    seen, copies = set(), {}
    for split in splits:
        for dataset in split_datasets(cfg, split):
            ann_file, images = dataset_files(dataset)
            if not ann_file.endswith('.json') or '://' in ann_file or (ann_file, images) in seen:
                continue
            seen.add((ann_file, images))
            data = read_annotations(ann_file)
            _check_categories(dataset, data, ann_file, split)
            problems = list(_problems(dataset, data, images, split == 'train'))
            for of_image, skip in ((True, skip_images), (False, skip_bad)):
                found = [p for p in problems if p.of_image == of_image]
                if found:
                    _report(found, ann_file, skip, warn)
            if problems and clean_to:
                copies[ann_file] = write_clean(data, problems, ann_file, clean_to)
    return copies


def _problems(dataset, data, images, training):
    """What training would stop at."""
    need_masks, upright = _loading(dataset)
    for problems in (annotation_problems(data, need_masks),
                     listed_image_problems(data, training),
                     image_file_problems(data, images, HEADER_SECONDS, upright)):
        yield from (p for p in problems if p.treatment == STOP)


def _report(problems, ann_file, skip, warn):
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    line = f'{problems[0].what if problems[0].of_image else problems[0]}{more}'
    if problems[0].of_image:
        line = f'{line}, named in {ann_file}'
    else:
        line = f'{ann_file}: {line}'
    if not skip:
        raise UserError(f'{line}; mend or replace it, or train without such '
                        f'{"images" if problems[0].of_image else "annotations"} by --skip-bad '
                        '(tools/check_dataset.py lists everything)')
    warn(f'left out: {line}')


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


def _check_categories(dataset, data, ann_file, split):
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
