"""From a config and a checkpoint to a model that is ready to predict."""
from mmdet.registry import MODELS
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from .backbones import check_deformable_ops
from .checkpoints.partial_load import match_state_dict, state_dict_of
from .checkpoints.safe_load import read_checkpoint
from .config.classes import class_names_of, classes_of_checkpoint, use_checkpoint_classes
from .config.reading import load_config, model_class_counts, split_datasets
from .errors import UserError


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


def build_model(config: str, checkpoint: str, device: str | None = None,
                options: dict | None = None, test_cfg: dict | None = None) -> nn.Module:
    """A model ready for mmdet's ``inference_detector``, with the classes of its checkpoint.

    Args:
        config (str): config file.
        checkpoint (str): must hold every weight of the model.
        device (str, optional): a GPU when there is one.
        options (dict, optional): overrides values of the config.
        test_cfg (dict, optional): merged into ``model.test_cfg``.

    Raises:
        UserError: config or checkpoint cannot be read, or do not fit each other; or mmcv lacks
            the model's deformable convolutions on the device.
    """
    cfg = load_config(config, options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    if not split_datasets(cfg, 'test'):
        raise UserError(f'config {config} has no test_dataloader: how images are prepared is '
                        'read from there')
    use_checkpoint_classes(cfg, checkpoint)
    cfg.model.pop('init_cfg', None)
    if 'init_cfg' in cfg.model.get('backbone', {}):
        cfg.model.backbone.init_cfg = None  # the checkpoint has these weights
    if test_cfg:
        cfg.model.setdefault('test_cfg', {})
        cfg.model.test_cfg.update(test_cfg)
    try:
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    except (ValueError, TypeError) as error:
        if test_cfg and 'test_cfg' in str(error):
            raise UserError(f'{config}: this model cannot give '
                            f'{", ".join(test_cfg)}: {error}') from error
        raise
    weights = read_checkpoint(checkpoint)
    fit = match_state_dict(model, state_dict_of(weights))
    counts = list(model_class_counts(cfg).values())
    fit.demand_complete(checkpoint, config, counts[0] if counts else None)
    _load_checkpoint_to_model(model, dict(state_dict=fit.state), logger='silent', revise_keys=[])
    _, palette = classes_of_checkpoint(checkpoint)
    for dataset in split_datasets(cfg, 'test'):
        palette = palette or (dataset.get('metainfo') or {}).get('palette')
    model.dataset_meta = dict(classes=class_names_of(cfg), palette=palette)
    model.cfg = cfg
    device = device or get_device()
    check_deformable_ops(model, device)
    return model.to(device).eval()
