"""Objects, detections and their overlaps as flat arrays: what every statistic is made of."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_api

from ..masks import mask_areas
from ..text import plural

#: Detections of a class in an image that count, and two smaller numbers of which recall is said, as
#: COCO has them.
MAX_DETS = (1, 10, 100)
#: Ranges of area by name, as COCO has them.
AREAS = {'all': (0, 1e10), 'small': (0, 32 ** 2), 'medium': (32 ** 2, 96 ** 2),
         'large': (96 ** 2, 1e10)}


@dataclass(frozen=True)
class Picture:
    """An image of the annotation file.

    Attributes:
        id: As the file has it.
        name: Name of its file.
        width, height: Pixels.
    """
    id: object
    name: str
    width: int
    height: int


@dataclass
class Truth:
    """The annotated objects, in the order of their images.

    Attributes:
        image, label: (G,) int: places in ``pictures`` and ``classes``.
        area: (G,) float: what the file says, by which COCO tells sizes.
        crowd: (G,) bool: regions of many objects, which are neither found nor missed.
        masks: Run lengths of each.
    """
    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    masks: list[dict]

    def __len__(self) -> int:
        return len(self.label)


@dataclass
class Detections:
    """What was found: by image, then class, then falling score.

    Attributes:
        image, label: (D,) int, as of :class:`Truth`.
        score: (D,) float.
        area: (D,) float: pixels of the mask.
        rank: (D,) int: place among those of its class in its image, from 0.
        masks: Run lengths of each.
    """
    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    area: np.ndarray
    rank: np.ndarray
    masks: list[dict]

    def __len__(self) -> int:
        return len(self.label)


@dataclass
class Overlaps:
    """All pairs of a detection and an object of the same image that share a pixel, whatever their
    classes; by detection, then by object.

    Attributes:
        detection, truth: (P,) int.
        iou: (P,) float: of the masks; of a crowd the part of the detection that lies in it.
    """
    detection: np.ndarray
    truth: np.ndarray
    iou: np.ndarray

    def __len__(self) -> int:
        return len(self.iou)

    def subset(self, chosen: np.ndarray) -> 'Overlaps':
        """Some of the pairs, by a mask or by indices (ascending)."""
        return Overlaps(self.detection[chosen], self.truth[chosen], self.iou[chosen])


@dataclass
class Table:
    """A data set and the results of one model on it.

    Attributes:
        pictures: By id, as COCO's evaluation goes through them.
        classes: Names, in the order of the labels.
        truth, detections, overlaps: See there.
        max_dets: Detections of a class in an image of which recall is said; no more count than the
            last number.
        cut_off: Detections beyond it.
    """
    pictures: list[Picture]
    classes: tuple[str, ...]
    truth: Truth
    detections: Detections
    overlaps: Overlaps
    max_dets: tuple[int, int, int] = MAX_DETS
    cut_off: int = 0

    def limit_line(self) -> str | None:
        """What the limit of detections costs, where images have more objects than count."""
        truth, most = self.truth, self.max_dets[-1]
        pairs = np.stack([truth.image, truth.label], 1)[~truth.crowd]
        fullest = int(np.unique(pairs, axis=0, return_counts=True)[1].max(initial=0))
        if fullest <= most:
            return None
        return (f'only {most} detections of a class in an image count, and there are up to '
                f'{fullest} objects' + (
                    f': {plural(self.cut_off, "detection")} left out (--max-dets {fullest} '
                    'counts as many as there are objects)' if self.cut_off else ''))

    def same_class(self) -> Overlaps:
        """The pairs of one class."""
        pairs = self.overlaps
        return pairs.subset(self.detections.label[pairs.detection]
                            == self.truth.label[pairs.truth])


def sorted_detections(image: np.ndarray, label: np.ndarray, score: np.ndarray,
                      masks: Sequence[dict], most: int = MAX_DETS[-1]) -> Detections:
    """Detections in their order, the best of every class and image.

    Args:
        image, label, score: (N,) in the order of the file, which decides between equal scores.
        masks: Run lengths of each.
        most: Of a class and image.
    """
    order = np.lexsort((-score, label, image))  # stable, as COCO's mergesort is
    image, label = image[order], label[order]
    new = np.ones(len(order), bool)
    new[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    starts = np.flatnonzero(new)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = rank < most
    order, rank = order[kept], rank[kept]
    chosen = [masks[i] for i in order.tolist()]
    areas = mask_areas(chosen).astype(float)
    return Detections(image[kept], label[kept], score[order], areas, rank, chosen)


def overlaps_of(truth: Truth, detections: Detections, count: int) -> Overlaps:
    """Overlaps of all detections and objects, image by image.

    Args:
        truth, detections: Sorted by image.
        count: Number of images.
    """
    found = [], [], []
    places = np.arange(count + 1)
    truth_at = np.searchsorted(truth.image, places)
    detection_at = np.searchsorted(detections.image, places)
    both = np.flatnonzero((np.diff(truth_at) > 0) & (np.diff(detection_at) > 0))
    for i in both.tolist():
        t, d = truth_at[i], detection_at[i]
        iou = np.asarray(mask_api.iou(detections.masks[d:detection_at[i + 1]],
                                      truth.masks[t:truth_at[i + 1]],
                                      truth.crowd[t:truth_at[i + 1]].tolist()))
        rows, columns = np.nonzero(iou)
        for part, values in zip(found, (rows + d, columns + t, iou[rows, columns])):
            part.append(values)
    detection, other, iou = (np.concatenate(part) if part else np.zeros(0, int) for part in found)
    return Overlaps(detection, other, iou.astype(float))
