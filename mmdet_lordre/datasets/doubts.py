"""Objects to look at again: annotated twice, or far from what their class is like.

They are named, not judged: what is unusual may be right.
"""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_api

from ..text import printable, with_article
from .annotation_rules import KEPT, Problem, category_name, encode_segmentation, place_of

#: Overlap (IoU) of two masks from which on they are one object.
TWICE = 0.8
#: The same for two masks of different classes: clothes cover most of who wears them.
TWICE_OF_TWO_CLASSES = 0.9
#: Robust standard deviations from the median of the class, from which on an object is unusual.
UNUSUAL = 5.0
#: Objects of a class below which nothing is usual.
FEWEST = 30
#: Standard deviations that are taken where a class has less: of the logarithms of area and of
#: width by height, and of the part of the box that is filled.
_LEAST = (0.2, 0.15, 0.05)


@dataclass
class LearnedObjects:
    """The M objects of a file that are learned.

    Attributes:
        index (ndarray): (M,) of the entry in ``annotations``.
        image (ndarray): (M,) of the entry in ``images``.
        label (ndarray): (M,) of the entry in ``categories``.
        boxes (ndarray): (M, 4) float x1 y1 x2 y2 in pixels.
        area (ndarray): (M,) float, of the mask in pixels as the file says it.
    """
    index: np.ndarray
    image: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def learned_objects(data: dict, problems: Iterable[Problem] = ()) -> LearnedObjects:
    """Objects that are learned, without crowds.

    Args:
        data: COCO annotations.
        problems: All that :func:`~.annotation_rules.annotation_problems` finds in them.
    """
    images = {image.get('id'): index for index, image in enumerate(data['images'])}
    labels = {category.get('id'): index for index, category in enumerate(data['categories'])}
    bad = {p.index for p in problems if not p.of_image and p.treatment != KEPT}
    rows = [(index, images[a.get('image_id')], labels[a.get('category_id')], *a['bbox'], a['area'])
            for index, a in enumerate(data.get('annotations', ()))
            if index not in bad and not a.get('iscrowd')]
    table = np.array(rows, float).reshape(-1, 8)
    boxes = table[:, 3:7].copy()
    boxes[:, 2:] += boxes[:, :2]
    return LearnedObjects(*table[:, :3].astype(np.int64).T, boxes, table[:, 7])


def annotated_twice(data: dict, objects: LearnedObjects) -> Iterator[Problem]:
    """Objects that an earlier annotation of the same image shows, too.

    Args:
        data: A COCO file.
        objects: What is in it.

    Yields:
        Problem: one for each such object, of the later annotation.
    """
    order = np.lexsort((objects.index, objects.image))
    image, boxes = objects.image[order], objects.boxes[order]
    areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-9)
    found = np.full(len(order), -1)
    first = np.arange(len(order))
    step = 0
    # each object with the next one of its image, then with the one after that, and so on
    while True:
        step += 1
        first = first[first + step < len(order)]
        first = first[image[first] == image[first + step]]
        if not len(first):
            break
        second = first + step
        sides = (np.minimum(boxes[first, 2:], boxes[second, 2:])
                 - np.maximum(boxes[first, :2], boxes[second, :2]))
        both = np.maximum(sides, 0).prod(1)
        near = both >= TWICE * (areas[first] + areas[second] - both)
        for one, other in zip(first[near].tolist(), second[near].tolist(), strict=True):
            if found[other] < 0 and _one_object(data, objects, order[one], order[other]):
                found[other] = one
    for other in np.flatnonzero(found >= 0)[np.argsort(
            objects.index[order[found >= 0]], kind='stable')].tolist():
        here, there = order[other], order[found[other]]
        what = (f'it covers what annotation '
                f'{printable(data["annotations"][objects.index[there]].get("id"), 40)} covers')
        if objects.label[here] != objects.label[there]:
            names = [printable(category_name(data['categories'][objects.label[at]]), 40)
                     for at in (here, there)]
            what += f', as {names[0]} and as {names[1]}'
        yield _problem('annotated twice', data, objects, here, what)


def _one_object(data, objects, one, other):
    same_class = objects.label[one] == objects.label[other]
    masks = [data['annotations'][objects.index[at]].get('segmentation') for at in (one, other)]
    if masks[0] and masks[0] == masks[1]:
        return True
    image = data['images'][objects.image[one]]
    encoded = [encode_segmentation(mask, image) for mask in masks]
    if None in encoded:  # boxes alone
        return same_class
    overlap = float(mask_api.iou(encoded[:1], encoded[1:], [0])[0, 0])
    return overlap >= (TWICE if same_class else TWICE_OF_TWO_CLASSES)


def unusual_for_class(data: dict, objects: LearnedObjects) -> Iterator[Problem]:
    """Objects whose area or shape is far from that of their class, the farthest first.

    Distances are measured from the median, in standard deviations that outliers do not change
    (1.4826 times the median deviation).

    Args:
        data: A COCO file.
        objects: What is in it.

    Yields:
        Problem: one for each such object.
    """
    sides = np.maximum(objects.boxes[:, 2:] - objects.boxes[:, :2], 1e-9)
    values = np.stack([np.log(np.maximum(objects.area, 1e-9)), np.log(sides[:, 0] / sides[:, 1]),
                       objects.area / sides.prod(1)], axis=1)
    medians, far = np.zeros_like(values), np.zeros_like(values)
    for label in np.unique(objects.label):
        rows = np.flatnonzero(objects.label == label)
        if len(rows) < FEWEST:
            continue
        medians[rows] = np.median(values[rows], axis=0)
        off = np.abs(values[rows] - medians[rows])
        far[rows] = off / np.maximum(1.4826 * np.median(off, axis=0), _LEAST)
    farthest = far.max(1) if len(far) else np.zeros(0)
    for at in np.argsort(-farthest, kind='stable')[:int((farthest > UNUSUAL).sum())].tolist():
        kind = int(far[at].argmax())
        name = with_article(printable(category_name(data['categories'][objects.label[at]]), 40))
        usual = medians[at, kind]
        if kind == 0:
            what = f'its area is {objects.area[at]:.0f} px, that of {name} {np.exp(usual):.0f}'
        elif kind == 1:
            what = (f'its box is {sides[at, 0]:.0f}x{sides[at, 1]:.0f} px, '
                    f'{_ratio(values[at, 1])}; that of {name} is {_ratio(usual)}')
        else:
            what = (f'it fills {100 * values[at, 2]:.0f} % of its box, {name} '
                    f'{100 * usual:.0f} %')
        yield _problem('unusual for its class', data, objects, at, what + ' (median)')


def _ratio(logarithm):
    """Width to height, in words."""
    ratio = float(np.exp(logarithm))
    return f'{ratio:.2g}:1' if ratio >= 1 else f'1:{1 / ratio:.2g}'


def _problem(kind, data, objects, at, what):
    annotation = data['annotations'][objects.index[at]]
    image = data['images'][objects.image[at]]
    return Problem(kind, place_of(annotation, image), what, int(objects.index[at]))
