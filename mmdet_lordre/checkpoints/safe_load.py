"""Checkpoints are data: they are read by torch's restricted unpickler and never executed.

torch >= 2.6 reads with ``weights_only=True`` unless told otherwise. Two things are in the
way: mmengine keeps its log history in a class of its own, which the restricted unpickler
does not know, so that mmengine cannot read the checkpoints it wrote; and what mmengine
downloads goes through ``torch.hub``, which still says ``weights_only=False``.
"""
from __future__ import annotations

import functools
import os
import pickle
import re
import struct
import urllib.error
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import UserError
from ..files import refuse_checkpoint
from ..text import printable

_DTYPES = ('Bool', 'Int8', 'Int16', 'Int32', 'Int64', 'UInt8', 'UInt16', 'UInt32', 'UInt64',
           'Float16', 'Float32', 'Float64', 'Str')


def _history_statistic(owner, name):
    """Stands in for ``getattr``, by which a log history names its own four statistics."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    if getattr in torch.serialization.get_safe_globals():
        return getattr(owner, name)  # a program that allows it for files of its own
    raise pickle.UnpicklingError(
        f'Unsupported global: GLOBAL getattr of {owner!r} and {str(name)[:40]!r}')


def register_safe_globals() -> None:
    """Allow the log history and plain numpy numbers and arrays, and nothing that can act.

    Of ``getattr`` only the use that mmengine's log history makes of it is allowed. Files
    written with numpy 1 and numpy 2 name the same functions differently; both names are
    allowed, whichever is installed. Arrays of Python objects stay refused.
    """
    # as numpy's own objects name them: 1.26 has a _core, with nothing in it but names
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    allowed = [HistoryBuffer, (_history_statistic, 'builtins.getattr'), np.ndarray, np.dtype]
    dtypes = getattr(np, 'dtypes', None)
    if dtypes is not None:
        allowed += [getattr(dtypes, f'{name}DType') for name in _DTYPES]
    else:
        allowed += [type(np.dtype(name.lower())) for name in _DTYPES]
    for package in ('numpy.core', 'numpy._core'):
        for function in (reconstruct, scalar):
            allowed.append((function, f'{package}.multiarray.{function.__name__}'))
    torch.serialization.add_safe_globals(allowed)


class DataOnlyTorch:
    """torch, as mmengine's checkpoint module sees it: ``load`` never runs what it reads.

    Before 2.6 torch's own default does, and the maintained fork of mmengine falls back to it
    when a file is refused.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(*args: Any, **kwargs: Any) -> Any:
        kwargs['weights_only'] = True
        return torch.load(*args, **kwargs)


_DATA_ONLY_TORCH = DataOnlyTorch()


def data_only_names() -> dict[str, Any]:
    """What to put into mmengine's checkpoint module, by name, so that all its loaders read data.

    Files come from its ``torch.load``, downloads from its ``load_url``. The fork allows globals
    of its own for each file, ``getattr`` among them, and takes back afterwards what was allowed
    before as well; here it allows nothing more.
    """
    names = dict(torch=_DATA_ONLY_TORCH)
    load_url = mmengine_checkpoint.load_url
    if not isinstance(load_url, functools.partial):
        names['load_url'] = functools.partial(load_url, weights_only=True)
    if hasattr(mmengine_checkpoint, 'get_torch_safe_globals'):
        names['get_torch_safe_globals'] = list
    return names


@contextmanager
def _data_only() -> Iterator[None]:
    """mmengine's loaders read data for as long as this lasts."""
    names = data_only_names()
    before = {name: getattr(mmengine_checkpoint, name) for name in names}
    vars(mmengine_checkpoint).update(names)
    try:
        yield
    finally:
        vars(mmengine_checkpoint).update(before)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """mmengine's loader of local files, restricted whatever torch or the environment say.

    Args:
        filename: Path of the file; ``~`` is known.
        map_location: Where its tensors go, as of ``torch.load``.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is larger than checkpoints are, grows when it is read, is cut off or
            damaged, or is a web page.
    """
    filename = os.path.expanduser(filename)
    if not os.path.isfile(filename):
        raise FileNotFoundError(f'no such checkpoint: {filename}')
    refuse_checkpoint(filename)
    register_safe_globals()  # the fork of mmengine takes them back
    with warnings.catch_warnings():
        # what follows is an error of ours, in one line
        warnings.filterwarnings('ignore', 'Detected pickle protocol')
        checkpoint = torch.load(filename, map_location=map_location, weights_only=True)
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get('meta'), dict):
        # mmengine runs this text as Python when it resumes, to count the GPUs of old runs
        checkpoint['meta'].pop('config', None)
    return checkpoint


def read_checkpoint(filename: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint file, path or URL that mmengine knows.

    Args:
        filename: Path or address.
        map_location: Where its tensors go, as of ``torch.load``.

    Returns:
        What was saved.

    Raises:
        UserError: No such file, a file that would run code, or a damaged file.
    """
    filename = str(filename)
    try:
        if '://' in filename:
            with _data_only():
                checkpoint = CheckpointLoader.load_checkpoint(filename, map_location, 'silent')
        else:
            checkpoint = load_from_local(filename, map_location)
    except UserError:
        # of published://, and says all
        raise
    except FileNotFoundError as error:
        raise UserError(f'no such checkpoint: {filename}') from error
    except urllib.error.URLError as error:
        raise UserError(f'{filename} cannot be downloaded ({error.reason}): check the address and '
                        'the connection, or give a file') from error
    except pickle.UnpicklingError as error:
        raise UserError(_refusal(filename, error)) from error
    # whatever torch's readers stumble over in a file that is not one of theirs
    except (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError,
            ImportError, OverflowError, MemoryError, AssertionError, struct.error) as error:
        raise UserError(f'{filename} is not a complete checkpoint '
                        f'({_first_line(error)}): take another one') from error
    if not isinstance(checkpoint, dict):
        raise UserError(f'{filename} holds a {type(checkpoint).__name__}, not a checkpoint: '
                        'expected a dictionary with "state_dict"')
    return checkpoint


def name_asked_for(error: BaseException) -> str | None:
    """What a file wanted to load, of torch's refusal; None where it was refused otherwise."""
    # torch's words for a module that it blocks always, and for what is not allowed
    found = re.search(r'unsupported global:? (?:GLOBAL )?(\S+)', str(error), re.IGNORECASE)
    return printable(found[1], 80) if found else None


def _refusal(filename, error):
    name = name_asked_for(error)
    if name:
        return (f'{filename} refused: it asks for {name}, which is not data and could run '
                'code; take a checkpoint that holds weights only')
    if 'Unsupported operand' in str(error):
        return (f'{filename} refused: torch.save did not write it, pickle did, or it is no '
                'checkpoint at all; save the weights by torch.save')
    return (f'{filename} refused: it is not a checkpoint of plain weights '
            f'({_first_line(error)})')


def _first_line(error):
    """The telling part of one of torch's long explanations: its first sentence."""
    text = str(error).split('WeightsUnpickler error:')[-1].strip()
    line = re.split(r'\.\s+(?=[A-Z])|\n', text)[0].rstrip('. ')
    # a number alone is a key that torch's reader looked for; the rest are its words for a tar file
    # and for another archive
    if not re.search('[A-Za-z]', line) or re.search(r'legacy \.tar|inline_container', line):
        return 'its content is not what torch.save writes'
    return line if len(line) <= 160 else f'{line[:157]}...'
