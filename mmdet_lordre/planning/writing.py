"""From fitted numbers to a config that a person can read."""
import math
import os
import pprint
from pathlib import Path

from ..errors import UserError
from ..files import atomic_write
from . import rules
from .fit import FAMILIES, Fit
from .heads import head_text

#: What planned configs inherit from.
BASE = 'mmdet_lordre::_base_/planned.py'


def config_text(fit: Fit, train: tuple[str, str], val: tuple[str, str] | None,
                command: str = 'lordre plan', test: tuple[str, str] | None = None) -> str:
    """A config.

    Args:
        fit: Its numbers.
        train: Annotation file and folder of images.
        val: The same of the validation data, or None.
        command: What made it, for the first line.
        test: The same of data that it is tested on; those of the validation if not given.
    """
    return '\n'.join([_top(fit, command), _model(fit), head_text(fit) + ')',
                      _data(fit, train, val, test), _schedule(fit, val is not None)])


def write_config(text: str, path: str) -> None:
    """Write a config that is not there yet.

    Raises:
        UserError: It is, or cannot be written.
    """
    if not path.endswith('.py'):
        raise UserError(f'--out: {path} must end in .py')
    if os.path.lexists(path):
        raise UserError(f'--out: {path} already exists: choose another name, or remove it')
    try:
        Path(path).resolve().parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as name:
            Path(name).write_text(text, encoding='utf-8')
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}') from error


def _top(fit, command):
    return (f'# {FAMILIES[fit.family]}, {fit.size}: fitted by `{command}`.\n'
            + (f'# {fit.why["size"]}.\n' if 'size' in fit.why else '')
            + (f'# Backbone: {fit.why["weights"]}.\n' if 'weights' in fit.why else '') +
            f'# Objects measure {fit.sides[0]:.0f} (5 %), {fit.sides[1]:.0f} (median) and '
            f'{fit.sides[2]:.0f} px (95 %) in the network input.\n'
            f'_base_ = {BASE!r}\n')


def _model(fit):
    size, weights = fit.dimensions, fit.weights
    kind = dict(lordre='Lordre', solov2='SOLOv2', polarmask='PolarMask').get(
        fit.family, 'SingleStageInstanceSegmentor')
    outs = tuple(range(fit.stages))
    return (
        'model = dict(\n'
        f'    type={kind!r},\n'
        f'    # {fit.stages} stages, up to stride {2**(fit.stages + 1)}'
        f'{"" if size.base == 64 else f"; {size.base} channels in place of 64"}\n'
        '    backbone=dict(\n'
        f'        depth={size.depth},\n'
        f'        num_stages={fit.stages},\n'
        f'        strides={(1, 2, 2, 2)[:fit.stages]},\n'
        f'        dilations={(1,) * fit.stages},\n'
        f'        base_channels={size.base},\n'
        f'        stem_channels={size.base},\n'
        f'        deep_stem={not weights or weights.deep_stem},\n'
        f'        out_indices={outs}' + (
            # batches are too small to measure what these weights were made with
            f',\n        norm_eval=True,\n'
            f'        init_cfg=dict(\n            type=\'Pretrained\', prefix={weights.prefix!r},\n'
            f'            checkpoint={weights.path!r})' if weights else '') + '),')


def _data(fit, train, val, test):
    flips = list(fit.flips)
    share = round(0.75 / len(flips), 3) if len(flips) == 3 else 0.5
    read = _reading(fit.reading)
    masks = "dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),"
    load = _kept(fit, [*read, masks]) if fit.kept else [*read, masks]
    train_steps = [*load, *_sizes(fit)]
    if fit.transposed:
        train_steps.append("dict(type='RandomTranspose'),")
    if flips:
        train_steps.append(f"dict(type='RandomFlip', prob={[share] * len(flips)}, "
                           f'direction={flips}),')
    if fit.jitter:
        train_steps.append("dict(type='PhotoMetricDistortion', brightness_delta=24, "
                           'contrast_range=(0.7, 1.3), saturation_range=(0.7, 1.3), hue_delta=9),')
    targets = {'lordre': "dict(type='ShrinkMasks', factor=(4, 2)),",
               'solov2': "dict(type='GridMaskTargets'),",
               'aggmask': "dict(type='GridMaskTargets', factors=(4, 8)),",
               'aggmask_star': "dict(type='GridMaskTargets'),",
               'polarmask': "dict(type='ExtractContours'"
                            f'{", holes=True" if fit.heads.get("holes") else ""}),'}
    train_steps += [targets[fit.family], "dict(type='PackDetInputs'),"]
    test_steps = [*read, *_hint(fit),
                  "dict(type='Resize', scale=scale, keep_ratio=True),", masks,
                  "dict(type='PackDetInputs', meta_keys=(\n"
                  "        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),"]
    lines = [*([f'# images are read {line}'] if (line := fit.reading.line()) else []),
             f'# {fit.why["longer"]}', *_tiles(fit), f'scale = ({fit.longer}, {fit.longer})',
             *([f'# {why}'] if (why := _augmentation(fit)) else []),
             'train_pipeline = [', *(f'    {step}' for step in train_steps), ']',
             'test_pipeline = [', *(f'    {step}' for step in test_steps), ']',
             'metainfo = dict(classes=' + pprint.pformat(fit.classes, width=80, compact=True)
             .replace('\n', '\n                        ') + ')']
    loader = f'num_workers={fit.workers}, persistent_workers={fit.workers > 0}'
    inner = _dataset(train, 'train_pipeline', 8)
    lines.append('# images a step: 2 on a CPU, 4 on a GPU, or what images and memory allow; '
                 'processes load for a GPU')
    if fit.oversampling:
        lines += [f'# {fit.why["oversampling"]}',
                  'train_dataloader = dict(', f'    batch_size={fit.batch_size}, {loader},',
                  '    dataset=dict(_delete_=True, type=\'ClassBalancedDataset\', '
                  f'oversample_thr={fit.oversampling}, dataset=dict(',
                  "        type='CocoDataset', filter_cfg=dict(filter_empty_gt=False),",
                  f'{inner})))']
    else:
        lines += ['train_dataloader = dict(', f'    batch_size={fit.batch_size}, {loader},',
                  f'    dataset=dict(\n{inner}))']
    where = val or train
    if val is None:
        lines += ['# no validation images were given'
                  + (': tests use those of the training, and their figures are too good'
                     if test is None else '')]
    for split, files in (('val', where), ('test', test)):
        lines += [f'{split}_dataloader = dict(', f'    batch_size={fit.batch_size}, {loader},',
                  f'    dataset=dict(\n{_dataset(files, "test_pipeline", 8)}))',
                  f'{split}_evaluator = dict(ann_file={files[0]!r}{_counted(fit)})'] if files else [
                      'test_dataloader = val_dataloader', 'test_evaluator = val_evaluator']
    return '\n'.join([*lines, ''])


def _reading(reading):
    """Steps that read an image file."""
    kind = '' if reading.color_type == 'color' else f', color_type={reading.color_type!r}'
    steps = [f"dict(type='LoadImageFromFile'{kind}),"]
    if reading.values:
        steps.append("dict(type='ScaleValues', low={}, high={}),".format(*reading.values))
    return steps


def _tiles(fit):
    return [f'tile = {fit.tile}  # pixels of the file; evaluated and predicted tile by tile'
            ] if fit.tile else []


def _hint(fit):
    return ["dict(type='WarnOfWholePictures', tile=tile),"] if fit.tile else []


def _kept(fit, load):
    """Steps that load, and reduce pictures to what can be kept in memory."""
    kept = fit.kept
    # each process keeps pictures of its own
    gib = f'gib={math.ceil(11 * max(1, fit.workers) * kept.gib) / 10:g}' \
        + ', shared=True' * bool(fit.tile)
    size = f'scale=({kept.side}, {kept.side})' if kept.side else \
        f'scale_factor={kept.scale}' if kept.scale != 1 else ''
    lines = [*load, *([f"dict(type='Resize', {size}, keep_ratio=True),"] if size else [])]
    if size and fit.tile:
        lines.insert(-1, '# as fine as crops are')
    return ['# reading such files takes longer than learning from them: once is enough',
            f"dict(type='KeepInMemory', {gib}, transforms=[", *(f'    {line}' for line in lines),
            ']),']


def _sizes(fit):
    """Steps that change the size of training images."""
    if not fit.tile:
        return ["dict(type='RandomResize', scale=scale, ratio_range=(0.8, 1.2), keep_ratio=True),"]
    tile = fit.tile * (fit.kept.scale if fit.kept else 1)  # pixels of what they are cut from
    sides = round(tile / 1.2), round(tile / 0.8)

    def crop(empty):
        return (f"dict(type='RandomCrop', crop_size={sides}, crop_type='absolute_range', "
                f'recompute_bbox=True,\n         allow_negative_crop={empty})')
    # of pictures that are mostly empty a part of the crops show no object
    steps = [f"dict(type='RandomChoice', prob=[0.3, 0.7], transforms=[\n        [{crop(True)}],\n"
             f'        [{crop(False)}]]),' if fit.sparse else f'{crop(True)},']
    return [*steps, "dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),",
            "dict(type='Resize', scale=scale, keep_ratio=True),"]


def _counted(fit):
    """COCO counts 100 detections of an image: of a large picture with more objects, more."""
    return f', max_dets=(10, 100, {fit.most})' if fit.most > 100 else ''


def _dataset(files, pipeline, indent):
    space = ' ' * indent
    return (f'{space}metainfo=metainfo, ann_file={files[0]!r},\n'
            f'{space}data_prefix=dict(img={files[1]!r}), pipeline={pipeline}')


def _augmentation(fit):
    said = []
    if len(fit.flips) < 3:
        said.append(f'mirrored {" and ".join(fit.flips) or "in no direction"} only: objects look '
                    'otherwise the other way round')
    elif not fit.transposed:
        said.append('mirrored, and not turned by 90 degrees: objects stand or lie, or many '
                    'images are longer than wide')
    if fit.jitter:
        said.append('few images, and colors do not tell classes apart: colors are varied')
    return '; '.join(said)


def _optimizer(fit):
    if fit.weights:
        return [f"    optimizer=dict(type='AdamW', lr={fit.lr}, weight_decay=0.05, fused=True),",
                '    # what the backbone knows already changes slowly',
                "    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}),"]
    return [f"    optimizer=dict(type='MuonWithAdamW', lr={fit.lr}, weight_decay=0.05),"]


def _schedule(fit, validated):
    warmup = min(200, fit.steps // 20)
    warmup *= warmup > 1  # after one step mmengine's LinearLR would stay where it begins
    count = rules.validations(fit.steps)
    wrapper = "'OptimWrapper'" if not fit.low_precision else \
        "'AmpOptimWrapper', dtype='bfloat16'" if fit.on_gpu else "'BFloat16OptimWrapper'"
    hooks = ["dict(type='ChannelsLastHook')"] * fit.channels_last
    hooks += ["dict(type='WinogradHook')"] * fit.winograd
    if fit.ema:
        hooks.append(f"dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum={fit.ema}, "
                     f'gamma={fit.gamma}, update_buffers=True)')
    if validated and count >= 10:
        hooks.append("dict(type='KeptEarlyStoppingHook', monitor='coco/segm_mAP', rule='greater',"
                     '\n         min_delta=0.001, patience=5, counts_from=0.01)')
    lines = ([f'# {fit.why["precision"]}'] if 'precision' in fit.why else []) + [
        'optim_wrapper = dict(', f'    type={wrapper},',
        '    # for a batch of this size and this family',
        *_optimizer(fit),
        '    clip_grad=dict(max_norm=5.0))']
    if 'steps' in fit.why:
        lines.append(f'# {fit.why["steps"]}')
    lines += [
        f'train_cfg = dict(max_iters={fit.steps}, val_interval={fit.steps // count})',
        'param_scheduler = [',
        *([f"    dict(type='LinearLR', start_factor=0.01, begin=0, end={warmup}, by_epoch=False),"]
          if warmup else []),
        f"    dict(type='CosineAnnealingLR', begin={warmup}, end={fit.steps}, eta_min="
        f'{fit.lr / 100:.2g}, by_epoch=False),', ']',
        'default_hooks = dict(',
        f'    checkpoint=dict(interval={max(1, fit.steps // 10)}'
        + (", save_best='coco/segm_mAP', rule='greater'" if validated else '') + '),',
        f'    logger=dict(interval={min(50, max(1, fit.steps // 20))}))',
        *([f'# {fit.why["layout"]}'] if 'layout' in fit.why else []),
        *(['# weights are averaged over a fiftieth of the steps'] if fit.ema else []),
        *(['custom_hooks = [', *(f'    {hook},' for hook in hooks), ']'] if hooks else
          ['custom_hooks = []'])]
    if fit.tile:
        lines += ["val_cfg = dict(type='TiledValLoop', tile=tile)",
                  "test_cfg = dict(type='TiledTestLoop', tile=tile)"]
    if not validated:
        lines.append('val_dataloader = val_evaluator = val_cfg = None')
    return '\n'.join(lines) + '\n'
