"""Names of earlier configs and checkpoints, which were spelled ``neighbour``."""
from collections.abc import Mapping
from typing import Any

#: ``num_neighbors`` where nothing is said.
_DEFAULT = 4


def renamed(names: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same with ``neighbor`` in the names."""
    return None if names is None else {
        name.replace('neighbour', 'neighbor'): value for name, value in names.items()}


def number_of_neighbors(num_neighbors: int, num_neighbours: int | None) -> int:
    """The number that a config gives by one spelling or the other.

    Raises:
        ValueError: It gives another number by each. The default and that of the base configs,
            which an earlier config overrides by its own spelling, is none that is given.
    """
    if num_neighbours is None:
        return num_neighbors
    if num_neighbors not in (_DEFAULT, num_neighbours):
        raise ValueError(f'num_neighbors={num_neighbors!r} and num_neighbours={num_neighbours!r} '
                         'are one setting, spelled in two ways: leave out the second')
    return num_neighbours


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
