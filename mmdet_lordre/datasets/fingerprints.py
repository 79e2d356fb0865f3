"""What an image looks like, in a thumbnail: the same after it was stored again or resized.

A fingerprint is the luminance of an image in 32x32 cells, its mean subtracted and divided by its
standard deviation, so that neither brightness nor contrast counts. Beside it stands a digest of the
file's bytes.
"""
import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from .image_rules import UNREADABLE

#: Cells along each side of a thumbnail.
SIDE = 32
#: Standard deviation of the cells, in gray levels of 255, below which an image is uniform: what is
#: left of it is noise, which tells nothing.
UNIFORM = 1.5
_DIGEST = 16
_PIECE = 1 << 20


@dataclass
class Fingerprints:
    """Fingerprints of N images, in their order.

    Attributes:
        cells (ndarray): (N, 32, 32) float16; mean 0 and standard deviation 1 where ``usable``,
            else 0.
        usable (ndarray): (N,) bool, whether an image can be compared by its cells: it was read and
            is not uniform.
        digests: Of the bytes of each file; empty where it cannot be read.
    """
    cells: np.ndarray
    usable: np.ndarray
    digests: list

    def __len__(self) -> int:
        return len(self.digests)

    @classmethod
    def join(cls, parts: Iterable['Fingerprints']) -> 'Fingerprints':
        """Those of several lists of images, one after the other."""
        parts = list(parts)
        return cls(np.concatenate([part.cells for part in parts]),
                   np.concatenate([part.usable for part in parts]),
                   [digest for part in parts for digest in part.digests])


def fingerprint_images(paths: Sequence[str], workers: int | None = None) -> Fingerprints:
    """Read images, several at once, and take their fingerprints.

    A file that is missing or cannot be decoded has none: it is like no other (the check of the
    images names it).

    Args:
        paths: Of the files.
        workers: Threads that decode; by default one a CPU core, at most 8. The result does not
            depend on it.
    """
    cells = np.zeros((len(paths), SIDE, SIDE), np.float16)
    usable, digests = np.zeros(len(paths), bool), [b''] * len(paths)

    def take(index):
        digests[index], found = fingerprint(paths[index])
        if found is not None:
            cells[index], usable[index] = found, True

    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(take, range(len(paths))):
            pass
    return Fingerprints(cells, usable, digests)


def fingerprint(path: str) -> tuple[bytes, np.ndarray | None]:
    """Digest of a file, and its cells (32, 32) float32 or None.

    Args:
        path: Of an image file.
    """
    if not os.path.isfile(path):  # a pipe would be waited for, for ever
        return b'', None
    try:
        digest = _digest(path)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                opened.draft('L', (4 * SIDE, 4 * SIDE))  # JPEG: decoded at an eighth of its size
                return digest, standardized(luminance_cells(ImageOps.exif_transpose(opened)))
    except UNREADABLE:
        return b'', None


def luminance_cells(image: Image.Image) -> np.ndarray:
    """Mean luminance of an image in 32x32 cells: (32, 32) float32, 0 to 255."""
    if image.mode in ('1', 'P', 'PA', 'RGBA', 'LA', 'La', 'RGBa'):
        image = image.convert('RGBA' if 'A' in image.mode or 'transparency' in image.info
                              else 'RGB')
    if image.mode[0] in 'IF':  # 16 bits and more, in any range: its own
        values = np.asarray(image, np.float32)
        low, high = np.nanmin(values), np.nanmax(values)
        image = Image.fromarray((values - low) * (255 / max(float(high - low), 1e-6)))
    else:
        image = image.convert('L')
        image = image.reduce(tuple(max(1, side // (4 * SIDE)) for side in image.size))
        image = image.convert('F')
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


def standardized(cells: np.ndarray) -> np.ndarray | None:
    """Cells with mean 0 and standard deviation 1, None for those of a uniform image."""
    deviation = float(cells.std())
    if not deviation >= UNIFORM:  # nor where it is NaN
        return None
    return (cells - cells.mean()) / deviation


def _digest(path: str) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    with open(path, 'rb') as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.digest()
