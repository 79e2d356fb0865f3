"""What an earlier training has left in a work folder, and a new one would write over."""
import os
import re
from contextlib import suppress

from ..errors import UserError
from ..files import identity
from ..text import listed
from .resume import CHECKPOINT

_CHECKPOINT = re.compile(rf'(?:best_.+_)?{CHECKPOINT}')
#: The last predictions of a training, which its report is made of.
_RESULTS = os.path.join('report', 'results.segm.json')


def earlier_files(work_dir: str) -> list[str]:
    """Names of the checkpoints in a work folder, the latest first, and of its last predictions."""
    with suppress(OSError):
        found = filter(None, map(_CHECKPOINT.fullmatch, os.listdir(work_dir)))
        names = [match[0] for match in sorted(
            found, key=lambda match: (int(match[2]), match[0]), reverse=True)]
        return names + [_RESULTS] * os.path.lexists(os.path.join(work_dir, _RESULTS))
    return []


def refuse_earlier(work_dir: str, overwrite: bool | None = False,
                   load_from: str | None = None) -> None:
    """Refuse to begin anew where an earlier training has left its results.

    Args:
        work_dir: Of a training that goes on from nothing that is there.
        overwrite: Whether they may be replaced; None where nothing goes on with or replaces them.
        load_from: Checkpoint that it begins with, which is never replaced.

    Raises:
        UserError: Naming what is there.
    """
    found = earlier_files(work_dir)
    if load_from and identity(load_from) in {identity(os.path.join(work_dir, name))
                                             for name in found} - {None}:
        raise UserError(f'{load_from} is in the work folder {work_dir}, where this training '
                        'would overwrite it: choose another --work-dir')
    if found and not overwrite:
        raise UserError(f'{work_dir} has results of an earlier training ({listed(found, 3)}): '
                        + ('choose another --work-dir' if overwrite is None else
                           'continue it with --resume, choose another --work-dir, or replace the '
                           'results with --overwrite'))


def remove_earlier(work_dir: str) -> None:
    """Remove them, so that none is taken for one of the new training."""
    for name in earlier_files(work_dir):
        with suppress(OSError):
            os.remove(os.path.join(work_dir, name))
