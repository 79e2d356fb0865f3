"""Which of many objects and images are shown."""
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..datasets.annotation_rules import Problem
from ..datasets.doubts import LearnedObjects
from ..text import plural


@dataclass(frozen=True)
class Shown:
    """One tile of a mosaic.

    Attributes:
        index: In ``annotations``, or in ``images`` if ``of_image``.
        of_image: Whether the whole image is shown.
        note: What is to be said of it besides its names.
    """
    index: int
    of_image: bool = False
    note: str = ''


def chosen_objects(objects: LearnedObjects, label: int, count: int, seed: int = 0) -> list[Shown]:
    """Objects of a class, drawn by lot, each from another image as long as there are others.

    Args:
        objects: Of a data set.
        label: Of the class.
        count: Objects at most.
        seed: Of the lot.
    """
    rows = np.flatnonzero(objects.label == label)
    rows = np.random.default_rng((seed, label)).permutation(rows)
    images = objects.image[rows]
    # how many objects of its image came before it
    order = np.argsort(images, kind='stable')
    starts = np.flatnonzero(np.r_[True, np.diff(images[order]) > 0]) if len(rows) else rows
    turn = np.empty(len(rows), np.int64)
    turn[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    chosen = rows[np.argsort(turn, kind='stable')[:count]]
    return [Shown(int(objects.index[at])) for at in chosen]


def by_area(objects: LearnedObjects, count: int, largest: bool) -> list[Shown]:
    """The largest or the smallest objects."""
    order = np.argsort(-objects.area if largest else objects.area, kind='stable')[:count]
    return [Shown(int(objects.index[at])) for at in order]


def crowded_images(objects: LearnedObjects, count: int) -> list[Shown]:
    """The images with the most objects."""
    images, numbers = np.unique(objects.image, return_counts=True)
    order = np.argsort(-numbers, kind='stable')[:count]
    return [Shown(int(images[at]), True, plural(numbers[at], 'object')) for at in order]


def images_by_size(data: dict, count: int, largest: bool) -> list[Shown]:
    """The largest or the smallest images, where they differ in size.

    Args:
        data: A COCO file.
        count: Images at most.
        largest: The largest, else the smallest.
    """
    pixels = np.array([image['width'] * image['height'] if
                       all(type(image.get(side)) is int for side in ('width', 'height')) else 0
                       for image in data['images']], float)
    if not len(pixels) or pixels.min() == pixels.max():
        return []
    order = np.argsort(-pixels if largest else pixels, kind='stable')[:count]
    return [Shown(int(at), True, '{width}x{height} px'.format_map(data['images'][at]))
            for at in order if pixels[at]]


def chosen_images(data: dict, count: int, seed: int = 0) -> list[Shown]:
    """Images drawn by lot."""
    order = np.random.default_rng(seed).permutation(len(data['images']))[:count]
    return [Shown(int(at), True) for at in order]


def doubtful(problems: Iterable[Problem], kind: str, count: int) -> list[Shown]:
    """The first problems of a kind (a key of ``annotation_rules.KINDS``).

    Args:
        problems: In the order of the data.
        kind: A key of ``annotation_rules.KINDS``.
        count: Problems at most.
    """
    found = (Shown(p.index, p.of_image, p.what) for p in problems if p.kind == kind)
    return list(itertools.islice(found, count))
