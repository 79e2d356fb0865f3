"""Images that show the same picture: stored again, resized, brightened, mirrored or turned.

Candidates come from a perceptual hash, so that the work does not grow with the square of the
images; each is then compared cell by cell. The hash has a bit for each of the 65 lowest frequencies
of a fingerprint (cosine transform), in a form that mirroring and turning do not change. Images that
show the same differ in a few of the bits: they are sorted by the bits in many random orders, and
compared with what comes next to them in one of these.

What is cropped or moved by more than a hundredth of its width is another picture here, and so are
photographs of one scene in which something of about a tenth of the picture moved.
"""
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .fingerprints import SIDE, Fingerprints

#: Root mean square of what differs between two fingerprints of one picture. Stored at JPEG quality
#: 30 or as a quarter of its size a photograph comes to 0.1, another one to 0.9.
FARTHEST = 0.2
#: Correlation of what is left when the mean of 5x5 cells is taken away: a background or a vignette
#: that all images share makes no duplicates.
DETAIL = 0.95
#: Difference of the mean of 2x2 cells: something else is there.
PEAK = 1.0
#: Frequencies of the hash: up to this sum of both directions.
_FREQUENCIES = 10
#: Orders in which each kind of hash is sorted, and what follows an image that it is compared with.
_ORDERS, _NEXT = 24, 8
#: Bits that candidates may differ in.
_BITS = 16
_SEED = 0
_COUNTS = np.array([bin(number).count('1') for number in range(2**16)], np.uint8)
_PIECE = 4096

#: How the second image of a pair is to be turned to lie on the first.
TURNS = ('as it is', 'mirrored', 'upside down and mirrored', 'upside down', 'mirrored and turned',
         'turned by a quarter', 'turned by a quarter', 'mirrored and turned')

#: Frequencies (down, right) on one side of the diagonal and on it; what they add up to, a bit.
_BELOW = np.stack(np.triu_indices(_FREQUENCIES + 1))
_BELOW = _BELOW[:, (_BELOW.sum(0) > 0) & (_BELOW.sum(0) <= _FREQUENCIES)]
_HEIGHT = np.concatenate([_BELOW, _BELOW[:, _BELOW[0] != _BELOW[1]]], axis=1).sum(0)


@dataclass
class Pairs:
    """P pairs of images that show the same: enough of them to link all of a group.

    Attributes:
        images (ndarray): (P, 2) int64, indices; the lower one first.
        differences (ndarray): (P,) float, between the fingerprints: 0 to :data:`FARTHEST`.
        turns (ndarray): (P,) int64, index in :data:`TURNS`.
        same_file (ndarray): (P,) bool, whether the files are equal byte for byte.
    """
    images: np.ndarray
    differences: np.ndarray
    turns: np.ndarray
    same_file: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def how(self, index: int) -> str:
        """What joins a pair, in words."""
        if self.same_file[index]:
            return 'the same file'
        turn = TURNS[self.turns[index]]
        return 'the same picture' + ('' if turn == TURNS[0] else f', {turn}')


def near_duplicates(prints: Fingerprints) -> Pairs:
    """Pairs of images that show the same picture.

    Time and memory grow with the number of images, not of pairs: images of one group are linked,
    not all paired with each other. The result is the same each time. Uniform images are paired only
    where their files are equal.

    Args:
        prints: Fingerprints of N images.
    """
    same = _equal_files(prints.digests)
    found = [Pairs(same, np.zeros(len(same)), np.zeros(len(same), int),
                   np.ones(len(same), bool))]
    left = np.setdiff1d(np.flatnonzero(prints.usable), same[:, 1])
    found += _search(prints, left)
    pairs = Pairs(*(np.concatenate([getattr(part, name) for part in found])
                    for name in ('images', 'differences', 'turns', 'same_file')))
    order = np.lexsort(pairs.images.T[::-1])
    return Pairs(pairs.images[order], pairs.differences[order], pairs.turns[order],
                 pairs.same_file[order])


def linked_groups(count: int, *links: Iterable) -> np.ndarray:
    """Groups of what is linked, over any number of steps.

    Args:
        count: N, of the images.
        links: Pairs of indices (P, 2), any number of lists of them.

    Returns:
        ndarray: (N,) int64, the number of the group of each image, from 0 in the order of their
            first images.
    """
    pairs = np.concatenate([np.zeros((0, 2), np.int64)]
                           + [np.asarray(link, np.int64).reshape(-1, 2) for link in links])
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return ordered_groups(labels)


def ordered_groups(labels: Iterable) -> np.ndarray:
    """Any labels (N,) as numbers from 0 in the order in which they first appear."""
    _, first, inverse = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _equal_files(digests):
    """(P, 2): the first file with some content, and each later one."""
    first, pairs = {}, []
    for index, digest in enumerate(digests):
        if digest and first.setdefault(digest, index) != index:
            pairs.append((first[digest], index))
    return np.array(pairs, np.int64).reshape(-1, 2)


def descriptors(cells: np.ndarray) -> np.ndarray:
    """Low frequencies of fingerprints, the same for all eight ways to turn a picture.

    Args:
        cells: (N, 32, 32).

    Returns:
        ndarray: (N, 65) float32, nearer to each other than the cells are. Mirroring changes signs
            of the frequencies, turning by a quarter swaps the directions: these are absolute
            values, then sums and differences of both directions.
    """
    low = _FREQUENCIES + 1
    down, right = _BELOW
    apart = down != right
    half = np.float32(0.5 ** 0.5)
    result = [np.zeros((0, len(_HEIGHT)), np.float32)]
    for start in range(0, len(cells), _PIECE):
        spectrum = np.abs(dctn(cells[start:start + _PIECE].astype(np.float32), axes=(1, 2),
                               norm='ortho')[:, :low, :low])
        a, b = spectrum[:, down, right], spectrum[:, right, down]
        result.append(np.concatenate([np.where(apart, (a + b) * half, a),
                                      np.abs(a - b)[:, apart] * half], axis=1))
    return np.concatenate(result)


def hashes(strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Perceptual hashes of two kinds.

    Args:
        strength: (N, 65) descriptors.

    Returns:
        tuple[ndarray, ndarray]: (N, 65) bool each. Which frequencies are stronger than in half of
            the images: it tells apart images that have much in common. Which are stronger than
            half of the others of the same image: it does not take noise for a difference where
            images have everything in common.
    """
    if not len(strength):
        return (strength > 0, ) * 2
    # pictures are weaker in high frequencies, by how much depends on what they show
    typical = np.median(strength, axis=0)
    of_frequency = np.bincount(_HEIGHT, typical) / np.maximum(np.bincount(_HEIGHT), 1)
    even = strength / np.maximum(of_frequency[_HEIGHT], 1e-6)
    return strength > typical, even > np.median(even, axis=1, keepdims=True)


def _search(prints, left):
    """Pairs of those of the images ``left`` (L,) that show the same, as index in all images."""
    strength = descriptors(prints.cells[left])
    count = len(left)
    random = np.random.default_rng(_SEED)
    found, other, groups = [_compared(prints, np.zeros((0, 2), np.int64))], [], np.arange(count)
    for bits in hashes(strength):
        words = _words(bits)
        for _ in range(_ORDERS):
            shuffled = _words(bits[:, random.permutation(bits.shape[1])])
            order = np.argsort(shuffled[:, 0], kind='stable')
            for step in range(1, min(_NEXT, count - 1) + 1):
                pairs = np.stack([order[:-step], order[step:]], axis=1)
                pairs = pairs[_ones(words[pairs[:, 0]] ^ words[pairs[:, 1]]) <= _BITS]
                # those of a group need no more links: thousands of frames of one still camera
                pairs = np.sort(pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]], axis=1)
                pairs = pairs[_apart(strength, pairs) <= FARTHEST * SIDE]
                keys = pairs[:, 0] * count + pairs[:, 1]
                pairs = pairs[~np.isin(keys, other)]
                if not len(pairs):
                    continue
                alike = _compared(prints, left[pairs])
                found.append(alike)
                if len(alike):
                    groups = linked_groups(
                        count, np.stack([np.unique(groups, return_index=True)[1][groups],
                                         np.arange(count)], axis=1),
                        np.searchsorted(left, alike.images))
                other = np.union1d(other, pairs[:, 0] * count + pairs[:, 1]).astype(np.int64)
    return found


def _apart(strength, pairs):
    """Distances (P,) of descriptors."""
    pieces = [pairs[start:start + _PIECE] for start in range(0, len(pairs), _PIECE)]
    return np.concatenate([np.zeros(0)] + [
        np.linalg.norm(strength[piece[:, 0]] - strength[piece[:, 1]], axis=1) for piece in pieces])


def _words(bits):
    """Bits (N, B) as numbers (N, ceil(B / 64)) uint64, the first bits the heaviest."""
    padded = np.zeros((len(bits), -(-bits.shape[1] // 64) * 64), bool)
    padded[:, :bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view('>u8').astype(np.uint64)


def _ones(words):
    """Bits that are set, for each of the rows of words (N, W)."""
    return _COUNTS[words.view(np.uint16)].sum(1)


def _compared(prints, candidates):
    """The pairs among candidates that show the same."""
    found = []
    for start in range(0, len(candidates), _PIECE):
        pairs = candidates[start:start + _PIECE]
        first, second = (prints.cells[pairs[:, side]].astype(np.float32) for side in (0, 1))
        # the best of the eight ways to turn the second, by correlation
        products = np.stack([np.einsum('nij,nij->n', first, _turned(second, turn))
                             for turn in range(len(TURNS))])
        turns = products.argmax(0)
        differences = np.sqrt(np.maximum(2 - 2 * products.max(0) / SIDE**2, 0))
        near = np.flatnonzero(differences <= FARTHEST)
        for turn in np.unique(turns[near]):
            rows = near[turns[near] == turn]
            kept = rows[_same_detail(first[rows], _turned(second[rows], turn))]
            found.append((pairs[kept], differences[kept], turns[kept]))
    if not found:
        return Pairs(np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0, int), np.zeros(0, bool))
    images, differences, turns = (np.concatenate(values) for values in zip(*found, strict=True))
    return Pairs(np.sort(images, axis=1), differences, turns, np.zeros(len(images), bool))


def _turned(cells, turn):
    if turn & 4:
        cells = cells.transpose(0, 2, 1)
    if turn & 2:
        cells = cells[:, ::-1]
    return cells[:, :, ::-1] if turn & 1 else cells


def _same_detail(first, second):
    """Which of N pairs of cells (N, 32, 32) also agree in what is small."""
    peak = np.abs(uniform_filter(second - first, (0, 2, 2), mode='nearest')).max((1, 2))
    a, b = (cells - uniform_filter(cells, (0, 5, 5), mode='nearest') for cells in (first, second))
    norm = np.sqrt(np.einsum('nij,nij->n', a, a) * np.einsum('nij,nij->n', b, b))
    correlation = np.einsum('nij,nij->n', a, b) / np.maximum(norm, 1e-6)
    return (peak <= PEAK) & (correlation >= DETAIL)
