"""Configs and models by name, for mmengine, mmdet and openmim.

What they look for lies in the folder ``.mim`` of the installed package (``setup.py`` puts it
there): ``model-index.yml``, ``configs/`` and ``tools/``.
"""
from __future__ import annotations

import functools
from pathlib import Path

from mmdet.apis import DetInferencer, det_inferencer
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import load

from . import registry  # noqa: F401 - what mmengine builds in this package's scope
from .masks import RLEMasks

PACKAGE = Path(__file__).resolve().parent


def mim_folder() -> Path:
    """The folder of ``configs/`` and ``model-index.yml``: ``.mim``, or the checkout."""
    installed = PACKAGE / '.mim'
    return installed if (installed / 'configs').is_dir() else PACKAGE.parent


@functools.cache
def models() -> dict[str, dict]:
    """``{name in lower case: entry of the metafile}`` of every model in the model index."""
    path = mim_folder() / 'model-index.yml'
    # in a copy of the package's folder alone, mmdet's own names are still found
    index = load(path) if path.is_file() else dict(Import=[])
    return {model['Name'].lower(): model for metafile in index['Import']
            for model in load(mim_folder() / metafile)['Models']}


def config_of(name: str) -> Path:
    """Config file of a model.

    Raises:
        KeyError: there is no model of that name.
    """
    return mim_folder() / models()[name.lower()]['Config']


def _load_model_from_metafile(lookup):
    @functools.wraps(lookup)
    def load_model(self, model):
        entry = models().get(model.lower())
        if entry is None:
            return lookup(self, model)
        return Config.fromfile(config_of(model)), entry['Weights']
    return load_model


def _encode_masks(encode):
    @functools.wraps(encode)
    def encode_mask_results(masks):
        # it decodes nothing that it is about to encode; copies, for it changes what it gets
        return [dict(mask) for mask in masks] if isinstance(masks, RLEMasks) else encode(masks)
    return encode_mask_results


def make_known() -> None:
    """Let ``mmdet_lordre::folder/config.py`` and names of models be found.

    mmengine knows the packages of a fixed table, and asks for the distribution under the name in
    it. In an editable installation the distribution's folder is not the package's; under the name
    of a module, for which there is no distribution, mmengine takes the folder where that lies.
    ``DetInferencer`` looks for names among mmdet's models only, unless told another scope, and
    expects bitmaps where results may be run lengths.
    """
    MODULE2PACKAGE.setdefault('mmdet_lordre', __name__)
    lookup = DetInferencer._load_model_from_metafile
    if not hasattr(lookup, '__wrapped__'):
        DetInferencer._load_model_from_metafile = _load_model_from_metafile(lookup)
        det_inferencer.encode_mask_results = _encode_masks(det_inferencer.encode_mask_results)


make_known()
