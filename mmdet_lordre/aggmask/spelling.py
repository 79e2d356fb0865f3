"""Names of earlier configs and checkpoints, which were spelled ``neighbour``."""
from collections.abc import Mapping
from typing import Any


def renamed(names: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same with ``neighbor`` in the names."""
    return None if names is None else {
        name.replace('neighbour', 'neighbor'): value for name, value in names.items()}


class OldSpelling:
    """A module that loads parameters by either spelling."""

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in [n for n in state_dict if n.startswith(f'{prefix}neighbour_')]:
            state_dict[name.replace('neighbour', 'neighbor')] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
