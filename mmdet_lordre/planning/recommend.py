"""Which family to train: what it can reach, by how much of that is learned in the time."""
from dataclasses import dataclass

from .ceiling import Ceiling
from .fit import FAMILIES, Fit
from .learned import learned
from .objects import Objects


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
         colored: bool = False) -> list[Choice]:
    """Families, the best first.

    Args:
        objects: Of the training data.
        fits: By family.
        ceilings: By family.
        colored: Whether colors tell the classes apart.
    """
    found = []
    for family, one in fits.items():
        expected = ceilings[family].ap * learned(
            family, len(objects.classes), one.longer, one.shown * one.batch_size * one.steps,
            colored, one.sides[1])
        found.append((expected, family))
    found.sort(reverse=True)
    return [Choice(family, expected, _reason(family, ceilings, found))
            for expected, family in found]


def _reason(family, ceilings, found):
    ceiling = ceilings[family]
    best = max(c.ap for c in ceilings.values())
    said = [f'its ceiling is {ceiling.ap:.2f}'
            + ('' if len(ceilings) == 1 else ', the highest' if ceiling.ap >= best - 0.005
               else f' (highest {best:.2f})')]
    if family == 'lordre':
        said.append('its queries come from places, so every object teaches from the first step on, '
                    'and nothing has to be suppressed')
    elif family == 'solov2':
        said.append('each cell knows from the first step on where its mask is, and several learn '
                    'from every object')
    else:
        said.append('it learns the largest part of that in the time' if family == found[0][1]
                    else 'it learns a smaller part of that in the time')
    lost = ceiling.reason()
    return f'{FAMILIES[family]}: ' + '; '.join(said) + (f' (lost: {lost})' if lost else '')
