"""Which detection finds which object, by COCO's rules, for all thresholds and sizes together."""
from dataclasses import dataclass

import numpy as np

from .table import AREAS, Overlaps, Table

#: COCO's ten thresholds of IoU, as pycocotools makes them.
THRESHOLDS = np.linspace(.5, 0.95, int(np.round((0.95 - .5) / .05)) + 1, endpoint=True)
#: Numbers that are held at once.
_CELLS = 8_000_000


@dataclass
class Matches:
    """The detections that find something at the lowest threshold; all others find nothing.

    Attributes:
        thresholds: (T,) of IoU.
        areas: Names of the A ranges of area.
        detection: (M,) int: which detections these are, ascending.
        truth: (M, T, A) int: the object that is found, or -1.
        ignored: (M, T, A) bool: found, but the object does not count (a crowd, another size).
    """
    thresholds: np.ndarray
    areas: tuple[str, ...]
    detection: np.ndarray
    truth: np.ndarray
    ignored: np.ndarray

    def at(self, iou: float, area: str = 'all') -> tuple[np.ndarray, np.ndarray]:
        """(M,) objects and (M,) whether they are ignored, at one threshold."""
        t = int(np.argmin(abs(self.thresholds - iou)))
        a = self.areas.index(area)
        return self.truth[:, t, a], self.ignored[:, t, a]


def match(table: Table, pairs: Overlaps | None = None,
          areas: tuple[str, ...] = tuple(AREAS)) -> Matches:
    """Give every detection, in the order of the scores, the best object that is still free.

    Objects that do not count come after those that do, crowds take any number of detections, and
    of equal overlaps the later object is taken: COCO's evaluation (Lin et al., "Microsoft COCO:
    Common Objects in Context"), to the same choice in every case.

    Args:
        table: What was found and what is there.
        pairs: Overlaps of detections and objects of one class; by default those of the masks.
        areas: Names of :data:`~mmdet_lordre.reporting.table.AREAS`.
    """
    pairs = table.same_class() if pairs is None else pairs
    pairs = pairs.subset(pairs.iou >= THRESHOLDS[0] - 1e-9)
    truth = table.truth
    outside = np.stack([(truth.area < AREAS[a][0]) | (truth.area > AREAS[a][1])
                        for a in areas], 1) | truth.crowd[:, None]
    rows, row = np.unique(pairs.detection, return_inverse=True)
    result = Matches(THRESHOLDS, tuple(areas), rows,
                     np.full((len(rows), len(THRESHOLDS), len(areas)), -1, np.int32),
                     np.zeros((len(rows), len(THRESHOLDS), len(areas)), bool))
    if len(rows):
        for group in _groups(table, pairs, row, rows):
            _match_groups(result, group, truth.crowd, outside)
    return result


@dataclass
class _Groups:
    """Images with a class in it, of about the same number of objects.

    ``columns`` (N, G) are objects, the last of the file first (argmax takes the first of equals),
    -1 where there are fewer; ``iou`` (R, G) the overlaps of ``rows`` (R,), the places of
    detections in the result; ``owner`` (R,) the groups of these, and ``step`` (R,) how many
    detections of the same group come before.
    """
    columns: np.ndarray
    rows: np.ndarray
    owner: np.ndarray
    step: np.ndarray
    iou: np.ndarray


def _groups(table, pairs, row, rows):
    """The pairs, packed into arrays of limited size."""
    label = table.truth.label[pairs.truth].astype(np.int64)
    key = table.truth.image[pairs.truth] * len(table.classes) + label
    groups, group = np.unique(key, return_inverse=True)
    # objects of each group, numbered from the last of the file
    objects, first = np.unique(pairs.truth, return_index=True)
    owner_of_object = group[first]
    order = np.lexsort((-objects, owner_of_object))
    starts = np.searchsorted(owner_of_object[order], np.arange(len(groups) + 1))
    counts = np.diff(starts)
    column = np.empty(len(objects), int)
    column[order] = np.arange(len(objects)) - starts[owner_of_object[order]]
    column_of_pair = column[np.searchsorted(objects, pairs.truth)]
    owner_of_row = np.empty(len(rows), int)
    owner_of_row[row] = group
    by_owner = np.argsort(owner_of_row, kind='stable')
    row_starts = np.searchsorted(owner_of_row[by_owner], np.arange(len(groups) + 1))
    step = np.empty(len(rows), int)
    step[by_owner] = np.arange(len(rows)) - row_starts[owner_of_row[by_owner]]
    width = 1 << np.ceil(np.log2(np.maximum(counts, 1))).astype(int)
    for size in np.unique(width).tolist():
        chosen = np.flatnonzero(width == size)
        most = max(1, _CELLS // (size * len(THRESHOLDS) * len(AREAS)))
        for start in range(0, len(chosen), most):
            part = chosen[start:start + most]
            place = np.full(len(groups), -1)
            place[part] = np.arange(len(part))
            columns = np.full((len(part), size), -1)
            mine = place[owner_of_object] >= 0
            columns[place[owner_of_object[mine]], column[mine]] = objects[mine]
            inside = np.flatnonzero(place[owner_of_row] >= 0)
            of_row = np.full(len(rows), -1)
            of_row[inside] = np.arange(len(inside))
            iou = np.full((len(inside), size), -1.0)
            mine = of_row[row] >= 0
            iou[of_row[row[mine]], column_of_pair[mine]] = pairs.iou[mine]
            yield _Groups(columns, inside, place[owner_of_row[inside]], step[inside], iou)


def _match_groups(result, group, crowd, outside):
    limits = np.minimum(result.thresholds, 1 - 1e-10)
    there = group.columns >= 0
    free = np.broadcast_to(there[:, :, None, None],
                           (*group.columns.shape, len(limits), outside.shape[1])).copy()
    unlimited = there & crowd[group.columns]
    ignored = outside[group.columns] & there[..., None]  # (N, G, A)
    by_step = np.argsort(group.step, kind='stable')
    ends = np.cumsum(np.bincount(group.step))
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist()):
        chosen = by_step[start:end]
        owner, iou = group.owner[chosen], group.iou[chosen]
        close = iou[:, :, None] >= limits  # (n, G, T)
        can = free[owner] & close[..., None]  # (n, G, T, A)
        counts = ~ignored[owner][:, :, None, :]
        best = _best(iou, can & counts)
        second = _best(iou, can & ~counts)
        taken = np.where(best >= 0, best, second)
        found = taken >= 0
        place = np.maximum(taken, 0)
        rows = group.rows[chosen]
        result.truth[rows] = np.where(
            found, group.columns[owner[:, None, None], place], -1)
        result.ignored[rows] = found & (best < 0)
        n, t, a = np.nonzero(found & ~unlimited[owner[:, None, None], place])
        free[owner[n], place[n, t, a], t, a] = False


def _best(iou, can):
    """(n, T, A) column of the highest overlap among those that can be taken, -1 without any."""
    values = np.where(can, iou[:, :, None, None], -1.0)
    best = values.argmax(1)
    return np.where(can.any(1), best, -1)
