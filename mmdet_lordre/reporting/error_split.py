"""What costs average precision: the errors of TIDE, on masks.

Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors" (ECCV 2020): every
wrong detection and every missed object has one cause, and a cause weighs what AP50 would gain
were it put right.
"""
from dataclasses import dataclass

import numpy as np

from .average_precision import RECALLS
from .table import MAX_DETS, Table

#: Kinds of errors, in TIDE's order, and what each means.
KINDS = {
    'class': 'the right place, another class',
    'location': 'the right class, a mask that fits too little',
    'both': 'another class, and a mask that fits too little',
    'duplicate': 'an object that was found already',
    'background': 'nothing is there',
    'missed': 'an object that no detection came near',
}
#: IoU from which on a detection is right, and below which there is nothing.
RIGHT, NOTHING = 0.5, 0.1


@dataclass
class ErrorSplit:
    """The errors of a model.

    Attributes:
        ap50: AP at IoU 0.5 of TIDE's matching, in 0..1.
        gain: What AP50 gains where all errors of a kind are put right.
        count: Errors of every kind.
        false_positives, false_negatives: What AP50 gains without any of these.
        kind: (D,) int: place in ``KINDS`` of every detection, -1 where there is no error.
        truth: (D,) int: the object that it is about, or -1.
        missed: (N,) int: objects of the kind 'missed'.
    """
    ap50: float
    gain: dict[str, float]
    count: dict[str, int]
    false_positives: float
    false_negatives: float
    kind: np.ndarray
    truth: np.ndarray
    missed: np.ndarray


def error_split(table: Table) -> ErrorSplit:
    """Find the cause of every error.

    A detection that lies in a crowd of its class is no error. Classes without any object have no
    AP and are left out of its mean, as COCO does it.

    Args:
        table: What was found and what is there.
    """
    found, truth = table.detections, table.truth
    counted = _best_of_image(found, max(MAX_DETS[-1], table.max_dets[-1]))
    pairs = table.overlaps.subset(counted[table.overlaps.detection])
    same = found.label[pairs.detection] == truth.label[pairs.truth]
    crowd = truth.crowd[pairs.truth]
    partner = _matched(found, truth, pairs.subset(same & ~crowd & (pairs.iou >= RIGHT)))
    taken = np.zeros(len(truth), bool)
    taken[partner[partner >= 0]] = True
    inside = pairs.subset(same & crowd & (pairs.iou > RIGHT))
    ignored = np.zeros(len(found), bool)
    ignored[inside.detection] = True
    ignored &= partner < 0
    wrong = counted & (partner < 0) & ~ignored

    own, own_truth = _closest(pairs.subset(same & ~crowd), len(found))
    other, other_truth = _closest(pairs.subset(~same & ~crowd), len(found))
    kind, about = np.full(len(found), -1), np.full(len(found), -1)
    names = list(KINDS)
    # each test takes what those before have left
    for name, holds, toward in (
            ('location', (own >= NOTHING) & (own <= RIGHT), own_truth),
            ('class', other >= RIGHT, other_truth),
            ('duplicate', own >= RIGHT, own_truth),
            ('background', np.maximum(own, other) <= NOTHING, None),
            ('both', np.ones(len(found), bool), other_truth)):
        chosen = wrong & holds & (kind < 0)
        kind[chosen] = names.index(name)
        if toward is not None:
            about[chosen] = toward[chosen]
    repair = _repairs(found, kind, about, taken, names)
    usable = np.zeros(len(truth), bool)
    usable[about[np.isin(kind, [0, 1]) & (about >= 0)]] = True
    missed = np.flatnonzero(~taken & ~usable & ~truth.crowd)
    return _weighed(table, counted & ~ignored, partner, taken, kind, about, repair, missed)


def _best_of_image(found, most):
    """(D,) bool: the detections of every image with the highest scores, whatever their classes."""
    order = np.lexsort((-found.score, found.image))
    image = found.image[order]
    place = np.arange(len(order)) - np.searchsorted(image, image)
    counted = np.zeros(len(found), bool)
    counted[order[place < most]] = True
    return counted


def _matched(found, truth, pairs):
    """(D,) int: the object of every detection, by falling scores the closest that is free."""
    partner = [-1] * len(found)
    taken = [False] * len(truth)
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.detection,
                        -found.score[pairs.detection]))
    for d, t in zip(pairs.detection[order].tolist(), pairs.truth[order].tolist()):
        if partner[d] < 0 and not taken[t]:
            partner[d], taken[t] = t, True
    return np.array(partner, int)


def _closest(pairs, count):
    """(D,) highest IoU of every detection, and (D,) with which object (the first of equals)."""
    iou, truth = np.zeros(count), np.full(count, -1)
    order = np.lexsort((-pairs.truth, pairs.iou))
    iou[pairs.detection[order]] = pairs.iou[order]
    truth[pairs.detection[order]] = pairs.truth[order]
    return iou, truth


def _repairs(found, kind, about, taken, names):
    """(D,) bool: the errors that become finds: of each free object that with the best score."""
    able = np.isin(kind, [names.index('class'), names.index('location')]) & (about >= 0)
    able &= ~taken[np.maximum(about, 0)] if len(taken) else able
    chosen = np.flatnonzero(able)
    chosen = chosen[np.lexsort((chosen, -found.score[chosen]))]
    _, first = np.unique(about[chosen], return_index=True)
    repair = np.zeros(len(found), bool)
    repair[chosen[first]] = True
    return repair


def _weighed(table, kept, partner, taken, kind, about, repair, missed):
    found, truth = table.detections, table.truth
    names = list(KINDS)
    objects = np.bincount(truth.label[~truth.crowd], minlength=len(table.classes))
    right = partner >= 0
    there = np.flatnonzero(objects > 0)
    base = _ap(found.label, found.score, right, kept, objects, there)
    gain, count = {}, {}
    for number, name in enumerate(names):
        mine = kind == number
        count[name] = int(mine.sum()) if name != 'missed' else len(missed)
        label, positives = found.label, objects
        mended = mine & repair
        if name == 'missed':
            positives = objects - np.bincount(truth.label[missed], minlength=len(objects))
        elif name == 'class':
            label = np.where(mended, truth.label[about] if len(truth) else 0, label)
        gain[name] = max(0.0, _ap(label, found.score, right | mended, kept & (~mine | mended),
                                  positives, there) - base)
    lost = np.bincount(truth.label[~taken & ~truth.crowd], minlength=len(objects))
    return ErrorSplit(
        base, gain, count,
        _ap(found.label, right.astype(float), right, kept, objects, there) - base,
        _ap(found.label, found.score, right, kept, objects - lost, there) - base,
        kind, about, missed)


def _ap(label, score, right, kept, objects, there):
    """Mean AP over the classes ``there``; one that keeps no object has 0."""
    order = np.lexsort((-score, label))
    order = order[kept[order]]
    starts = np.searchsorted(label[order], np.arange(len(objects) + 1))
    values = []
    for k in there.tolist():
        hits = right[order[starts[k]:starts[k + 1]]]
        place = np.flatnonzero(hits)
        true = np.arange(1, len(place) + 1)
        precision = np.maximum.accumulate((true / (place + 1))[::-1])[::-1]
        at = np.searchsorted(true / max(objects[k], 1), RECALLS, side='left')
        values.append(precision[at[at < len(place)]].sum() / len(RECALLS))
    return float(np.mean(values)) if values else 0.0
