"""The checkpoint and the config that stand for a work folder."""
import os
import re
from contextlib import suppress
from pathlib import Path

from ..errors import UserError
from ..text import listed, printable

_NUMBERED = re.compile(r'(epoch|iter)_(\d+)\.pth')


def checkpoint_of_folder(folder: str | os.PathLike) -> Path:
    """The best checkpoint of a work folder, or else the last one.

    Best is what training kept under ``best_...``: that of a mask metric where there are several,
    then the furthest one; or what is called ``best.pth``. Last is what ``last_checkpoint`` names,
    or the highest number.

    Raises:
        UserError: The folder holds no checkpoint; or the last one is gone, and may be any of those
            with names of their own.
    """
    folder = Path(folder)
    files = sorted(folder.glob('*.pth'))
    best = [path for path in files if path.name.startswith('best_')] or [
        path for path in files if path.stem == 'best']
    if best:
        return max(best, key=lambda path: ('segm' in path.name, _number(path), path.name))
    last = ''
    with suppress(OSError, UnicodeDecodeError):
        # a folder that was moved: the name is looked for in it
        last = os.path.basename((folder / 'last_checkpoint').read_text(encoding='utf-8').strip())
        if last and (folder / last).is_file():
            return folder / last
    numbered = [path for path in files if _NUMBERED.fullmatch(path.name)]
    if numbered and last and len(numbered) < len(files):
        raise UserError(f'{folder}: last_checkpoint names {printable(last, 80)}, which is not '
                        f'there: name one of {listed([p.name for p in files])}')
    if numbered:
        return max(numbered, key=lambda path: (_number(path), path.name))
    if len(files) == 1:
        return files[0]
    if files:
        raise UserError(f'{folder} holds {len(files)} checkpoints, none of them best_... or '
                        f'iter_N/epoch_N: name one of {listed([p.name for p in files])}')
    raise UserError(f'{folder} holds no checkpoint (.pth): give the work folder of a training, or '
                    'a checkpoint')


def config_beside(checkpoint: str | os.PathLike) -> Path:
    """The one config file in the folder of a checkpoint, where training has written it.

    Raises:
        UserError: There is none, or there are several.
    """
    folder = Path(checkpoint).parent
    found = sorted(folder.glob('*.py'))
    if len(found) == 1:
        return found[0]
    what = f'{len(found)} ({listed([p.name for p in found])})' if found else 'none'
    raise UserError(f'{checkpoint} carries no config, and beside it there is {what}: give the '
                    'config as well')


def _number(path: Path) -> int:
    digits = re.findall(r'\d+', path.stem)
    return int(digits[-1]) if digits else -1
