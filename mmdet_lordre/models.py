"""From a folder, a checkpoint, or a config and a checkpoint to a model that is ready to predict."""
import difflib
import functools
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from .backbones import check_deformable_ops
from .checkpoints.partial_load import match_state_dict, state_dict_of
from .checkpoints.safe_load import read_checkpoint
from .checkpoints.work_folder import checkpoint_of_folder, config_beside
from .config.building import not_built
from .config.classes import class_names_of, classes_in, set_classes
from .config.moved import follow_moved
from .config.reading import (
    is_config_name,
    load_config,
    model_class_counts,
    split_datasets,
)
from .config.stored import stored_config
from .devices import demand_device
from .errors import UserError
from .model_index import config_of, model_index
from .registry import BUILDING
from .text import listed, plural, printable, quoted


class Opened(NamedTuple):
    """A config and the checkpoint that goes with it, read.

    Attributes:
        cfg: The config, with the classes of the checkpoint.
        config: Where it comes from, in words or as a path.
        checkpoint: Path of the checkpoint (or ``published://NAME``).
        weights: What the checkpoint holds.
    """
    cfg: Config
    config: str
    checkpoint: str
    weights: dict


def head_of(model: nn.Module) -> nn.Module:
    """The head of a detector: ``mask_head`` or ``bbox_head``.

    Raises:
        ValueError: The detector has neither.
    """
    for name in ('mask_head', 'bbox_head'):
        head = getattr(model, name, None)
        if head is not None:
            return head
    raise ValueError(f'{type(model).__name__} has neither mask_head nor bbox_head')


def _one_thread_at_a_time(function: Callable) -> Callable:
    @functools.wraps(function)
    def alone(*args, **kwargs):
        with BUILDING:
            return function(*args, **kwargs)
    return alone


@_one_thread_at_a_time
def open_model(model: str | os.PathLike, checkpoint: str | os.PathLike | None = None,
               options: dict | None = None) -> Opened:
    """Find and read what a model is made of; the checkpoint is read once.

    Args:
        model: A work folder (its best, else its last checkpoint); a checkpoint, with the config
            that it carries or else the one beside it; the name of a model of the zoo (its
            authors' weights are downloaded); or a config file.
        checkpoint: Goes with a config file; may also be a work folder.
        options: Values that override the config, by dotted key.

    Raises:
        UserError: Something is missing, cannot be read, or does not belong together.
    """
    model = os.fspath(model)
    config = None
    if checkpoint is not None:
        config, checkpoint = model, os.fspath(checkpoint)
        _refuse_folder(config, checkpoint)
    elif os.path.isdir(model):
        checkpoint = model
    elif model.lower() in model_index():
        config, checkpoint = str(config_of(model)), f'published://{model}'
    elif is_config_name(model):
        raise UserError(f'{model} is a config: give a checkpoint with it')
    else:
        checkpoint = model
        if model.lower().endswith('.onnx') and os.path.isfile(model):
            raise UserError(f'{model} is an ONNX file, which onnxruntime runs: give the checkpoint '
                            'that it was made of, or its work folder')
        near = difflib.get_close_matches(model, model_index(), n=1, cutoff=0.8)
        if near and not os.path.exists(model):
            raise UserError(f'no such checkpoint or model: {model} (did you mean {near[0]}?)')
    if os.path.isdir(checkpoint):
        checkpoint = str(checkpoint_of_folder(checkpoint))
    if config is not None:  # the smaller of the two files first
        cfg = load_config(config, options)
    weights = read_checkpoint(checkpoint)
    if config is None:
        cfg, config = stored_config(weights, checkpoint, options), f'the config in {checkpoint}'
        if cfg is None:
            config = str(config_beside(checkpoint))
            cfg = load_config(config, options)
    follow_moved(cfg, os.path.dirname(checkpoint))
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    classes, palette = classes_in(weights, checkpoint)
    if classes and classes != class_names_of(cfg):
        set_classes(cfg, classes, palette)
    return Opened(cfg, config, checkpoint, weights)


def _refuse_folder(config, checkpoint):
    """Refuse a work folder in the place of a config; which checkpoint is meant is not guessed."""
    if os.path.isdir(config):
        raise UserError(f'{config} is a folder: ' + (
            'give the config first, then the folder' if is_config_name(checkpoint) else
            f'leave it out, as {checkpoint} is read with the config in it or beside it, or leave '
            f'out {checkpoint}'))


def stands_alone(name: str) -> bool:
    """Whether a name is that of a work folder or a checkpoint, which bring their config.

    Args:
        name: That may also be that of a config.
    """
    return os.path.isdir(name) or (not is_config_name(name) and (
        os.path.isfile(name) or name.endswith(('.pth', '.pt'))))


@_one_thread_at_a_time
def build_model(model: str | os.PathLike, checkpoint: str | os.PathLike | None = None,
                device: str | None = None, options: dict | None = None,
                test_cfg: dict | None = None) -> nn.Module:
    """A model ready for mmdet's ``inference_detector``, with the classes of its checkpoint.

    Args:
        model: Work folder, checkpoint, name of a model, or config file: see :func:`open_model`.
        checkpoint: Of a config file; must hold every weight of the model.
        device: A GPU when there is one.
        options: Overrides values of the config.
        test_cfg: Merged into ``model.test_cfg``.

    Returns:
        The detector in ``eval`` mode, with ``cfg``, ``dataset_meta`` and ``checkpoint`` (its
        path).

    Raises:
        UserError: Config or checkpoint cannot be read, or do not fit each other; the device is not
            there; or mmcv lacks the model's deformable convolutions on it.
    """
    demand_device(device)
    cfg, config, path, weights = open_model(model, checkpoint, options)
    if not split_datasets(cfg, 'test'):
        raise UserError(f'config {config} has no test_dataloader: how images are prepared is '
                        'read from there')
    # building the model shall load nothing: the checkpoint has these weights
    cfg.model.pop('init_cfg', None)
    if 'init_cfg' in cfg.model.get('backbone', {}):
        cfg.model.backbone.init_cfg = None
    if test_cfg:
        cfg.model.setdefault('test_cfg', {})
        cfg.model.test_cfg.update(test_cfg)
    try:
        built = revert_sync_batchnorm(MODELS.build(cfg.model))
    except (UserError, OSError):
        raise
    except Exception as error:
        if test_cfg and 'test_cfg' in str(error):
            raise UserError(f'{config}: this model cannot give '
                            f'{", ".join(test_cfg)}: {error}') from error
        raise not_built(cfg, config, error) from error
    fit = match_state_dict(built, state_dict_of(weights, path))
    counts = list(model_class_counts(cfg).values())
    fit.demand_complete(path, config, counts[0] if counts else None)
    fit.demand_finite(path)
    _load_checkpoint_to_model(built, dict(state_dict=fit.state), logger='silent', revise_keys=[])
    _, palette = classes_in(weights, path)
    for dataset in split_datasets(cfg, 'test'):
        palette = palette or (dataset.get('metainfo') or {}).get('palette')
    for line in _doubts(fit.unexpected, class_names_of(cfg) or ()):
        print(f'warning: {printable(path)}: {line}', file=sys.stderr)
    built.dataset_meta = dict(classes=class_names_of(cfg), palette=palette)
    built.cfg, built.checkpoint = cfg, path
    device = device or get_device()
    check_deformable_ops(built, device)
    return built.to(device).eval()


def _doubts(unexpected, classes):
    """What of a checkpoint that fits may yet be a mistake."""
    if unexpected:
        yield (f'the model has no place for {plural(len(unexpected), "tensor")} of it '
               f'({listed((name for name, _ in unexpected), 3)}): was it trained with this config?')
    twice = next((name for name in classes if classes.count(name) > 1), None)
    if twice is not None:
        yield f'{classes.count(twice)} of its classes are called {quoted(twice)}: results mix them'
