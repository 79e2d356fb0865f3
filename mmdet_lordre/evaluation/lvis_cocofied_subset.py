"""The part of LVIS that COCO's categories have: "LVIS-cocofied"."""
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from mmdet.datasets import CocoDataset

from .lvis_cocofied_synsets import COCO_SYNSETS

#: (COCO category id, its name) of the 80 categories, in the order of a model's labels.
COCO_CATEGORIES = tuple(zip((coco_id for coco_id, _ in COCO_SYNSETS),
                            CocoDataset.METAINFO['classes'], strict=True))


def cocofied(lvis: Mapping, split: str | None = 'val2017') -> dict:
    """Keep the COCO categories of an LVIS file, under their COCO ids.

    Annotations of LVIS categories that share their synset with a COCO category are kept, with the
    COCO category id and new consecutive ids; the images' ``neg_category_ids`` and
    ``not_exhaustive_category_ids`` are mapped alike. A category that no image has or mentions is
    left out. The segmentations are not touched: they are finer than COCO's.

    Args:
        lvis: An LVIS file, v0.5 or v1, as read from JSON.
        split: Keep the images of this COCO folder (as their ``coco_url`` says). LVIS v1
            validates on images of COCO's train2017, too, which a COCO model was trained on. None
            keeps all; images that do not say where they are from are kept.

    Returns:
        The subset in the same format. Categories have their COCO names; ``lvis_name`` keeps
        LVIS's, and ``frequency`` stays (how many training images of LVIS have it).

    Raises:
        ValueError: If the file is not an LVIS file, or nothing of it is left.
    """
    _check(lvis)
    coco_of = {synset: coco_id for coco_id, synset in COCO_SYNSETS}
    names = dict(COCO_CATEGORIES)
    kept = {category['id']: coco_of[category['synset']] for category in lvis['categories']
            if category.get('synset') in coco_of}

    images = []
    for image in lvis['images']:
        if split is not None and 'coco_url' in image and f'/{split}/' not in image['coco_url']:
            continue
        lists = {key: sorted({kept[i] for i in image.get(key, ()) if i in kept})
                 for key in ('neg_category_ids', 'not_exhaustive_category_ids')}
        images.append({**image, **lists})
    if not images:
        raise ValueError(f'no image of the file is from {split}: choose another split')
    present = {image['id'] for image in images}
    annotations = [annotation for annotation in lvis['annotations']
                   if annotation['category_id'] in kept and annotation['image_id'] in present]
    annotations = [{**annotation, 'id': number, 'category_id': kept[annotation['category_id']],
                    'iscrowd': 0} for number, annotation in enumerate(annotations, start=1)]

    used = {annotation['category_id'] for annotation in annotations}
    for image in images:
        used.update(image['neg_category_ids'], image['not_exhaustive_category_ids'])
    categories = [{**category, 'id': kept[category['id']], 'name': names[kept[category['id']]],
                   'lvis_name': category['name']}
                  for category in lvis['categories'] if kept.get(category['id']) in used]
    categories.sort(key=lambda category: category['id'])
    if not categories:
        raise ValueError('no COCO category is left of the file')
    rest = {key: value for key, value in lvis.items()
            if key not in ('images', 'annotations', 'categories')}
    return {**rest, 'images': images, 'annotations': annotations, 'categories': categories}


def _check(lvis):
    for key in ('images', 'annotations', 'categories'):
        if key not in lvis:
            raise ValueError(f'this is no LVIS annotation file: it has no {key!r}')
    if not any('synset' in category for category in lvis['categories']):
        raise ValueError("this is no LVIS annotation file: its categories have no 'synset'")
    if not any('neg_category_ids' in image for image in lvis['images']):
        raise ValueError("this is no LVIS annotation file: its images have no 'neg_category_ids'")


def write_cocofied(source: str | Path, target: str | Path, split: str | None = 'val2017') -> dict:
    """Read an LVIS file, write its COCO part; see :func:`cocofied`.

    Returns:
        What was written.

    Raises:
        ValueError: Naming the file, if it is not what it should be.
        FileNotFoundError: If there is no ``source``.
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise FileNotFoundError(f'no such file: {source}')
    if target.exists() and source.samefile(target):
        raise ValueError(f'{target}: the result must go to another file')
    try:
        with source.open() as stream:
            subset = cocofied(json.load(stream), split)
    except ValueError as error:     # of JSON, too
        raise ValueError(f'{source}: {error}') from None
    target.parent.mkdir(parents=True, exist_ok=True)
    # complete or not there at all, under a name that nobody else's file has
    part = target.with_name(f'{target.name}.{uuid.uuid4().hex}.part')
    try:
        with part.open('x') as stream:
            json.dump(subset, stream)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return subset
