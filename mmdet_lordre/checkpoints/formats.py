"""The registry of published formats; each module of this package adds its own."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from .backbones import backbone_rules, find_layout
from .rules import Conversion, ConversionError, Rule, apply_rules


@dataclass(frozen=True)
class Format:
    """A published format.

    Args:
        name: What ``--format`` calls it.
        marker: Pattern that some name of every such file begins with.
        unless: Pattern of names that no file of this format has, where the marker is not enough.
        rules: Rules of everything beside the backbone.
        classifier: Pattern of the classifier's weight, whose rows are the classes.
        describe: One line about where such files come from.
        family: Folder of the configs that such files are for.
        prefix: Prefix of the backbone in the published file.
    """
    name: str
    marker: str
    rules: tuple[Rule, ...]
    classifier: str
    describe: str
    family: str
    prefix: str = 'backbone.'
    unless: str | None = None

    def recognizes(self, names: Iterable[str]) -> bool:
        """Whether names of tensors are those of this format."""
        names = list(names)
        if self.unless and any(re.match(self.unless, name) for name in names):
            return False
        return any(re.match(self.marker, name) for name in names)

    def num_classes(self, state: Mapping[str, Tensor]) -> int | None:
        """Number of classes of a published state dict, None without a classifier."""
        return next((len(value) for name, value in state.items()
                     if re.fullmatch(self.classifier, name)), None)

    def convert(self, state: Mapping[str, Tensor]) -> Conversion:
        """Convert a state dict of this format, with or without a backbone."""
        layout = find_layout([name[len(self.prefix):] for name in state
                              if name.startswith(self.prefix)])
        result = apply_rules(state, (*self.rules, *backbone_rules(layout, self.prefix)), self.name)
        result.layout = layout
        return result


FORMATS: dict[str, Format] = {}


def register(fmt: Format) -> Format:
    """Add a format; the order does not matter, since no file is of two."""
    FORMATS[fmt.name] = fmt
    return fmt


def find_format(names: Iterable[str]) -> str:
    """Name of the format of a state dict, ``'imagenet'`` for a backbone by itself.

    Raises:
        ConversionError: The names are of several formats, or of none.
    """
    names = list(names)
    found = sorted(fmt.name for fmt in FORMATS.values() if fmt.recognizes(names))
    if len(found) > 1:
        raise ConversionError(f'the names fit the formats {" and ".join(found)}; choose with '
                              '--format')
    if found:
        return found[0]
    if any(re.match(r'(mask|bbox)_head\.|decoder\.|neck\.|backbone\.', name) for name in names):
        raise ConversionError('no known format; the names begin with ' + ', '.join(names[:5]))
    find_layout(names)
    return 'imagenet'
