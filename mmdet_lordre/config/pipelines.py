"""Steps of training that move boxes and leave masks where they were, refused by name."""
from mmengine.config import Config

from ..errors import UserError
from .reading import dicts_in

#: Transforms of mmdet and mmcv that know nothing of masks, and what to take in their place. Most
#: go on in silence, with the masks of another picture.
BOXES_ALONE = {
    'Mosaic': 'CachedMosaic', 'MixUp': 'CachedMixUp', 'RandomShift': 'TranslateX and TranslateY',
    'CenterCrop': 'RandomCrop', 'RandomCenterCropPad': 'RandomCrop',
    'RandomAffine': 'Rotate, ShearX, ShearY, TranslateX and TranslateY',
    'BatchSyncRandomResize': 'RandomResize in the pipeline',
    'BatchResize': 'Resize in the pipeline'}


def check_pipelines(cfg: Config) -> None:
    """Refuse training steps that would leave masks behind.

    Args:
        cfg: Complete. Data sets whose masks are not loaded are left alone.

    Raises:
        UserError: Naming the step and one that moves masks, too.
    """
    loader = cfg.get('train_dataloader') or {}
    if not any(loads_masks(step) for step in dicts_in(loader)):
        return
    for place in ('train_dataloader', 'model.data_preprocessor'):
        node = loader if place == 'train_dataloader' else cfg.model.get('data_preprocessor')
        for step in dicts_in(node):
            name = str(step.get('type')).split('.')[-1]
            if name in BOXES_ALONE:
                raise UserError(f'{place}: {name} moves images and boxes, and leaves the masks '
                                f'behind: take {BOXES_ALONE[name]}, or leave it out')


def loads_masks(step: dict) -> bool:
    """Whether a step of a pipeline loads masks."""
    lazy = str(step.get('type')).split('.')[-1] == 'LoadLazyAnnotations'
    return bool(step.get('with_mask', lazy))
