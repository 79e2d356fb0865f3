"""What can be known to fail is found before training starts."""
import json
import os
import time

from PIL import Image, UnidentifiedImageError

from .classes import class_names_of
from .config import dataset_files, model_class_counts, split_datasets
from .errors import UserError
from .own_data import read_annotations

#: Headers of images are read for at most this many seconds for each data set.
HEADER_SECONDS = 5.0


def check_data(cfg, splits, skip_bad=False, warn=print):
    """Check annotation files, images and classes of a config.

    Every annotation and the presence of every image are checked, and as many image headers
    as can be read in a few seconds: all of them for some ten thousand images.

    Args:
        cfg (Config): with data sets of COCO files; others are left alone.
        splits (Sequence[str]): of 'train', 'val', 'test'.
        skip_bad (bool): warn of bad annotations, which mmdet's data sets then leave out,
            instead of refusing them.
        warn (Callable): takes a line of text.

    Raises:
        UserError: the first problem found, with file, annotation or image, and remedy.
    """
    seen = set()
    for split in splits:
        for dataset in split_datasets(cfg, split):
            ann_file, images = dataset_files(dataset)
            if not ann_file.endswith('.json') or '://' in ann_file or (ann_file, images) in seen:
                continue
            seen.add((ann_file, images))
            data = read_annotations(ann_file)
            _check_categories(dataset, data, ann_file, split)
            problems = list(bad_annotations(data))
            if problems:
                more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
                line = f'{ann_file}: {problems[0]}{more}'
                if not skip_bad:
                    raise UserError(f'{line}; mend the file, or train without such '
                                    'annotations by --skip-bad')
                warn(f'left out: {line}')
            check_images(data, ann_file, images)


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


def bad_annotations(data):
    """Lines about annotations that cannot be learned from, worst readable first.

    Args:
        data (dict): a COCO annotation file.

    Yields:
        str: 'annotation 17 (image a.jpg): what is wrong'.
    """
    images = {image.get('id'): image for image in data['images']}
    categories = {category.get('id') for category in data['categories']}
    for annotation in data.get('annotations', ()):
        image = images.get(annotation.get('image_id'))
        wrong = _wrong_with(annotation, image, categories)
        if wrong:
            name = image.get('file_name') if image else annotation.get('image_id')
            yield f'annotation {annotation.get("id")} (image {name}): {wrong}'


def _wrong_with(annotation, image, categories):
    if image is None:
        return 'its image_id is not in "images"'
    if annotation.get('category_id') not in categories:
        return f'its category_id {annotation.get("category_id")} is not in "categories"'
    box = annotation.get('bbox')
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return 'it has no bbox [x, y, width, height]'
    if not isinstance(annotation.get('area'), (int, float)):
        return 'it has no area'
    segmentation = annotation.get('segmentation')
    if not segmentation or annotation.get('iscrowd'):
        return None
    if isinstance(segmentation, dict):
        size = segmentation.get('size')
        if 'counts' not in segmentation or not size:
            return 'its run-length encoding lacks size or counts'
        if list(size) != [image.get('height'), image.get('width')]:
            return (f'its run-length encoding is {size[0]}x{size[1]} (height x width), the '
                    f'image {image.get("height")}x{image.get("width")}')
        return None
    for polygon in segmentation:
        if not isinstance(polygon, (list, tuple)):
            return 'its segmentation is not a list of polygons'
        if len(polygon) % 2:
            return f'a polygon has {len(polygon)} numbers, which is odd'
        if len(polygon) < 6:
            return f'a polygon of {len(polygon) // 2} points has no area'
    return None


def check_images(data, ann_file, folder):
    """Every image is there, and what can be opened in a few seconds is an image.

    Raises:
        UserError: naming the first image that is missing, no image, or of another size.
    """
    names = [image.get('file_name') for image in data['images']]
    if None in names:
        index = names.index(None)
        raise UserError(f'{ann_file}: image {data["images"][index].get("id")} has no file_name')
    missing = _missing(folder, names)
    if missing:
        more = f' (and {len(missing) - 1} more)' if len(missing) > 1 else ''
        raise UserError(f'image missing on disk: {os.path.join(folder, missing[0])}{more}, '
                        f'named in {ann_file}')
    # spread over the file, so that a time limit does not leave out its end
    step = 7919
    count = len(names)
    order = [i * step % count for i in range(count)] if count % step else range(count)
    end = time.monotonic() + HEADER_SECONDS
    for index in order:
        if time.monotonic() > end:
            break
        _check_header(os.path.join(folder, names[index]), data['images'][index], ann_file)


def _check_header(path, image, ann_file):
    try:
        with Image.open(path) as opened:
            size = opened.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UserError(f'the image {path} cannot be decoded: replace it or take it out of '
                        f'{ann_file}') from error
    said = (image.get('width'), image.get('height'))
    # a photograph with an orientation tag is turned when it is loaded
    if None in said or (size != said and size[::-1] != said):
        raise UserError(f'{ann_file}: image {image.get("id")} says {said[0]}x{said[1]} (width x '
                        f'height), but {path} is {size[0]}x{size[1]}')


def _missing(folder, names):
    """Names that are no files; one directory listing for each folder, not one call a file."""
    listings, missing = {}, []
    for name in names:
        place, base = os.path.split(os.path.join(folder, name))
        if place not in listings:
            try:
                listings[place] = set(os.listdir(place or '.'))
            except OSError:
                listings[place] = set()
        if base not in listings[place]:
            missing.append(name)
    return missing


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
