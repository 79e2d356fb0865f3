"""Does a converted state dict fit the model of a config?"""
from __future__ import annotations

import copy
import os
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from ..model_index import mim_folder
from .rules import Conversion, ConversionError, listed


def read_config(path: str | os.PathLike) -> Config:
    """Read a config file.

    Raises:
        ConversionError: There is none, or it has no model.
    """
    if not Path(path).expanduser().is_file():
        raise ConversionError(f'{path}: no such config')
    cfg = Config.fromfile(os.path.expanduser(path))
    if not isinstance(cfg.get('model'), dict):
        raise ConversionError(f'{path}: the config has no model')
    return cfg


def build_untrained(cfg: Config | ConfigDict) -> nn.Module:
    """Build the model of a config for its names and shapes: without weights, where possible."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    try:
        # mmdet's detectors write into the config that they are built from.
        with torch.device('meta'):
            return MODELS.build(copy.deepcopy(cfg.model))
    except (RuntimeError, NotImplementedError):
        # Some backbones compute with tensors while they are built.
        return MODELS.build(copy.deepcopy(cfg.model))


def config_folder(family: str) -> Path:
    """Folder of a family's configs: inside an installed package, or in the checkout."""
    return mim_folder() / 'configs' / family


def find_configs(result: Conversion, family: str) -> list[Path]:
    """The family's configs whose model has exactly these names and shapes, plainest name first.

    Args:
        result: What a file was converted to.
        family: Folder of configs.
    """
    shapes = {name: tuple(value.shape) for name, value in result.state.items()
              if not name.endswith('num_batches_tracked')}
    paths = sorted(config_folder(family).glob('*.py'), key=lambda path: (len(path.stem), path.stem))
    found = []
    for path in paths:
        model = build_untrained(Config.fromfile(path))
        if shapes == {name: tuple(value.shape) for name, value in model.state_dict().items()
                      if not name.endswith('num_batches_tracked')}:
            found.append(path)
    return found


def verify(result: Conversion, cfg: Config, name: str) -> None:
    """Fill ``result.missing``, or refuse.

    Whole parts of the model (backbone, neck, head) may be missing, since a file may hold a head
    or a backbone alone; so may counters that norms fill in themselves. Anything else means that
    the file is of another model.

    Args:
        result: What a file was converted to; changed.
        cfg: The model that it should be of.
        name: Of the config, for the message.

    Raises:
        ConversionError: Tensors that the model has not, of other shapes, or missing from a part
            that the file has; or another number of classes.
    """
    model = build_untrained(cfg)
    if result.format.startswith('imagenet'):
        model = model.backbone
    ours = model.state_dict()
    problems = [f'{key}: not in the model' for key in result.state if key not in ours]
    problems += [f'{key}: {tuple(value.shape)} in the file, {tuple(ours[key].shape)} in the model'
                 for key, value in result.state.items()
                 if key in ours and value.shape != ours[key].shape]
    result.missing = [key for key in ours
                      if key not in result.state and not key.endswith('num_batches_tracked')]
    parts = {key.split('.')[0] for key in result.state}
    if not result.format.startswith('imagenet'):
        problems += [f'{key}: not in the file' for key in result.missing
                     if key.split('.')[0] in parts]
    if problems:
        raise ConversionError(f'the file does not fit the model of {name}: '
                              + '; '.join(listed(problems, 8)))
