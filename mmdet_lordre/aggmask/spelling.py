"""Names of earlier configs and checkpoints, which were spelled ``neighbour``."""
from collections.abc import Mapping
from typing import Any


def renamed(names: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same with ``neighbor`` in the names."""
    return None if names is None else {
        name.replace('neighbour', 'neighbor'): value for name, value in names.items()}


class OldSpelling:
    """A module that loads parameters by either spelling.

    Attributes:
        former_names: What names of parameters began with, and what they begin with now.
    """

    former_names = {'neighbour_': 'neighbor_'}

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for old, new in self.former_names.items():
            for name in [n for n in state_dict if n.startswith(prefix + old)]:
                state_dict[prefix + new + name[len(prefix + old):]] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
