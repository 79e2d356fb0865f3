"""Pictures of the page: cut out of the images, with true and predicted masks as outlines."""
import os
from dataclasses import dataclass, field

import numpy as np

from ..datasets.annotation_rules import MOST_PIXELS
from ..datasets.file_names import base_names
from ..masks import bounds_of
from ..pages import thumbnail
from ..text import printable
from ..visualization.seen import read_to_see
from .outlines import POINTS, outline
from .table import Table

#: Longer side of a cut and of a whole picture in pixels, and their JPEG bytes at most.
CUT, WHOLE = (168, 6_000), (520, 42_000)
#: Masks that are drawn in a picture.
_MASKS = 300
#: Points of all masks in a picture together, about.
_POINTS = 8_000


@dataclass
class Example:
    """What is drawn.

    Attributes:
        picture: Place of the image.
        truths, detections: Places of the masks.
        whole: Whether the whole image is shown, or what is around the masks.
        marks: For whole images, whether each detection and each truth is right.
    """
    picture: int
    truths: list[int]
    detections: list[int]
    whole: bool = False
    marks: dict[str, list[bool]] = field(default_factory=dict)


class Examples:
    """Collects examples, and draws them image by image: each file is read once.

    Args:
        table: Of which they are.
        folder: Of the images; None draws outlines on plain ground.
    """

    def __init__(self, table: Table, folder: str | None):
        self.table, self.folder = table, folder
        self.wanted: list[Example] = []
        self._known: dict[tuple, int] = {}
        #: Images that could not be read, or have another size than the annotations say.
        self.unread: list[str] = []

    def add(self, detection: int = -1, truth: int = -1) -> int:
        """Ask for the surroundings of a detection, an object, or both; returns its number.

        Args:
            detection: Its place in the table, -1 for none.
            truth: Place of the object, -1 for none.
        """
        key = int(detection), int(truth)
        if key not in self._known:
            table = self.table
            picture = (table.detections.image[detection] if detection >= 0
                       else table.truth.image[truth])
            self._known[key] = len(self.wanted)
            self.wanted.append(Example(int(picture), [key[1]] if truth >= 0 else [],
                                       [key[0]] if detection >= 0 else []))
        return self._known[key]

    def add_whole(self, picture: int, truths: np.ndarray, detections: np.ndarray,
                  found: np.ndarray, right: np.ndarray) -> int:
        """Ask for an image with masks; returns its number.

        Args:
            picture: Place of the image.
            truths, detections: Places of the masks.
            found, right: For each object and detection whether it has a partner of its class.
        """
        truths, detections = truths[:_MASKS], detections[:_MASKS]
        self.wanted.append(Example(int(picture), truths.tolist(), detections.tolist(), True, dict(
            t=found[:_MASKS].tolist(), d=right[:_MASKS].tolist())))
        return len(self.wanted) - 1

    def drawn(self) -> list[dict]:
        """The examples, as the page's script takes them.

        Returns:
            Dictionaries in the order of the numbers: ``p`` place of the image, ``w``, ``h`` size
            in pixels, ``s`` the picture as an address ('' without one), ``t`` and ``d`` lists of
            [path, class, score, right].
        """
        result: list[dict] = [{}] * len(self.wanted)
        by_picture: dict[int, list[int]] = {}
        for number, example in enumerate(self.wanted):
            by_picture.setdefault(example.picture, []).append(number)
        for picture, numbers in sorted(by_picture.items()):
            image = self._read(picture)
            for number in numbers:
                result[number] = self._draw(self.wanted[number], image)
        return result

    def _read(self, place: int) -> np.ndarray | None:
        picture = self.table.pictures[place]
        if self.folder is None:
            return None
        path = inside(self.folder, picture.name)
        image = None
        if path is not None and picture.width * picture.height <= MOST_PIXELS:
            image = read_to_see(path, (picture.height, picture.width))
        if image is None or image.shape[:2] != (picture.height, picture.width):
            self.unread.append(printable(picture.name, 80))
            return None
        return image[..., ::-1]

    def _draw(self, example: Example, image: np.ndarray | None) -> dict:
        picture, table = self.table.pictures[example.picture], self.table
        truths = [table.truth.masks[t] for t in example.truths]
        found = [table.detections.masks[d] for d in example.detections]
        side, weight = WHOLE if example.whole else CUT
        x, y, w, h = (0, 0, picture.width, picture.height) if example.whole else _around(
            truths + found, picture.width, picture.height)
        scale = min(1.0, side / max(w, h)) if example.whole else side / max(w, h)
        size = max(1, round(w * scale)), max(1, round(h * scale))
        source = ''
        if image is not None:
            part = image[y:y + h, x:x + w]
            source = thumbnail(part, side, weight)
        marks = example.marks
        most = max(16, min(POINTS, _POINTS // max(1, len(truths) + len(found))))
        return dict(
            p=example.picture, w=size[0], h=size[1], s=source,
            t=[[outline(mask, x, y, scale, most), int(table.truth.label[t]), None,
                int(marks.get('t', [True] * len(truths))[i])]
               for i, (t, mask) in enumerate(zip(example.truths, truths))],
            d=[[outline(mask, x, y, scale, most), int(table.detections.label[d]),
                round(float(table.detections.score[d]), 3),
                int(marks.get('d', [True] * len(found))[i])]
               for i, (d, mask) in enumerate(zip(example.detections, found))])


def inside(folder: str, name: str) -> str | None:
    """Path of a file of a folder, by the name that annotations give it; None where it has none.

    A page is given to others: a name that leads out of the folder is not followed.
    """
    if os.path.isabs(name) or '\0' in name or '..' in name.replace('\\', '/').split('/'):
        name = name.replace('\\', '/').rsplit('/', 1)[-1]
        if '\0' in name or name in ('', '.', '..'):
            return None
    paths = [os.path.join(folder, n) for n in (name, *base_names(name))]
    return next((path for path in paths if os.path.isfile(path)), None)


def _around(masks: list[dict], width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, width, height of a part of the image with the masks and some room around them."""
    boxes = bounds_of(masks).astype(float)
    boxes = boxes[boxes[:, 2] > 0] if (boxes[:, 2] > 0).any() else boxes[:1]
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    room = max(24.0, 1.5 * float((high - low).max()))
    room = min(room, width, height) if min(width, height) >= (high - low).max() else room
    center = (low + high) / 2
    part = []
    for axis, end in ((0, width), (1, height)):
        length = int(min(end, max(room, high[axis] - low[axis])))
        start = int(np.clip(center[axis] - length / 2, 0, end - length))
        part.append((start, length))
    return part[0][0], part[1][0], part[0][1], part[1][1]

