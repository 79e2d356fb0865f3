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
        expected: AP that is expected of the training: only good to compare.
        reason: What it follows from, in a sentence.
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
        ceiling, part = ceilings[family].ap, learned(
            family, len(objects.classes), one.longer, one.shown * one.batch_size * one.steps,
            colored, one.sides[1])
        found.append(Choice(family, ceiling * part, (
            f'{FAMILIES[family]}: its ceiling is {ceiling:.2f}, and {part:.2f} of that is thought '
            f'to be learned in the time ({ceiling * part:.2f}: to compare heads by, no forecast)')))
    return sorted(found, key=lambda choice: (choice.expected, choice.family), reverse=True)
