"""``lordre benchmark``."""
import argparse
import contextlib
import copy
import itertools
import os
import platform
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from ..analysis.speed import TimedDetector, Timing, measure, peak_memory
from ..config.building import building, quiet
from ..config.checks import reads_coco
from ..config.reading import (
    dataset_files,
    input_size,
    load_config,
    split_datasets,
    type_name,
)
from ..datasets.coco_file import read_annotations
from ..errors import UserError
from ..models import build_model, stands_alone
from ..prediction.pictures import IMAGE_ENDINGS
from ..text import plural
from ..training.parts import neck_explained
from ..visualization.seen import decoded
from .options import Parser, add_cfg_options, add_device, whole_number

#: Real images that are read, and taken in turn.
_IMAGES = 20


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Latency of a model, one image at a time: network and post-processing, '
                    'without loading and evaluation')
    parser.add_argument('config', help='config file; or alone: a work folder, or a checkpoint of '
                                       'a training')
    parser.add_argument('checkpoint', nargs='?', help='of a config (default: random weights)')
    parser.add_argument('--vs', metavar='CONFIG', help='a second model, run in turn with the '
                                                       'first; the ratio is printed')
    parser.add_argument('--vs-checkpoint', metavar='CHECKPOINT',
                        help='of the second model (default: random weights)')
    half = parser.add_mutually_exclusive_group()
    half.add_argument('--fp16', action='store_true', help='mixed precision with float16')
    half.add_argument('--bf16', action='store_true', help='mixed precision with bfloat16')
    parser.add_argument('--compile', action='store_true', help='the network by torch.compile')
    parser.add_argument('--channels-last', action='store_true',
                        help='the channels of a pixel side by side in memory')
    parser.add_argument('--fuse', action='store_true',
                        help='batch norms inside the convolutions before them')
    parser.add_argument('--winograd', action='store_true',
                        help='3x3 convolutions with fewer multiplications; for float32 on a CPU, '
                             'with --compile')
    add_device(parser)
    parser.add_argument('--threads', type=whole_number(),
                        help='threads of the CPU (default: the cores)')
    parser.add_argument('--shape', type=whole_number(), nargs=2, metavar=('H', 'W'),
                        help='size of the input (default: what the test pipeline makes of each '
                             'image)')
    parser.add_argument('--repeat', type=whole_number(), default=50,
                        help='runs that count (default: 50)')
    parser.add_argument('--warmup', type=whole_number(0), default=10,
                        help='runs before (default: 10)')
    add_cfg_options(parser, '; with --vs of the first alone')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> list[Timing]:
    """Measure as the command line says; returns a ``Timing`` for each model."""
    args = parse_args(argv)
    if args.winograd and (args.fp16 or args.bf16):
        raise UserError('--winograd needs float32: its rounding errors are too large for '
                        'float16 and bfloat16')
    if args.vs_checkpoint and not args.vs:
        raise UserError(f'--vs-checkpoint {args.vs_checkpoint} is for --vs, which is not given')
    if args.threads:
        torch.set_num_threads(args.threads)
    device = args.device or get_device()
    models = [_model(args.config, args.checkpoint, device, args.cfg_options)]
    if args.vs:
        models.append(_model(args.vs, args.vs_checkpoint, device, None))
    batches, what = _batches(models[0], args.shape, device)
    if args.compile and len({images.shape for images, _ in batches}) > 1:
        raise UserError(f'--compile makes a program for one size of images, and here are several '
                        f'({what}): add --shape H W')
    dtype = torch.float16 if args.fp16 else torch.bfloat16 if args.bf16 else None
    detectors = [TimedDetector(model, dtype, args.compile, args.fuse, args.channels_last,
                               args.winograd) for model in models]
    print(f'device     {_device_name(device)}, torch {torch.__version__}')
    print(f'images     {what}')
    print(f'precision  {str(dtype or torch.float32).split(".")[1]}'
          + ''.join(f', {name}' for name, given in (
              ('compiled', args.compile), ('channels last', args.channels_last),
              ('batch norm fused', args.fuse), ('Winograd', args.winograd)) if given), flush=True)
    with contextlib.ExitStack() as necks:
        for model in models:
            necks.enter_context(neck_explained(model))
        timings = measure(detectors, batches, args.repeat, args.warmup)
    for name, model, timing in zip((args.config, args.vs), models, timings):
        _report(name, getattr(model, 'checkpoint', None), timing)
    print(f'peak memory  {peak_memory(device):.0f} MiB'
          + (' (of the process)' if torch.device(device).type == 'cpu' else ''))
    if args.vs:
        ratio = np.percentile(np.divide(timings[1].total, timings[0].total), (50, 10, 90))
        print('second / first  {:.2f} (10 % to 90 %: {:.2f} to {:.2f})'.format(*ratio))
    return timings


def _model(config, checkpoint, device, options):
    if checkpoint or stands_alone(config):
        return build_model(config, checkpoint, device, options)
    cfg = load_config(config, options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model_cfg = copy.deepcopy(cfg.model)
    if 'init_cfg' in model_cfg.get('backbone', {}):
        model_cfg.backbone.init_cfg = None
    with building(cfg, config):
        model = revert_sync_batchnorm(MODELS.build(model_cfg))
    with quiet():
        model.init_weights()
    model.cfg = cfg
    return model.to(device).eval()


def _batches(model, shape, device):
    """(images, metas) of single images, and what they are in words."""
    paths = _image_files(model.cfg)
    if not paths:
        try:
            size = tuple(shape) if shape else input_size(model.cfg)
        except ValueError as error:
            raise UserError(f'no images of the test data are there, and {error} with '
                            '--shape H W') from error
        generator = torch.Generator().manual_seed(0)
        picture = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        return [_prepared(model, picture, size, size, device)], (
            f'random noise, {size[0]} x {size[1]}: no images of the test data are there')
    pipeline = Compose([step for step in get_test_pipeline_cfg(model.cfg)
                        if 'Annotations' not in type_name(step)])
    batches = []
    for number, path in enumerate(paths):
        if shape:
            image = decoded(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise _broken(path)
            picture = torch.from_numpy(cv2.resize(image, tuple(shape)[::-1])).permute(2, 0, 1)
            batches.append(_prepared(model, picture, tuple(shape), image.shape[:2], device))
            continue
        try:
            data = pipeline(dict(img_path=str(path), img_id=number))
        except AssertionError as error:
            if 'failed to load image' not in str(error):
                raise
            raise _broken(path) from error
        batch = model.data_preprocessor(dict(inputs=[data['inputs']],
                                             data_samples=[data['data_samples']]))
        batches.append((batch['inputs'], [sample.metainfo for sample in batch['data_samples']]))
    sizes = sorted({tuple(images.shape[2:]) for images, _ in batches})
    text = ', '.join(f'{height} x {width}' for height, width in sizes[:3])
    return batches, (f'{len(paths)} of {os.path.dirname(paths[0])}, {text}'
                     + (', ...' if len(sizes) > 3 else ''))


def _broken(path):
    return UserError(f'{path} cannot be decoded: take it out of the folder, or replace it')


def _prepared(model, picture, size, original, device):
    batch = model.data_preprocessor(dict(inputs=[picture.to(device)]))['inputs']
    meta = dict(img_shape=size, ori_shape=original, batch_input_shape=tuple(batch.shape[2:]),
                pad_shape=tuple(batch.shape[2:]),
                scale_factor=(size[1] / original[1], size[0] / original[0]))
    return batch, [meta]


def _image_files(cfg):
    for dataset in split_datasets(cfg, 'test'):
        ann, folder = dataset_files(dataset)
        if not folder or not os.path.isdir(folder):
            continue
        if reads_coco(dataset) and os.path.isfile(ann):
            files = (Path(folder, str(image.get('file_name')))
                     for image in read_annotations(ann)['images'])
        else:
            files = (path for path in sorted(Path(folder).iterdir())
                     if path.suffix.lower() in IMAGE_ENDINGS)
        found = list(itertools.islice((path for path in files if path.is_file()), _IMAGES))
        if found:
            return found
    return []


def _report(name, checkpoint, timing):
    found = plural(round(np.median(timing.detections)), 'detection')
    print(f'\n{name} ({checkpoint or "random weights"}; {found} an image)')
    print(f'{"":<16} {"median":>9} {"10 %":>9} {"90 %":>9}   ms')
    for part, *values in timing.rows():
        print(f'{part:<16} ' + ' '.join(f'{value:9.1f}' for value in values))
    print(f'{"FPS":<16} {1e3 / np.median(timing.total):9.2f}', flush=True)


def _device_name(device):
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{platform.machine()}, {plural(torch.get_num_threads(), "thread")}'
