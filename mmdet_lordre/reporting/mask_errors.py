"""Errors that only masks have: holes filled, parts lost, neighbors merged, objects split."""
from dataclasses import dataclass

import numpy as np

from ..masks import mask_areas
from .shapes import Shapes
from .table import Overlaps, Table

#: Kinds and what each means, as the page says it.
KINDS = {
    'holes filled': 'the object has a hole, and the mask covers most of it',
    'parts lost': 'a connected part of a tenth of the object or more is missing',
    'neighbors merged': 'one mask covers most of two objects or more',
    'objects split': 'several masks share one object, none of which fits it',
    'ragged borders': "the outline is half as long again as the object's",
}
#: Borders of objects below this many pixels are ragged by themselves.
_SMALL = 100


@dataclass
class MaskErrors:
    """Examples of every kind.

    Attributes:
        detection, truth: For each kind (N,) int: the mask and the (main) object, the worst first.
        among: For each kind how many there could be.
    """
    detection: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    among: dict[str, int]

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return len(self.detection[kind])


def mask_errors(table: Table, shown: np.ndarray, pairs: Overlaps, shapes: Shapes) -> MaskErrors:
    """Find the errors of masks among the detections that are shown.

    Args:
        table: What was found and what is there.
        shown: (D,) bool: detections with a score that counts.
        pairs: Finds: pairs of a detection and the object that it finds.
        shapes: Of these pairs.
    """
    result = MaskErrors({}, {}, {})
    kept = shown[pairs.detection]
    area = table.truth.area[pairs.truth]

    def add(kind, chosen, badness, among):
        order = np.flatnonzero(chosen)
        order = order[np.argsort(-badness[order], kind='stable')]
        result.detection[kind], result.truth[kind] = pairs.detection[order], pairs.truth[order]
        result.among[kind] = int(among)
    holed = kept & (shapes.hole > 0)
    add('holes filled', holed & (shapes.filled > 0.5), shapes.filled * shapes.hole, holed.sum())
    add('parts lost', kept & (shapes.lost >= 0.1), shapes.lost, kept.sum())
    large = kept & (area >= _SMALL)
    add('ragged borders', large & (shapes.ragged >= 1.5), shapes.ragged, large.sum())
    _merged(result, table, shown)
    _split(result, table, shown)
    result.detection = {kind: result.detection[kind] for kind in KINDS}
    return result


def _covering(table, shown):
    """Pairs of one class without crowds, the part of the object and of the detection in both."""
    pairs = table.same_class()
    pairs = pairs.subset(shown[pairs.detection] & ~table.truth.crowd[pairs.truth])
    found = table.detections.area[pairs.detection]
    true = mask_areas(table.truth.masks).astype(float)[pairs.truth]
    both = pairs.iou * (found + true) / (1 + pairs.iou)
    return pairs, both / np.maximum(true, 1), both / np.maximum(found, 1)


def _merged(result, table, shown):
    pairs, of_truth, of_found = _covering(table, shown)
    much = np.flatnonzero((of_truth > 0.5) & (of_found > 0.15))
    detection, count = np.unique(pairs.detection[much], return_counts=True)
    several = detection[count > 1]
    order = np.argsort(-count[count > 1], kind='stable')
    several = several[order]
    main = {}
    for i in much[np.argsort(of_found[much], kind='stable')].tolist():
        main[int(pairs.detection[i])] = int(pairs.truth[i])
    result.detection['neighbors merged'] = several
    result.truth['neighbors merged'] = np.array([main[int(d)] for d in several], int)
    result.among['neighbors merged'] = int(shown.sum())


def _split(result, table, shown):
    pairs, of_truth, of_found = _covering(table, shown)
    best = np.zeros(len(table.truth))
    np.maximum.at(best, pairs.truth, pairs.iou)
    part = np.flatnonzero((of_found > 0.6) & (of_truth > 0.1) & (best[pairs.truth] < 0.6))
    share = np.bincount(pairs.truth[part], of_truth[part], len(table.truth))
    count = np.bincount(pairs.truth[part], minlength=len(table.truth))
    # parts that lie on each other are one part found twice
    split = np.flatnonzero((count > 1) & (share <= 1.1))
    split = split[np.argsort(-count[split], kind='stable')]
    first = {}
    for i in part[np.argsort(of_truth[part], kind='stable')].tolist():
        first[int(pairs.truth[i])] = int(pairs.detection[i])
    result.truth['objects split'] = split
    result.detection['objects split'] = np.array([first[int(t)] for t in split], int)
    result.among['objects split'] = int((~table.truth.crowd).sum())
