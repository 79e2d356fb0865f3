"""Reading checkpoint files that somebody else wrote, without running what is in them.

A pickle can call anything when it is loaded. Files of ``torch.save`` are read with
``weights_only=True``; plain pickles (detectron2's ``.pkl``) by an unpickler that knows NumPy
arrays and nothing else.
"""
from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..files import refuse_checkpoint
from .rules import ConversionError, listed
from .safe_load import name_asked_for

# Where a checkpoint keeps its state dict, in order of preference.
_STATE_KEYS = ('state_dict', 'model', 'blobs')
# The number that the first pickle of torch's older file format holds.
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def _latin1(text: str, encoding: str) -> bytes:
    """How Python writes the bytes of an array in the older pickle protocols, and nothing else."""
    if not isinstance(text, str) or encoding != 'latin1':
        raise pickle.UnpicklingError(f'it wants to encode as {str(encoding)[:40]!r}')
    return text.encode('latin1')


# Everything that a pickle of arrays needs. NumPy's own functions are asked for, since the modules
# that a pickle names have moved between versions.
_RECONSTRUCT, _FROM_BUFFER, _SCALAR = (
    np.zeros(1).__reduce__()[0], np.zeros(1).__reduce_ex__(5)[0], np.float64(0).__reduce__()[0])
_ALLOWED = {
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('collections', 'OrderedDict'): OrderedDict,
    ('_codecs', 'encode'): _latin1,
    **{(f'numpy.{core}.{module}', name): function for core in ('core', '_core')
       for module, name, function in (('multiarray', '_reconstruct', _RECONSTRUCT),
                                      ('multiarray', 'scalar', _SCALAR),
                                      ('numeric', '_frombuffer', _FROM_BUFFER))},
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles containers, numbers, strings and NumPy arrays, and refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it wants to load {module}.{name}')
        return _ALLOWED[module, name]


def read_published(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict]:
    """Read a checkpoint file.

    Args:
        path: A file of ``torch.save``, or a pickle of NumPy arrays as detectron2 publishes.

    Returns:
        The state dict, and the file's ``meta`` dictionary (empty if it has none).

    Raises:
        ConversionError: No such file, a file of another kind, one that holds objects other than
            tensors and plain data, or one without a state dict.
        UserError: It is larger than checkpoints are, grows when it is read, is cut off or
            damaged, or is a web page.
    """
    if '://' in str(path):
        raise ConversionError(f'{path}: download the file first, and give its path')
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConversionError(f'{path} is a folder: give a checkpoint in it' if path.is_dir() else
                              f'{path}: no such file')
    refuse_checkpoint(path)
    try:
        content = _read(path)
    except pickle.UnpicklingError as error:
        name = name_asked_for(error)
        reason = f'it wants to load {name}' if name else str(error)
        if not reason.startswith('it wants'):
            raise ConversionError(f'{path}: not a checkpoint (its content is not what torch.save '
                                  'writes)') from None
        raise ConversionError(
            f'{path}: refused, because it holds more than tensors and plain data ({reason}); '
            'convert a file that holds only the state dict') from None
    except (EOFError, OSError, RuntimeError, ValueError, AttributeError, ImportError,
            IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if 'inline_container' in reason:  # torch's words for another archive
            reason = 'its content is not what torch.save writes'
        raise ConversionError(f'{path}: not a checkpoint ({reason})') from None
    return _state_dict(content, path)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        with path.open('rb') as file:
            # Python 2 wrote detectron2's oldest files.
            first = ArrayUnpickler(file, encoding='latin1').load()
        if not (isinstance(first, int) and first == _TORCH_MAGIC):
            return first
    return torch.load(path, map_location='cpu', weights_only=True)


def _state_dict(content: Any, path: Path) -> tuple[dict[str, Tensor], dict]:
    if not isinstance(content, dict):
        raise ConversionError(f'{path}: not a checkpoint, but one value of type '
                              f'{type(content).__name__}')
    meta = content.get('meta')
    state = next((content[key] for key in _STATE_KEYS if isinstance(content.get(key), dict)),
                 content)
    state = {str(name): _tensor(value) for name, value in state.items()
             if not str(name).startswith('__')}
    if not state:
        raise ConversionError(f'{path}: the state dict is empty')
    odd = [name for name, value in state.items() if value is None]
    if odd:
        raise ConversionError(f'{path}: no state dict under {", ".join(_STATE_KEYS)} or at the '
                              f'top; not tensors: {", ".join(listed(odd))}')
    # DistributedDataParallel puts this before every name.
    if all(name.startswith('module.') for name in state):
        state = {name[len('module.'):]: value for name, value in state.items()}
    return state, meta if isinstance(meta, dict) else {}


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in 'fiub':
        return torch.from_numpy(np.ascontiguousarray(value))
    return None
