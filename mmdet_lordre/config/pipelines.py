"""Steps of training that masks do not survive, refused by name before anything is loaded."""
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..errors import UserError
from .reading import dicts_in, type_name

#: Transforms of mmdet and mmcv that know nothing of masks, and what to take in their place. Most
#: go on in silence, with the masks of another picture.
BOXES_ALONE = {
    'Mosaic': 'CachedMosaic', 'MixUp': 'CachedMixUp', 'RandomShift': 'TranslateX and TranslateY',
    'CenterCrop': 'RandomCrop', 'RandomCenterCropPad': 'RandomCrop',
    'RandomAffine': 'Rotate, ShearX, ShearY, TranslateX and TranslateY',
    'BatchSyncRandomResize': 'RandomResize in the pipeline',
    'BatchResize': 'Resize in the pipeline'}
#: What makes targets of masks, and the heads that read them.
_TARGETS = {
    'ShrinkMasks': ('LordreHead', 'LordrePlaceHead'),
    'GridMaskTargets': ('SOLOv2KernelHead', 'SOLOv2WindowHead', 'AggMaskHead', 'AggMaskStarHead'),
    'ExtractContours': ('PolarMaskHead', )}
_HEADS = {head: step for step, heads in _TARGETS.items() for head in heads}
#: Steps that move masks, or write into them.
_MOVES = {
    'Resize', 'RandomResize', 'RandomChoiceResize', 'FixScaleResize', 'FixShapeResize',
    'ResizeShortestEdge', 'RandomFlip', 'RandomTranspose', 'RandomCrop', 'MinIoURandomCrop',
    'Expand', 'Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'RandomErasing',
    'CopyPaste', 'CachedMosaic', 'CachedMixUp', 'Albu'}


def check_pipelines(cfg: Config) -> None:
    """Refuse training steps that would leave masks behind, and masks that are not loaded.

    Args:
        cfg: Complete. Data sets whose masks are not loaded are left alone, unless the head is one
            of those here.

    Raises:
        UserError: Naming the step, and what to do.
    """
    loader = cfg.get('train_dataloader') or {}
    key = 'mask_head' if cfg.model.get('mask_head') else 'bbox_head'
    head = cfg.model.get(key)
    head = type_name(head) if isinstance(head, dict) else ''
    if not any(loads_masks(step) for step in dicts_in(loader)):
        loading = [name for name in map(type_name, dicts_in(loader))
                   if name in ('LoadAnnotations', 'LoadLazyAnnotations')]
        if head in _HEADS and loading:
            raise UserError(f'train_dataloader: {head} learns masks, and the pipeline loads none: '
                            f'set with_mask=True of its {loading[0]}')
        return
    _check_targets(list(_steps(loader.get('dataset'))), head, key,
                   bool(cfg.model[key].get('holes')) if head else False)
    for place in ('train_dataloader', 'model.data_preprocessor'):
        node = loader if place == 'train_dataloader' else cfg.model.get('data_preprocessor')
        for step in dicts_in(node):
            name = type_name(step)
            if name in BOXES_ALONE:
                raise UserError(f'{place}: {name} moves images and boxes, and leaves the masks '
                                f'behind: take {BOXES_ALONE[name]}, or leave it out')


def loads_masks(step: dict) -> bool:
    """Whether a step of a pipeline loads masks."""
    return bool(step.get('with_mask', type_name(step) == 'LoadLazyAnnotations'))


def _steps(dataset: Any) -> Iterator[dict]:
    """Transforms of a data set in the order in which they run: inner data sets come first."""
    for part in dataset if isinstance(dataset, (list, tuple)) else [dataset]:
        if isinstance(part, dict):
            for key in ('dataset', 'datasets'):
                yield from _steps(part.get(key))
            yield from dicts_in(part.get('pipeline') or [])


def _check_targets(steps, head, key, holes):
    made = None
    for step in steps:
        name = type_name(step)
        if name.endswith('Annotations') and name.startswith('Load'):
            made = None  # of another data set
        elif made and name in _MOVES:
            raise UserError(f'train_dataloader: {name} comes after {made}, which makes targets of '
                            f'masks: put {made} last in the pipeline, just before PackDetInputs')
        elif name in _TARGETS:
            made = name
            if head in _HEADS and head not in _TARGETS[name]:
                raise UserError(f'train_dataloader: {name} makes targets of another head than '
                                f'{head} (model.{key}): take {_HEADS[head]}, or leave it out')
            if head == 'PolarMaskHead' and bool(step.get('holes')) != holes:
                raise UserError('train_dataloader: ' + (
                    f'the head draws holes (model.{key}.holes), and ExtractContours leaves them '
                    'out: set its holes=True' if holes else
                    'ExtractContours keeps holes, which the head does not draw: set '
                    f'model.{key}.holes=True, or leave its holes out'))
