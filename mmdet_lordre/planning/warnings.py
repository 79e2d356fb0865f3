"""What cannot work, said before a training with any config."""
import math
import os
from collections import Counter

import numpy as np
from mmengine.config import Config

from ..config.checks import reads_coco
from ..config.reading import dataset_files, dicts_in, split_datasets, tile_of, type_name
from ..datasets.coco_file import read_annotations
from ..datasets.parts import subset
from ..polarmask import PolarMaskHead
from ..text import plural, printable
from .ceiling import Ceiling, Resizer, build_head, ceiling_of
from .objects import read_objects, relabeled
from .reading import PICTURES, levels, values_of
from .tiling import cut

#: Lines at most.
LINES = 5
#: Images and objects that are drawn.
_IMAGES, _OBJECTS = 20, 400
#: Samples of all their masks, where the network sees one of so many pixels along a side: a second
#: or two.
_SAMPLES, _STRIDE = 1e8, 4
#: Shares of the objects from which on a loss is worth a line; what is drawn badly is so often.
_WORTH, _COARSE = 0.03, 0.25
#: Keys of mmdet's models that say how many objects of an image can be found.
_LIMITS = ('test_cfg.max_per_img', 'test_cfg.rcnn.max_per_img', 'test_cfg.max_per_image',
           'num_queries', 'panoptic_head.num_queries', 'bbox_head.num_queries',
           'rpn_head.num_proposals')


def warnings_of(cfg: Config) -> list[str]:
    """Lines about a config and its training data; mostly none.

    A few images are put through the head's targets and decoder; counts are those of all images. An
    ordinary config of mmdet with another head is told what applies to it.

    Args:
        cfg: Complete, with data that were checked.
    """
    dataset = next((d for d in split_datasets(cfg, 'train') if reads_coco(d)), None)
    if dataset is None:
        return []
    path, folder = dataset_files(dataset)
    data = read_annotations(path)
    counts = np.array(list(Counter(
        a['image_id'] for a in data.get('annotations', ()) if not a.get('iscrowd')).values()))
    if not len(counts):
        return []
    # where nothing is, nothing is too many
    empty = max(0, len(data['images']) - len(counts))
    counts = np.pad(counts, (0, empty))
    tile = tile_of(cfg)
    lines = [] if tile else [_too_many(counts, most, key) for key, most in _limits(cfg.model)]
    head, _ = build_head(cfg)
    ceiling, typical = None, True
    if head is not None:
        names = (dataset.get('metainfo') or {}).get('classes')
        objects = read_objects(_some(data), path, folder)
        known = names is not None and set(objects.classes) <= set(names)
        if known:
            objects = relabeled(objects, tuple(names), 'the config')
        if tile:
            objects = cut(objects, tile)
            counts = objects.counts
        if len(objects.classes) <= head.num_classes:
            images, typical = _images_to_draw(cfg, objects)
            ceiling = ceiling_of(cfg, objects, images) if len(images) else None
            lines += _losses(ceiling, head, counts)
    lines = [line for line in lines if line]
    deep = _gray_levels(dataset, data, folder)
    if lines and (ceiling is not None or not typical):
        lines = lines[:LINES - 1 - bool(deep)]
        lines.append(f'at most mask AP {ceiling.ap:.2f} can be reached on such images; lordre plan '
                     'fits a config to them' if typical else
                     'lordre plan fits a config to such images')
    return (deep + lines)[:LINES]


def judging_warnings(cfg: Config) -> list[str]:
    """Lines about what a training is judged by.

    Args:
        cfg: Complete, with data that were checked.
    """
    learned = {_identity(dataset) for dataset in filter(reads_coco, split_datasets(cfg, 'train'))}
    lines = []
    for dataset in filter(reads_coco, split_datasets(cfg, 'val')):
        path, _ = dataset_files(dataset)
        if _identity(dataset) in learned:
            lines.append(f'training and validation read the same annotations ({printable(path)}): '
                         'the figures say nothing about other images')
        if dataset.get('indices') is None and all(
                a.get('iscrowd') for a in read_annotations(path).get('annotations', ())):
            lines.append(f'the validation annotations ({printable(path)}) have no objects: nothing '
                         'is measured, and every AP is -1')
    return lines


def _identity(dataset):
    """What two data sets have in common that read the same images."""
    return os.path.realpath(dataset_files(dataset)[0]), str(dataset.get('indices'))


def _images_to_draw(cfg, objects):
    """(some of the images, whether they were drawn of all): masks of many objects at the size of
    large files take long and much memory."""
    resizer = Resizer(cfg)
    samples = objects.counts * [math.prod(resizer.shape(size)) / _STRIDE**2
                                for size in objects.sizes]
    shown = objects.counts > 0
    few = np.flatnonzero(shown & (samples <= _SAMPLES / 2))
    typical = len(few) == np.count_nonzero(shown)
    few = np.random.default_rng(0).permutation(few)[:_IMAGES]
    spent = np.stack([objects.counts[few] / _OBJECTS, samples[few] / _SAMPLES]).cumsum(1).max(0)
    return np.sort(few[:np.searchsorted(spent, 1) + 1]), typical


def _gray_levels(dataset, data, folder):
    """A line where pictures of 16 bits are read as 8, and little is left of them."""
    if any('LoadImage' in type_name(step) and step.get('color_type', 'color') != 'color'
           for step in dicts_in(dataset.get('pipeline') or [])):
        return []
    names = [image['file_name'] for image in data['images']]
    chosen = np.random.default_rng(0).permutation(len(names))[:PICTURES]
    values = values_of([os.path.join(folder, names[i]) for i in chosen])
    return [f'the images have 16 bits and use values from {values[0]} to {values[1]}: read as 8 '
            f'bits they have {plural(levels(*values), "gray level")}; lordre plan writes a config '
            'that tells more of them apart'] if values else []


def _some(data):
    """A part of the images of large data: mending and drawing take time by the object."""
    count = len(data['images'])
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(0).permutation(count)[:10 * _IMAGES]] = True
    some = subset(data, chosen)
    return some if any(not a.get('iscrowd') for a in some['annotations']) else data


def _limits(model):
    """(dotted key, number) of what limits the objects that a model finds in an image; of several
    keys of one number the first."""
    seen = set()
    for key in _LIMITS:
        node = model
        for part in key.split('.'):
            node = node.get(part) if isinstance(node, dict) else None
        if type(node) is int and node > 0 and node not in seen:
            seen.add(node)
            yield f'model.{key}', node


def _too_many(counts, most, key):
    share = float((counts > most).mean())
    if share < 0.01:
        return ''
    beyond = np.maximum(counts - most, 0).sum() / counts.sum()
    return (f'{key}={most}, but {share:.0%} of the images have more objects (up to '
            f'{counts.max()}): {beyond:.0%} of all objects are never found')


def _losses(ceiling: Ceiling | None, head, counts) -> list[str]:
    lost = ceiling.lost if ceiling else {}
    lines = []
    queries = getattr(head, 'num_queries', None)
    if queries:
        lines.append(_too_many(counts, queries, 'num_queries'))

    def say(kind, text, worth=_WORTH):
        if lost.get(kind, 0) >= worth:
            lines.append(f'{lost[kind]:.0%} of the objects {text}')
    ranges = 'regress_ranges' if hasattr(head, 'regress_ranges') else 'scale_ranges'
    say('unassigned', f'are learned by no level: see {ranges}')
    say('shared', 'get no cell, point or place of their own, because other objects nearby take '
        'them: see ' + ('the image size' if queries else 'regress_ranges and the image size'
           if ranges[0] == 'r' else 'num_grids'))
    strides, area, keys = getattr(head, 'strides', None), '', 'strides'
    if hasattr(head, 'min_mask_area'):
        area, keys = f', or pixels than min_mask_area={head.min_mask_area}', 'these'
    say('tiny', 'have masks with '
        + (f'fewer samples than strides={strides} require{area}, and are dropped: use larger '
           f'images or lower {keys}' if strides else
           'too few samples: use larger images, or make masks of a finer stride'))
    say('suppressed', 'would be found, and are suppressed by their neighbors or by max_per_img')
    better = 'make masks of a finer stride'
    if isinstance(head, PolarMaskHead):
        better = 'take another family' if head.holes else \
            'let rays draw holes: holes=True of the head and of ExtractContours'
    say('coarse', f'cannot be drawn with an IoU of 0.75: use larger images, or {better}', _COARSE)
    return lines
