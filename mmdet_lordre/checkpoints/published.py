"""``published://``: the authors' files as they are, wherever mmengine takes a checkpoint.

Three things may follow it: a path, an http(s) address, or the name of a model of this project,
which stands for its authors' file.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import UserError
from ..model_index import config_of, model_index
from .convert import convert_state_dict, dataset_meta
from .download import download
from .reading import read_published
from .rules import ConversionError
from .verify import read_config, verify

PREFIX = 'published://'


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_from_published(filename: str, map_location: Any = None) -> dict:
    """Load a published checkpoint in this project's names.

    Args:
        filename: ``published://`` and a path, an http(s) address or the name of a model. What is
            downloaded is kept in torch's folder of checkpoints.
        map_location: Not used; tensors are on the CPU, from where they are copied.

    Returns:
        ``state_dict``, and ``meta`` with ``dataset_meta`` (classes, palette) where it is known.

    Raises:
        ConversionError: Nothing is published under that name, the file cannot be fetched or read,
            or it is of another model than the named one.
    """
    source, entry = filename[len(PREFIX):], None
    if not source.startswith(('http://', 'https://')):
        entry = model_index().get(source.lower())
    address = source if entry is None else _address(entry)
    fetched = address.startswith(('http://', 'https://'))
    path = download(address) if fetched else Path(address)
    try:
        state, meta = read_published(path)
        result = convert_state_dict(state, meta=meta)
        if entry is not None:
            verify(result, read_config(config_of(source)), source)
    except UserError as error:
        again = f'; it was downloaded from {address}: delete it to try again' if fetched else ''
        text = str(error) if str(path) in str(error) else f'{path}: {error}'
        raise ConversionError(text + again) from None
    return dict(state_dict=result.state, meta=dataset_meta(result.classes))


def _address(entry: dict) -> str:
    """Address of the authors' file of a model."""
    metadata = entry.get('Metadata', {})
    address = metadata.get('Published Weights')
    if not address:
        raise ConversionError(f'no weights of {entry["Name"]} are published: train it, and give '
                              'its checkpoint')
    if '/folders/' in address:
        raise ConversionError(
            f'the authors of {entry["Name"]} share a folder, {address}: get the file of '
            f'{metadata["Published Config"]} there, and give published://PATH')
    return address
