"""The lowest score that counts, for each class."""
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import UserError
from ..files import CONFIG, refuse_large
from ..text import listed, quoted


@dataclass(frozen=True)
class Thresholds:
    """Scores from which on an object is kept.

    Attributes:
        default: Of the classes that are not named.
        classes: By class name.
    """
    default: float = 0.3
    classes: dict[str, float] = field(default_factory=dict)

    def of(self, classes: Sequence[str], where: str = 'the thresholds') -> np.ndarray:
        """The threshold of each label, float64 (max(1, classes),).

        Args:
            classes: Of the model.
            where: What the thresholds were read from, for the message.

        Raises:
            UserError: A class is named that the model does not have.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise UserError(f'{where}: the model has no class {quoted(unknown[0])}: its classes '
                            f'are {listed(classes)}')
        return np.array([self.classes.get(name, self.default) for name in classes]
                        or [self.default])


def at_labels(thresholds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each object, (N,); a model without class names has one for all labels.

    Args:
        thresholds: From :meth:`Thresholds.of`.
        labels: int (N,).
    """
    return thresholds[np.minimum(labels, len(thresholds) - 1)]


def read_thresholds(path: str | os.PathLike) -> Thresholds:
    """Read ``{"default": 0.3, "classes": {"name": 0.42}}``, as ``lordre report`` writes it.

    Raises:
        UserError: No such file, or another content.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise UserError(f'no such file of thresholds: {path}')
    refuse_large(path, CONFIG)
    try:
        with open(path, encoding='utf-8-sig') as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is not JSON: {error}') from error
    classes = content.get('classes', {}) if isinstance(content, dict) else None
    if not isinstance(classes, dict) or not ('default' in content or classes):
        raise UserError(f'{path} is not a file of thresholds: expected '
                        '{"default": 0.3, "classes": {"NAME": 0.4}}')
    values = {'default': content.get('default', 0.3), **{f'class {k}': v for k, v in
                                                        classes.items()}}
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) \
                or not math.isfinite(value) or not 0 <= value <= 1:
            raise UserError(f'{path}: {key}: {quoted(value)} is not a score between 0 and 1')
    return Thresholds(float(values['default']), {k: float(v) for k, v in classes.items()})
