"""Data that lie in a work folder, after it was moved, renamed or copied."""
import os
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from ..text import printable
from .own_data import CLEAN, CONVERTED, PLAN
from .reading import dicts_in

#: Folders of annotations that a run writes into its work folder.
_OWN = PLAN, CONVERTED, CLEAN


def moved_file(path: str, folder: str | os.PathLike, name: str | None = None,
               say: Callable[[str], object] = print) -> str:
    """Where a file is that a run has written into its work folder.

    Args:
        path: Where it was; given back if it is no file of the folder. What is there now may be
            of another run, of which this folder is a copy, or which was given its old name.
        folder: The work folder, where it is now.
        name: Of the work folder, where it was; any if not given.
        say: Is told where the file was found.
    """
    if not os.path.isabs(path):
        return path
    parts = Path(path).parts
    for first in range(len(parts) - 2, 0, -1):
        found = os.path.join(os.path.abspath(folder), *parts[first:])
        if parts[first] in _OWN and name in (None, parts[first - 1]) and os.path.isfile(found):
            if os.path.exists(path) and os.path.samefile(path, found):
                return path
            say(f'reading {printable(found)} in place of {printable(path)}, which is '
                + ('in another work folder' if os.path.exists(path) else 'not there any more'))
            return found
    return path


def follow_moved(cfg: Config, folder: str | os.PathLike) -> None:
    """Read the annotations that lie in a work folder from where it is now.

    Args:
        cfg: Of a run in that folder; changed in place.
        folder: The work folder.
    """
    name = cfg.get('work_dir') and os.path.basename(os.path.abspath(cfg.work_dir))
    nodes = [node for node in dicts_in(cfg) if isinstance(node.get('ann_file'), str)]
    found = {path: moved_file(path, folder, name) for path in {n['ann_file'] for n in nodes}}
    for node in nodes:
        node['ann_file'] = found[node['ann_file']]
