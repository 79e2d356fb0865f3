"""Pictures that follow each other: frames of a film, slices of a volume, a patient's images.

Their files are named by a running number, and each looks more like the one before than like others
of the series. Next to each other in training and validation data they make the figures too good,
although no two of them are the same picture.
"""
import re
from collections.abc import Sequence

import numpy as np

from .fingerprints import Fingerprints
from .near_duplicates import linked_groups

#: Fewest images of a series.
_FEWEST = 8
#: How much nearer than two images of the series at random those that follow each other are, as
#: medians; the same part of the distance at random links one image to the next.
_NEARER = 0.7
_DIGITS = re.compile(r'(\d+)')
#: Pairs at random of a series.
_PAIRS = 2000
_PIECE = 4096


def frame_groups(names: Sequence[str], prints: Fingerprints, same: np.ndarray, smallest: float,
                 seed: int = 0) -> np.ndarray:
    """Groups (N,) of images to be kept together: runs of half of the smallest part at most.

    Args:
        names, prints, seed: As of :func:`following`.
        same: As of :func:`in_runs`.
        smallest: Images of the smallest part that they are divided into.
    """
    return in_runs(following(names, prints, seed), same, max(2, int(smallest / 2)))


def following(names: Sequence[str], prints: Fingerprints, seed: int = 0) -> np.ndarray:
    """Pairs of images that follow each other in a series.

    Args:
        names: N file names. A series is what differs in its numbers alone.
        prints: Fingerprints of the N images. What has none lies between what has some.
        seed: Of the pairs at random.

    Returns:
        ndarray: (P, 2) int64 indices, in the order of the numbers; none where the images of a
            series are not more alike in that order than in any other.
    """
    series = {}
    for index, name in enumerate(names):
        parts = _DIGITS.split(name.replace('\\', '/'))
        if len(parts) > 1:
            # as a number, however long
            number = [(len(digits), digits) for digits in (p.lstrip('0') for p in parts[1::2])]
            series.setdefault(tuple(parts[::2]), []).append((number, name, index))
    random = np.random.default_rng(seed)
    pairs = [np.zeros((0, 2), np.int64)]
    for members in series.values():
        order = np.array([index for *_, index in sorted(members)])
        seen = np.flatnonzero(prints.usable[order])
        if len(seen) < _FEWEST:
            continue
        steps = _distances(prints, order[seen[:-1]], order[seen[1:]])
        first, shift = random.integers(0, len(seen), _PAIRS), random.integers(1, len(seen), _PAIRS)
        usual = np.median(_distances(prints, order[seen[first]],
                                     order[seen[(first + shift) % len(seen)]]))
        if np.median(steps) > _NEARER * usual:
            continue
        linked = np.repeat(steps <= _NEARER * usual, np.diff(seen))
        places = np.arange(seen[0], seen[-1])[linked]
        pairs.append(np.stack([order[places], order[places + 1]], axis=1))
    return np.concatenate(pairs)


def in_runs(pairs: np.ndarray, same: np.ndarray, longest: int) -> np.ndarray:
    """Groups (N,) of images that follow each other, long ones cut into runs of about equal length.

    Args:
        pairs: (P, 2) of :func:`following`.
        same: (N,) group of each image, of those that show the same picture: a run is not cut
            within one, or the group would join what comes before and after.
        longest: Images of a run, at most, where that can be; 1 or more.
    """
    after = dict(pairs.tolist())
    kept = []
    for start in sorted(after.keys() - set(after.values())):
        chain = [start]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        chain = np.array(chain)
        places = 1 + np.flatnonzero(same[chain[1:]] != same[chain[:-1]])
        wished = len(chain) * np.arange(1, parts := -(-len(chain) // longest)) / parts
        cuts = np.unique(places[np.abs(places - wished[:, None]).argmin(1)]) if len(places) else []
        for run in np.split(chain, cuts):
            kept.append(np.stack([run[:-1], run[1:]], axis=1))
    return linked_groups(len(same), *kept)


def _distances(prints, first, second):
    """Root mean square (P,) of what differs between fingerprints (P,) each."""
    return np.concatenate([np.zeros(0, np.float32)] + [
        np.sqrt(np.square(prints.cells[first[start:start + _PIECE]].astype(np.float32)
                          - prints.cells[second[start:start + _PIECE]]).mean((1, 2)))
        for start in range(0, len(first), _PIECE)])
