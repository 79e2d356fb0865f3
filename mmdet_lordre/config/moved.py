"""Data that lie in a work folder, after it was moved or renamed."""
import os
from pathlib import Path

from mmengine.config import Config

from .own_data import CONVERTED
from .reading import dicts_in

#: Folders of annotations that a run writes into its work folder.
_OWN = 'plan', CONVERTED, 'clean'


def moved_file(path: str, folder: str | os.PathLike) -> str:
    """Where a file is that a run has written into its work folder.

    Args:
        path: Where it was; given back if it is still there, or is not found.
        folder: The work folder, where it is now.
    """
    parts = Path(path).parts
    if not os.path.isabs(path) or os.path.exists(path):
        return path
    for first in range(len(parts) - 2, 0, -1):
        found = os.path.join(os.path.abspath(folder), *parts[first:])
        if parts[first] in _OWN and os.path.isfile(found):
            return found
    return path


def follow_moved(cfg: Config, folder: str | os.PathLike) -> None:
    """Read the annotations that lie in a work folder from where it is now.

    Args:
        cfg: Of a run in that folder; changed in place.
        folder: The work folder.
    """
    for node in dicts_in(cfg):
        if isinstance(node.get('ann_file'), str):
            node['ann_file'] = moved_file(node['ann_file'], folder)
