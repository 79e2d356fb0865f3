"""Dividing images into parts: by shares or folds, balanced by class, whole groups on one side.

Balanced by iterative stratification (Sechidis et al., On the Stratification of Multi-Label Data,
2011): the rarest class is divided first, each of its images going where most of that class is
still wanted. Here whole groups of images are given out, and no part takes more images than its
share while others lack some.
"""
import os
import re
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import UserError
from ..text import quoted
from .near_duplicates import linked_groups, ordered_groups

#: Groups of more than this part of the smallest part are placed before all others.
_LARGE = 0.1
#: What Roboflow appends to the name of a photograph for each of its augmented versions.
_VERSION = re.compile(r'\.rf\.[0-9a-zA-Z]{8,}(?=\.[^.]+$)')


def by_folder(names: Sequence[str]) -> np.ndarray:
    """Groups (N,) of file names: one for each folder."""
    return ordered_groups([os.path.dirname(name.replace('\\', '/')) for name in names])


def by_pattern(names: Sequence[str], pattern: str) -> tuple[np.ndarray, int]:
    """Groups of file names by a part of the name.

    Args:
        names: N file names.
        pattern: Regular expression that is searched for in each name; its groups, or the whole
            of what it finds, say the group.

    Returns:
        tuple[ndarray, int]: groups (N,), and how many names do not have the pattern: each of these
            is a group of its own.

    Raises:
        UserError: No regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f'{quoted(pattern)} is no regular expression: {error}') from error
    labels, without = [], 0
    for index, name in enumerate(names):
        found = compiled.search(name)
        without += found is None
        labels.append(f'alone: {index}' if found is None else
                      f'found: {found.groups() or found.group()}')
    return ordered_groups(labels), without


def by_version(names: Sequence[str]) -> np.ndarray:
    """Groups (N,) of file names: the versions that Roboflow makes of one photograph."""
    return ordered_groups([_VERSION.sub('', name) for name in names])


def merged(*groupings: Iterable) -> np.ndarray:
    """Groups (N,) of images that are together in any of several groupings (N,)."""
    links = []
    for grouping in groupings:
        labels = ordered_groups(grouping)
        first = np.unique(labels, return_index=True)[1]
        links.append(np.stack([first[labels], np.arange(len(labels))], axis=1))
    return linked_groups(len(links[0]), *links)


def objects_by_class(data: dict) -> np.ndarray:
    """Objects of each class in each image: (N, C) int64, without crowds.

    Args:
        data: COCO annotations; what refers to no image or category is not counted.
    """
    images = {image['id']: index for index, image in enumerate(data['images'])}
    classes = {category['id']: index for index, category in enumerate(data['categories'])}
    cells = [images[a['image_id']] * len(classes) + classes[a['category_id']]
             for a in data.get('annotations', ()) if not a.get('iscrowd')
             and a['image_id'] in images and a['category_id'] in classes]
    counts = np.bincount(np.array(cells, np.int64), minlength=len(data['images']) * len(classes))
    return counts.reshape(len(data['images']), len(classes))


def balanced_parts(objects: np.ndarray, groups: np.ndarray, shares: Sequence[float],
                   seed: int = 0) -> np.ndarray:
    """Divide images into parts of given shares with the same mixture of classes.

    Args:
        objects: (N, C) objects of each class in each image.
        groups: (N,) group of each image; a group stays whole.
        shares: (P,) positive; their sum stands for all images.
        seed: For what could go either way; the same seed gives the same parts.

    Returns:
        ndarray: (N,) int64, the part of each image. Numbers of images are as near to the shares as
            whole groups allow; a part may be empty where there are too few groups.
    """
    groups = ordered_groups(groups)
    count = int(groups.max()) + 1 if len(groups) else 0
    sizes = np.bincount(groups, minlength=count)
    present = np.zeros((count, objects.shape[1]), np.int64)
    np.add.at(present, groups, objects > 0)
    # half by the images that have a class, half by its objects: one crowded image is not all of it
    weight = np.zeros(present.shape)
    np.add.at(weight, groups, objects / np.maximum(objects.sum(0), 1))
    weight = (weight + present / np.maximum(present.sum(0), 1)) / 2
    parts = _Parts(weight, sizes, np.asarray(shares, float))
    shuffled = np.random.default_rng(seed).permutation(count)

    large = [g for g in shuffled if sizes[g] > max(1, _LARGE * parts.room.min())]
    for group in sorted(large, key=lambda g: -sizes[g]):
        parts.place(group, parts.lacking(group))
    left = parts.part[shuffled] < 0
    while left.any():
        waiting = shuffled[left]
        totals = present[waiting].sum(0)
        if not totals.any():
            break
        rarest = int(np.where(totals > 0, totals, totals.max() + 1).argmin())
        having = waiting[present[waiting, rarest] > 0]
        for group in having[np.argsort(-weight[having, rarest], kind='stable')]:
            parts.place(group, parts.wanted[:, rarest])
        left = parts.part[shuffled] < 0
    rest = shuffled[left]
    for group in rest[np.argsort(-sizes[rest], kind='stable')]:
        parts.place(group, parts.room)
    return parts.part[groups]


class _Parts:
    """What each part still wants, while groups are given out."""

    def __init__(self, weight, sizes, shares):
        """Groups have parts of the classes ``weight`` (G, C), which add up to 1, and images."""
        shares = shares / shares.sum()
        self.weight, self.sizes = weight, sizes
        self.room = shares * sizes.sum()
        self.wanted = shares[:, None] * np.ones(weight.shape[1])
        self.part = np.full(len(sizes), -1, np.int64)

    def lacking(self, group):
        """How much of what a group has each part wants, rare classes as heavy as common ones."""
        return self.wanted @ self.weight[group] + 1e-9 * self.room

    def place(self, group, want):
        """Give a group to the part that wants most (P,), of those that have room for it."""
        fits = self.room >= self.sizes[group] / 2
        if not fits.any():
            fits = self.room >= self.room.max()
        best = fits & (want >= want[fits].max() - 1e-12)
        part = int(np.where(best, self.room, -np.inf).argmax())
        self.part[group] = part
        self.room[part] -= self.sizes[group]
        self.wanted[part] -= self.weight[group]
