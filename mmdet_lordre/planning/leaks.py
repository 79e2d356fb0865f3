"""Validation images that show what training images show."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..datasets.file_names import path_inside
from ..datasets.fingerprints import fingerprint_images
from ..datasets.formats.options import part_of_folders
from ..datasets.near_duplicates import linked_groups, near_duplicates
from ..datasets.sequences import following
from .objects import Objects

#: Pixels that are decoded at most: some ten seconds of one core.
PIXELS = 4e8
#: JPEG is decoded at an eighth of its size: what it costs of that.
_JPEG = 0.25


@dataclass(frozen=True)
class Leaks:
    """What two data sets have in common.

    Attributes:
        pairs: (validation image, training image), a pair for each validation image.
        val: Validation images that were looked at.
        train: Training images that were.
        frames: Validation images beside a training image in a series, as frames of one film are;
            of a sample, beside one in the sample.
    """
    pairs: tuple[tuple[str, str], ...]
    val: int
    train: int
    frames: int = 0

    @property
    def of_one_film(self) -> bool:
        """Whether most validation images are: of whole runs set aside only the ends are."""
        return self.frames > self.val / 2


def find_leaks(train: Objects, val: Objects, seed: int = 0, pixels: float = PIXELS) -> Leaks:
    """Look for the same picture, also stored again, resized or mirrored, on both sides.

    Args:
        train: Data to train on.
        val: Data to judge on.
        seed: Of the sample that is taken where there are too many.
        pixels: That are decoded at most.
    """
    of_val, of_train = (costs(data.sizes, data.files) for data in (val, train))
    whole = of_val.sum() + of_train.sum() <= pixels
    judged = readable(of_val, pixels if whole else pixels / 4, seed)
    learned = readable(of_train, pixels - of_val[judged].sum(), seed)
    files = [(data.folder, data.files[i])
             for data, chosen in ((val, judged), (train, learned)) for i in chosen]
    prints = fingerprint_images([path_inside(folder, name) or '' for folder, name in files])
    steps = following([_without_part(name) for _, name in files], prints, seed)
    across = steps[(steps < len(judged)).sum(1) == 1]
    return Leaks(_across(near_duplicates(prints).images, judged, learned, val, train),
                 len(judged), len(learned), len(np.unique(across[across < len(judged)])))


def _without_part(name):
    """A file name without the folder of its part: frames of one film may lie in both."""
    *folders, base = name.replace('\\', '/').split('/')
    return '/'.join([*(folder for folder in folders if not part_of_folders(f'{folder}/')), base])


def readable(cost: np.ndarray, pixels: float, seed: int = 0) -> np.ndarray:
    """Indices (M,) of all images, or of as many at random as cost so many pixels; one at least.

    Args:
        cost: (N,) pixels that decoding each image costs.
        pixels: That are decoded at most.
        seed: Of the choice.
    """
    if cost.sum() <= pixels:
        return np.arange(len(cost))
    order = np.random.default_rng(seed).permutation(len(cost))
    count = np.searchsorted(np.cumsum(cost[order]), pixels, side='right')
    return np.sort(order[:max(1, count)])


def costs(sizes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(N,) pixels that decoding an image for a comparison costs.

    Args:
        sizes: int (N, 2) in pixels.
        names: Of the files.
    """
    return sizes.prod(1) * np.array([
        _JPEG if name.lower().endswith(('.jpg', '.jpeg')) else 1. for name in names])


def _across(pairs, judged, learned, val, train):
    """Of linked images those that lie on both sides: groups are linked over several steps."""
    groups = linked_groups(len(judged) + len(learned), pairs)
    of_train = {}
    for place, group in zip(learned, groups[len(judged):]):
        of_train.setdefault(group, train.files[place])
    return tuple((val.files[place], of_train[group])
                 for place, group in zip(judged, groups) if group in of_train)
