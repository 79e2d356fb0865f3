"""What the numbers suggest to do next, in sentences."""
from ..text import plural
from .error_split import KINDS
from .findings import Missed, Suspicious
from .measure import Measured

#: What each kind of error asks for.
_REMEDIES = {
    'class': 'look at the confusion matrix for classes that a picture hardly tells apart, or that '
             'are rare',
    'location': 'train {larger}, or longer; see the errors of masks',
    'both': 'another class and a poor fit: these go away with training, seldom by a threshold',
    'duplicate': 'objects are found twice, as they are early in a training: train longer, or '
                 'suppress what overlaps (lordre predict --mask-nms 0.5)',
    'background': 'things are found where nothing is annotated: look at the surest of them first, '
                  'they may be annotations that are missing',
    'missed': 'objects are not seen at all: look at their sizes, and whether anything like '
              'them is in the training data',
}


def advice(one: Measured, missed: list[Missed], doubts: Suspicious,
           rising: bool | None = None, ceiling: float | None = None,
           tiled: bool = False) -> list[str]:
    """A few sentences, the weightiest first.

    Args:
        one: A model.
        missed: Its missed objects by size.
        doubts: Annotations that it contradicts.
        rising: Whether validation AP rose to the end of the training; None where not known.
        ceiling: AP that the head can reach at most on these data; None where not known.
        tiled: Whether it learns and predicts by tiles of the pictures.
    """
    lines = []
    larger = 'on tiles that are enlarged more' if tiled else 'on larger images'
    gains = sorted(one.errors.gain.items(), key=lambda item: -item[1])
    for kind, gain in gains[:2]:
        if gain >= 0.005:
            lines.append(f'{kind.capitalize()} errors cost {gain:.3f} AP50 ({KINDS[kind]}): '
                         f'{_REMEDIES[kind].format(larger=larger)}.')
    total = sum(len(part.missed) for part in missed)
    small = len(missed[0].missed)
    if total >= 10 and small > 0.6 * total:
        lines.append(f'{small} of the {total} missed objects are small (below 32x32 pixels): '
                     f'train and test {larger}{"" if tiled else " or on tiles"}.')
    wrong = len(doubts.unlabeled) + len(doubts.mislabeled[0])
    # a model that is mostly wrong says nothing about annotations
    if wrong and one.errors.ap50 > 0.5:
        lines.append(f'{plural(wrong, "annotation")} look{"s" * (wrong == 1)} wrong to the model: '
                     'check the first of them before you change anything else.')
    if rising:
        lines.append('Validation AP was still rising at the end: train longer.')
    ap = one.curves.summary()['mAP']
    if ceiling is not None and ceiling > 0:
        lines.append(f'The head reaches AP {ceiling:.3f} at most on these data; the model has '
                     f'{ap:.3f}, {100 * ap / ceiling:.0f} % of it.')
    boundary = one.boundary.summary()['mAP']
    if ap > 0.05 and boundary < 0.6 * ap:
        lines.append(f'Boundary AP ({boundary:.3f}) is far below AP ({ap:.3f}): the objects are '
                     'found, their outlines are coarse.')
    if one.calibration.error > 0.1:
        lines.append(f'Scores are off by {one.calibration.error:.2f} on average: read them as an '
                     'order, not as probabilities, and use the thresholds of thresholds.json.')
    return lines
