"""Every change that this package makes to somebody else's module, in one place.

Only the package's ``__init__`` imports this.
"""
from __future__ import annotations

import functools

import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmdet.apis import DetInferencer, det_inferencer
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio.handlers import yaml_handler
from mmengine.runner.checkpoint import CheckpointLoader

from . import registry  # noqa: F401 - what mmengine builds in this package's scope
from .checkpoints.safe_load import PlainYAML, load_local, register_safe_globals
from .masks import RLEMasks
from .model_index import config_of, model_index


class _DataOnlyTorch:
    """torch, as mmengine's checkpoint module sees it: ``load`` never runs what it reads.

    Before 2.6 torch's own default does, and the maintained fork of mmengine falls back to it
    when a file is refused.
    """

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def load(*args, **kwargs):
        kwargs['weights_only'] = True
        return torch.load(*args, **kwargs)


def secure_mmengine():
    """Make mmengine read checkpoints, local or downloaded, and YAML as data only."""
    register_safe_globals()
    yaml_handler.Loader = PlainYAML
    CheckpointLoader.register_scheme(prefixes='', loader=load_local, force=True)
    CheckpointLoader.register_scheme(prefixes='local', loader=load_local, force=True)
    mmengine_checkpoint.torch = _DataOnlyTorch()
    if hasattr(mmengine_checkpoint, 'get_torch_safe_globals'):
        # The fork allows its own for each file, getattr among them, and takes back afterwards
        # what was allowed before as well.
        mmengine_checkpoint.get_torch_safe_globals = list
    load_url = mmengine_checkpoint.load_url
    if not isinstance(load_url, functools.partial):
        mmengine_checkpoint.load_url = functools.partial(load_url, weights_only=True)


def _load_model_from_metafile(lookup):
    @functools.wraps(lookup)
    def load_model(self, model):
        entry = model_index().get(model.lower())
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


def apply() -> None:
    """Make all changes; a second call changes nothing."""
    secure_mmengine()
    make_known()
