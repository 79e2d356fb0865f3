"""Load what fits of a checkpoint, and say what does not."""
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..errors import UserError
from ..text import agree, columns, listed, plural


@dataclass
class StateDictMatch:
    """What of a checkpoint fits a model.

    Attributes:
        state: Tensors that fit, by the model's names.
        other_shape: (name, shape in the checkpoint, shape in the model).
        missing: (name, shape) of the model that the checkpoint lacks.
        unexpected: (name, shape) of the checkpoint that the model lacks.
    """
    state: dict
    total: int
    other_shape: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unexpected: list = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model comes from the checkpoint."""
        return not self.other_shape and not self.missing

    def table(self, limit: int = 12) -> str:
        """The short table of what was left out, or '' when all fits."""
        rows = [(name, _text(a), _text(b), 'other shape') for name, a, b in self.other_shape]
        rows += [(name, '-', shape, 'not in the checkpoint')
                 for name, shape in _grouped(self.missing)]
        rows += [(name, shape, '-', 'not in the model')
                 for name, shape in _grouped(self.unexpected)]
        if not rows:
            return ''
        rest = len(rows) - limit
        rows = [('left out', 'checkpoint', 'model', ''), *rows[:limit]]
        lines = [f'  {line}' for line in columns(rows, '<<<<')]
        if rest > 0:
            lines.append(f'  and {rest} more')
        return '\n'.join(lines)

    def demand_finite(self, checkpoint: str) -> None:
        """Refuse weights with which nothing is ever found, in silence.

        Args:
            checkpoint: Its name, for the message.

        Raises:
            UserError: Naming the first tensor with NaN or infinite values, or the first with
                negative variances, whose roots are NaN.
        """
        odd = [name for name, value in self.state.items()
               if name.endswith('running_var') and (value < 0).any()]
        if odd:
            raise UserError(f'{checkpoint}: {plural(len(odd), "tensor")} of {self.total} '
                            f'{agree(len(odd), "has", "have")} negative variances '
                            f'({listed(odd, 1)}), with which the network gives NaN: the file is '
                            'damaged; take another checkpoint')
        bad = [name for name, value in self.state.items()
               if value.is_floating_point() and not value.isfinite().all()]
        if bad:
            raise UserError(f'{checkpoint}: {plural(len(bad), "tensor")} of {self.total} '
                            f'{agree(len(bad), "has", "have")} NaN or infinite values '
                            f'({listed(bad, 1)}): the training had gone wrong when it was saved; '
                            'take an earlier checkpoint')

    def demand_complete(self, checkpoint: str, config: str, num_classes: int | None = None) -> None:
        """Refuse a checkpoint that leaves parts of the model untrained.

        Args:
            checkpoint: Its name, for the message.
            config: Its name, for the message.
            num_classes: Of the model, to say so when that is the difference.

        Raises:
            UserError: Naming the first tensors that do not fit.
        """
        if self.complete:
            return
        parts = []
        for name, a, b in self.other_shape:
            if num_classes and b[0] == num_classes and a[1:] == b[1:]:
                raise UserError(f'{checkpoint} has {plural(a[0], "class")}, {config} has '
                                f'{num_classes} ({name}: {_text(a)} and {_text(b)}): set '
                                f'num_classes={a[0]} in the config, or fine-tune with --load-from')
        if self.other_shape:
            name, a, b = self.other_shape[0]
            count = len(self.other_shape)
            parts.append(f'{plural(count, "tensor")} '
                         + agree(count, 'has another shape', 'have other shapes')
                         + f' ({name}: {_text(a)} in the checkpoint, {_text(b)} in the model)')
        if self.missing:
            count = len(self.missing)
            parts.append(f'{count} {agree(count, "is", "are")} not in the checkpoint '
                         f'({listed([name for name, *_ in self.missing], 1)})')
        raise UserError(f'{checkpoint} does not fit {config}: {"; ".join(parts)}: take the '
                        'config that the checkpoint was trained with')


def match_state_dict(model: nn.Module, state_dict: Mapping[str, Tensor],
                     revise_keys: Sequence[tuple[str, str]] = ((r'^module\.', ''),)
                     ) -> StateDictMatch:
    """Compare a checkpoint with a model, tensor by tensor.

    Args:
        model: Not changed. Its modules may say by ``former_names`` how tensors were called before.
        state_dict: Of a checkpoint.
        revise_keys: (pattern, replacement) pairs for the names.

    Returns:
        StateDictMatch
    """
    own, former = model.state_dict(), _former_names(model)
    fit = StateDictMatch(state=OrderedDict(), total=len(own))
    # versions of the modules, by which some of them convert older weights
    fit.state._metadata = getattr(state_dict, '_metadata', OrderedDict())
    for name, value in state_dict.items():
        for pattern, replacement in revise_keys:
            name = re.sub(pattern, replacement, name)
        for old, new in former:
            if name.startswith(old):
                name = new + name[len(old):]
        if not hasattr(value, 'shape'):
            continue
        if name not in own:
            fit.unexpected.append((name, tuple(value.shape)))
        elif own[name].shape != value.shape:
            fit.other_shape.append((name, tuple(value.shape), tuple(own[name].shape)))
        else:
            fit.state[name] = value
    differ = {name for name, _, _ in fit.other_shape}
    fit.missing = [(name, tuple(value.shape)) for name, value in own.items()
                   if name not in fit.state and name not in differ
                   and not name.endswith('num_batches_tracked')]
    return fit


def state_dict_of(checkpoint: dict[str, Any], path: str = 'the checkpoint') -> dict[str, Any]:
    """The weights in a checkpoint, whether or not they are wrapped in ``state_dict``.

    Args:
        checkpoint: What a file holds.
        path: Its name, for the message.

    Raises:
        UserError: What stands there are no weights.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict):
        raise UserError(f'{path} has no state_dict: its weights are a {type(state).__name__}')
    return state


def _former_names(model):
    """(old, new) beginnings of the names of tensors."""
    return [(f'{path}.{old}'.lstrip('.'), f'{path}.{new}'.lstrip('.'))
            for path, module in model.named_modules()
            for old, new in getattr(module, 'former_names', {}).items()]


def _text(shape):
    return 'x'.join(str(n) for n in shape) or 'scalar'


def _grouped(entries):
    """One row for each module: ('neck.conv.*  (2)', '') instead of weight and bias."""
    groups = {}
    for name, shape in entries:
        groups.setdefault(name.rpartition('.')[0], []).append((name, shape))
    for prefix, found in groups.items():
        if len(found) == 1:
            yield found[0][0], _text(found[0][1])
        else:
            yield f'{prefix}.*  ({len(found)})', '...'
