"""Which family to train: what it can reach, by how much of that is learned in the time."""
import math
from dataclasses import dataclass

import numpy as np

from .ceiling import Ceiling
from .fit import FAMILIES, Fit
from .objects import Objects

#: Share of its ceiling that a family reaches from scratch in a thousand steps of four images, on
#: data of few objects and of many: 10 an image or fewer, 40 or more (docs/planning.md).
LEARNED = {'lordre': (0.89, 0.65), 'solov2': (0.86, 0.77), 'aggmask': (0.45, 0.37),
           'aggmask_star': (0.45, 0.37), 'polarmask': (0.50, 0.43)}
_STEPS = 1000


@dataclass(frozen=True)
class Choice:
    """A family among others.

    Attributes:
        family: Its key.
        expected: What is expected of the training: only good to compare.
        reason: Why, in a sentence.
    """
    family: str
    expected: float
    reason: str


def rank(objects: Objects, fits: dict[str, Fit], ceilings: dict[str, Ceiling],
         steps: dict[str, int]) -> list[Choice]:
    """Families, the best first.

    Args:
        objects: Of the training data.
        fits: By family.
        ceilings: By family.
        steps: That fit into the time, by family.
    """
    crowd = float(np.percentile(objects.counts, 75))
    many = min(1., max(0., math.log(max(crowd, 1) / 10) / math.log(4)))
    found = []
    for family in fits:
        few_share, many_share = LEARNED[family]
        share = few_share + many * (many_share - few_share)
        done = steps.get(family, _STEPS) * fits[family].batch_size / 4
        # half of what is missing is learned in four times the steps
        learned = 1 - (1 - share) * (1 + done / _STEPS) ** -0.5 * math.sqrt(2)
        expected = ceilings[family].ap * max(0.02, learned)
        found.append((expected, family))
    found.sort(reverse=True)
    return [Choice(family, expected, _reason(family, ceilings, crowd, found))
            for expected, family in found]


def _reason(family, ceilings, crowd, found):
    ceiling = ceilings[family]
    best = max(c.ap for c in ceilings.values())
    said = [f'its ceiling is {ceiling.ap:.2f}'
            + (', the highest' if ceiling.ap >= best - 0.005 else f' (highest {best:.2f})')]
    if family == 'lordre':
        said.append('its queries come from places, so every object teaches from the first step on, '
                    'and nothing has to be suppressed')
    elif family == 'solov2':
        said.append('each cell knows from the first step on where its mask is, and several learn '
                    'from every object')
    elif family == 'polarmask' and crowd > 20:
        said.append('rays are learned sooner than masks where an image has many small objects')
    else:
        said.append('it learns the largest part of that in the time' if family == found[0][1]
                    else 'it learns a smaller part of that in the time')
    lost = ceiling.reason()
    return f'{FAMILIES[family]}: ' + '; '.join(said) + (f' (lost: {lost})' if lost else '')
