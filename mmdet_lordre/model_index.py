"""Models by name.

What is looked for lies in the folder ``.mim`` of the installed package (``setup.py`` puts it
there, where openmim looks): ``model-index.yml``, ``configs/`` and ``tools/``.
"""
from __future__ import annotations

import functools
from pathlib import Path

from mmengine.fileio import load

PACKAGE = Path(__file__).resolve().parent


def mim_folder() -> Path:
    """The folder of ``configs/`` and ``model-index.yml``: ``.mim``, or the checkout."""
    installed = PACKAGE / '.mim'
    return installed if (installed / 'configs').is_dir() else PACKAGE.parent


@functools.cache
def model_index() -> dict[str, dict]:
    """``{name in lower case: entry of the metafile}`` of every model in the model index.

    Every entry has ``Weights``, without which mmdet's ``DetInferencer`` takes no other file either:
    a ``published://`` name, which says when it is loaded where no file is published, and why.
    """
    path = mim_folder() / 'model-index.yml'
    # in a copy of the package's folder alone, mmdet's own names are still found
    index = load(path) if path.is_file() else dict(Import=[])
    return {model['Name'].lower(): model for metafile in index['Import']
            for model in load(mim_folder() / metafile)['Models']}


def config_of(name: str) -> Path:
    """Config file of a model.

    Raises:
        KeyError: There is no model of that name.
    """
    return mim_folder() / model_index()[name.lower()]['Config']
