"""Values of instance masks that are no objects: void as in Pascal VOC, a background of not 0."""
from collections import Counter

import cv2
import numpy as np

from ...text import plural, printable

#: What Pascal VOC marks the contours of objects with.
VOID = 255
#: Share of the border of a mask, and of the masks, that a background has.
_BORDER, _NEARLY_ALL = 0.5, 0.9
#: Pixels from the middle of a contour to its side.
_THIN = 5


class Doubts:
    """What is seen of all masks of a data set."""

    def __init__(self):
        self.masks = self.voids = self.open = self.rings = self.open_rings = 0
        self._backgrounds: Counter = Counter()
        self._first = ''

    def look(self, labels: np.ndarray, name: str, palette: bool) -> bool | None:
        """Look at a mask.

        Args:
            labels: (H, W).
            name: Of its file.
            palette: Whether its values are indices of a palette.

        Returns:
            Whether 255 is no object in it; None where other masks must say so.
        """
        self.masks += 1
        self._first = self._first or name
        border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
        values, counts = np.unique(border, return_counts=True)
        if values[counts.argmax()] and counts.max() > _BORDER * len(border):
            self._backgrounds[int(values[counts.argmax()])] += 1
        if not (labels == VOID).any():
            return False
        others = np.unique(labels)
        others = others[(others != 0) & (others != VOID)]
        if palette and len(others) and others[-1] == len(others) and len(others) < VOID - 1:
            self.voids += 1
            return True
        if palette and (not len(others) or others[-1] < VOID):
            self.open += 1
            self.open_rings += _is_contour(labels, others)
            return None
        self.rings += _is_contour(labels, others)
        return False

    def open_are_void(self) -> bool:
        """Whether 255 is no object where a mask alone does not say so."""
        return self.voids >= max(1, self.open)

    def notes(self) -> list[str]:
        """A sentence for each doubt."""
        found = []
        if self.voids:
            void = self.open_are_void()
            count = self.voids + (self.open if void else 0)
            found.append(f'index {VOID} of palette images left out as void, as in Pascal VOC '
                         f'({plural(count, "mask")})'
                         + (f'; read as an object in {self.open} others, whose indices are not '
                            '1, 2, ...' if self.open and not void else ''))
        rings = self.rings + (0 if self.open_are_void() else self.open_rings)
        if rings:
            found.append(f'value {VOID} lies in thin lines along other objects of '
                         f'{plural(rings, "mask")} and is read as an object: if it marks '
                         'contours (void), make it 0')
        for value, count in self._backgrounds.most_common(1):
            if count >= _NEARLY_ALL * self.masks:
                color = '' if value <= VOID else (
                    f' (as a color: red {value & 255}, green {value >> 8 & 255}, '
                    f'blue {value >> 16 & 255})')
                found.append(f'value {value}{color} covers most of the border of {count} of '
                             f'{plural(self.masks, "mask")} ({printable(self._first, 60)}) and '
                             f'is read as an object: if it is the '
                             'background, make it 0')
        return found


def _is_contour(labels, others):
    """Whether the pixels of 255 are thin, and touch every other object."""
    if not len(others):
        return False
    void = np.pad((labels == VOID).astype(np.uint8), 1)
    if cv2.distanceTransform(void, cv2.DIST_L2, 3).max() > _THIN:
        return False
    near = cv2.dilate(void, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    return bool(np.isin(others, labels[near]).all())
