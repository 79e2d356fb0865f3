"""Renaming by explicit rules: every published name is placed, dropped for a reason, or refused."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import UserError


class ConversionError(UserError, ValueError):
    """A checkpoint that cannot be converted; the message is for the person who runs the tool."""


@dataclass(frozen=True)
class Rule:
    """What becomes of the published names that match a pattern.

    Args:
        pattern: Regular expression that must match the whole name.
        target: Our name, as a template of :meth:`re.Match.expand` or a function of the match;
            None drops the tensor.
        why: Why it is dropped, for the report.
        part: The tensor is piece ``part`` of ours, which is the concatenation of its pieces
            along the first dimension.
        unsqueeze: How many trailing dimensions of size 1 are added (a linear layer that is a
            1x1 convolution here needs two).
    """
    pattern: str
    target: str | Callable[[re.Match], str] | None
    why: str = ''
    part: int | None = None
    unsqueeze: int = 0

    def match(self, name: str) -> re.Match | None:
        """Whether this rule is for a published name."""
        return re.fullmatch(self.pattern, name)

    def rename(self, match: re.Match) -> str:
        """Our name for it."""
        return self.target(match) if callable(self.target) else match.expand(self.target)


@dataclass
class Conversion:
    """A converted state dict and the account of every name.

    Attributes:
        state: ``{our name: tensor}``.
        placed: ``{our name: published names it was made of}``.
        dropped: ``{published name: why}``.
        missing: Our names that the file does not hold (known only after a check against a model).
        notes: Remarks for the person who runs the tool.
        format: Name of the published format.
        layout: Layout of the backbone, None if the file has none.
        classes: Class names, None if unknown.
    """
    state: dict[str, Tensor] = field(default_factory=dict)
    placed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    missing: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    format: str = ''
    layout: str | None = None
    classes: tuple[str, ...] | None = None

    def summary(self) -> str:
        """The report that ends a run: what was placed, dropped on purpose, missing."""
        published = sum(len(names) for names in self.placed.values())
        layout = f', backbone layout {self.layout}' if self.layout else ''
        lines = [f'format   {self.format}{layout}',
                 f'placed   {published} published tensors as {len(self.state)}',
                 f'dropped  {len(self.dropped)}']
        lines += [f'         {name}: {why}' for name, why in listed(self.dropped.items())]
        if self.missing is None:
            lines.append('missing  not checked (there is no config to check against)')
        else:
            lines.append(f'missing  {len(self.missing)}')
            lines += [f'         {name}' for name in listed(self.missing)]
        lines.append(f'classes  {_classes(self.classes)}')
        return '\n'.join(lines + [f'note     {note}' for note in self.notes])


def _classes(classes) -> str:
    if not classes:
        return 'unknown'
    names = ', '.join(classes) if len(classes) <= 4 else f'{classes[0]}, ..., {classes[-1]}'
    return f'{len(classes)} ({names})'


def listed(items: Iterable, limit: int = 12) -> list:
    """At most ``limit`` items; the last then says how many more there are."""
    items = list(items)
    if len(items) <= limit:
        return items
    more = f'... and {len(items) - limit} more'
    return items[:limit] + [(more, 'as above') if isinstance(items[0], tuple) else more]


def apply_rules(state: Mapping[str, Tensor], rules: Iterable[Rule], what: str) -> Conversion:
    """Rename a state dict.

    Args:
        state: Published names and tensors.
        rules: The first that matches a name decides.
        what: Name of the format, for the errors.

    Raises:
        ConversionError: Names no rule places (all are listed), two names for one of ours, or a
            concatenation with a piece missing.
    """
    rules = tuple(rules)
    result = Conversion(format=what)
    pieces: dict[str, dict[int | None, tuple[str, Tensor]]] = {}
    unknown = []
    for name, value in state.items():
        found = next(((rule, match) for rule in rules if (match := rule.match(name))), None)
        if found is None:
            unknown.append(name)
            continue
        rule, match = found
        if rule.target is None:
            result.dropped[name] = rule.why
            continue
        value = value[(..., *[None] * rule.unsqueeze)]
        target = pieces.setdefault(rule.rename(match), {})
        if rule.part in target:
            raise ConversionError(f'{what}: {target[rule.part][0]} and {name} are both '
                                  f'{rule.rename(match)}')
        target[rule.part] = (name, value)
    if unknown:
        raise ConversionError(f'{what}: no place for {len(unknown)} of {len(state)} names: '
                              + ', '.join(listed(unknown, 20)))
    for name, parts in pieces.items():
        if None not in parts and sorted(parts) != [0, 1]:
            raise ConversionError(f'{what}: only {next(iter(parts.values()))[0]} of the two '
                                  f'tensors that make {name}')
        ordered = [parts[key] for key in sorted(parts, key=lambda key: key or 0)]
        result.placed[name] = tuple(source for source, _ in ordered)
        tensors = [tensor for _, tensor in ordered]
        # A copy: a checkpoint may hold views of one large storage.
        result.state[name] = torch.cat(tensors).clone() if len(tensors) > 1 else tensors[0].clone()
    return result
