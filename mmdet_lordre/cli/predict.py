"""``lordre predict``."""
import argparse
import math
import os
import re
from typing import Any

from ..config.reading import tile_of
from ..errors import UserError
from ..launchers import LAUNCHERS
from ..models import build_model
from ..prediction.counting import Counting
from ..prediction.frames import demand_film
from ..prediction.run import predict_files
from ..prediction.settings import Settings
from ..prediction.sources import open_source
from ..prediction.tracking import Tracking
from ..prediction.writers import WRITERS
from ..text import printable
from .options import Parser, add_cfg_options, add_device, score


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description='Find the objects in pictures and write them to files')
    parser.add_argument('source', nargs='+',
                        help='pictures, folders, patterns, list files (.txt), COCO files (.json), '
                             'the address of a picture; films; or a camera: 0, 1, ..., or an '
                             'address such as rtsp://...')
    parser.add_argument('--model', required=True,
                        help='work folder of a training, checkpoint, or name of a model')
    parser.add_argument('--config', help='config file, where --model is a checkpoint that carries '
                                         'none')
    parser.add_argument('--out', metavar='DIR', default='predictions',
                        help='new or empty folder for the files (default: predictions)')
    parser.add_argument('--save', nargs='+', metavar='FORMAT',
                        help=f'any of {", ".join(WRITERS)} (default: coco, and film for a film)')
    parser.add_argument('--score-thr', type=score, default=0.3,
                        help='lowest score that is kept (default: 0.3)')
    parser.add_argument('--thresholds', metavar='JSON',
                        help='scores by class in its place: {"default": 0.3, "classes": {...}}')
    reading = parser.add_argument_group('pictures')
    reading.add_argument('--recursive', action='store_true', help='also folders in folders')
    reading.add_argument('--images', metavar='DIR', help='folder of the pictures of a COCO file')
    reading.add_argument('--batch', type=int, default=1,
                         help='pictures of one size that go through the network together '
                              '(default: 1)')
    reading.add_argument('--workers', type=int, default=2,
                         help='threads that read and write beside the network (default: 2)')
    reading.add_argument('--strict', action='store_true',
                         help='stop at a picture that cannot be read (default: name it and go on)')
    sharing = parser.add_argument_group('long runs')
    sharing.add_argument('--resume', action='store_true', help='continue a run that was stopped')
    sharing.add_argument('--shard', type=_shard, default=(1, 1), metavar='I/N',
                         help='do the I-th of N shares; the last one that is done joins them')
    sharing.add_argument('--launcher', choices=['none', *LAUNCHERS], default='none',
                         help='how several processes were started; each does a share')
    sharing.add_argument('--local_rank', '--local-rank', type=int, default=0,
                         help=argparse.SUPPRESS)
    moving = parser.add_argument_group('films and cameras')
    moving.add_argument('--every', type=int, default=1, metavar='N',
                        help='predict every N-th frame (default: 1)')
    moving.add_argument('--track', action='store_true',
                        help='give each object one identity in all frames')
    moving.add_argument('--track-lost', type=int, metavar='N',
                        help='frames that an object which is not seen is waited for '
                             f'(default: {Tracking.lost})')
    moving.add_argument('--track-low', type=float, metavar='SCORE',
                        help='lowest score of what may be an object that is known already '
                             f'(default: {Tracking.low})')
    moving.add_argument('--track-confirm', type=int, metavar='N',
                        help='frames in which an object must be seen to be one '
                             f'(default: {Tracking.confirm})')
    moving.add_argument('--track-appearance', action='store_true',
                        help='colors count for identities, too')
    moving.add_argument('--count-line', type=_numbers, action='append', default=[],
                        metavar='X1,Y1,X2,Y2',
                        help='count what goes over a line (with --track; several times)')
    moving.add_argument('--count-zone', type=_numbers, action='append', default=[],
                        metavar='X1,Y1,X2,Y2,X3,Y3,...',
                        help='count what goes into a zone and out of it (with --track)')
    tiling = parser.add_argument_group('large pictures')
    tiling.add_argument('--tile', type=_tile, metavar='PX',
                        help='cut pictures into tiles with this side; auto: the tile size '
                             'of the config, else its test size, else the middle one of its '
                             'training sizes')
    tiling.add_argument('--overlap', type=float,
                        help='share of a tile that the next one has, too (default: '
                             f'{Settings.overlap}); objects smaller than that are whole in some '
                             'tile')
    tiling.add_argument('--level', type=int, default=0,
                        help='level of a TIFF pyramid, 0 for the largest (default: 0)')
    cleaning = parser.add_argument_group('post-processing (all off unless named)')
    cleaning.add_argument('--mask-nms', type=float, metavar='IOU',
                          help='of two masks of a class with a larger IoU keep the surer one')
    cleaning.add_argument('--smooth', type=float, default=0, metavar='PX',
                          help='smooth contours within so many pixels; areas stay as they are')
    cleaning.add_argument('--fill-holes', type=int, default=0, metavar='PX',
                          help='fill holes of at most so many pixels')
    cleaning.add_argument('--one-label', action='store_true',
                          help='each pixel belongs to the surest object alone')
    cleaning.add_argument('--min-area', type=int, default=0, metavar='PX',
                          help='leave out objects, and parts of objects, of fewer pixels')
    writing = parser.add_argument_group('files')
    writing.add_argument('--simplify', type=float, default=0, metavar='PX',
                         help='polygons with fewer corners, which move by so many pixels at most')
    writing.add_argument('--mm-per-pixel', type=float,
                         help='side of a pixel, for measurements in millimeters')
    add_device(parser)
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Any:
    """Predict as the command line says; returns the :class:`Summary`."""
    args = parse_args(argv)
    if not 0 <= args.simplify < math.inf:
        raise UserError(f'--simplify must be a number of pixels from 0, not {args.simplify:g}')
    if args.mm_per_pixel is not None and not 0 < args.mm_per_pixel < math.inf:
        raise UserError(f'--mm-per-pixel must be more than 0, not {args.mm_per_pixel:g}')
    if args.images and not any(name.lower().endswith('.json') for name in args.source):
        raise UserError(f'--images {args.images} is for COCO files (.json), and none is given')
    track = _tracking(args)
    settings = Settings(**{**{name: getattr(args, name) for name in Settings.names()
                              if getattr(args, name, None) is not None}, 'track': track})
    counting = Counting(args.count_line, args.count_zone) \
        if args.count_line or args.count_zone else None
    share, device = _share(args)
    source = open_source(args.source if len(args.source) > 1 else args.source[0], args.recursive,
                         args.images, args.out)
    _keep_apart(args.source, args.out)
    save = args.save or (['coco', 'film'] if source.moving else ['coco'])
    _demand_use(args, save)
    demand_film(source, settings, counting, args.resume, share)
    files = (args.model, ) if args.config is None else (args.config, args.model)
    model = build_model(*files, device=device, options=args.cfg_options)
    if args.overlap is not None and args.tile is None and not tile_of(model.cfg):
        raise UserError('--overlap needs --tile: pictures are not cut into tiles')
    print(f'model: {printable(model.checkpoint)}')
    summary = predict_files(
        model, source, args.out, save, settings, resume=args.resume, share=share,
        strict=args.strict, simplify=args.simplify, mm_per_pixel=args.mm_per_pixel,
        counting=counting,
        quiet=share[0] > 1 and args.launcher != 'none')
    print(summary)
    if not summary.joined:
        print('files of all pictures together are written when the last share is done')
    if summary.stopped and not source.live:
        raise KeyboardInterrupt('stopped before the end of the film; what is there is whole')
    return summary


def _demand_use(args, save):
    """Refuse options that would make no difference."""
    if args.recursive and not any(map(os.path.isdir, args.source)):
        raise UserError('--recursive is for folders, and none is given')
    formats = [WRITERS[name] for name in save if name in WRITERS]
    for option, given, use in (('--simplify', args.simplify, 'draws_polygons'),
                               ('--mm-per-pixel', args.mm_per_pixel, 'measures')):
        if given and len(formats) == len(save) and not any(getattr(f, use) for f in formats):
            able = [name for name, writer in WRITERS.items() if getattr(writer, use)]
            raise UserError(f'{option} makes no difference to {", ".join(save)}: add one of '
                            f'{", ".join(able)} to --save')


def _tracking(args):
    """How to track, None without --track."""
    given = {name: value for name in ('low', 'lost', 'confirm', 'appearance')
             if (value := getattr(args, f'track_{name}')) not in (None, False)}
    if args.track:
        return Tracking(**given)
    wanted = [f'--track-{name}' for name in given] + ['--count-line'] * bool(
        args.count_line) + ['--count-zone'] * bool(args.count_zone)
    if wanted:
        raise UserError(f'{wanted[0]} needs --track')
    return None


def _numbers(text):
    try:
        return [float(value) for value in text.split(',')]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not numbers with commas, such as '
                                         '0,240,640,240') from error


def _shard(text):
    found = re.fullmatch(r'(\d+)/(\d+)', text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f'{text!r} is not I/N with 1 <= I <= N, such as 3/8')
    return int(found[1]), int(found[2])


def _tile(text):
    if text == 'auto' or text.isdigit():
        return text if text == 'auto' else int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither 'auto' nor a number of pixels")


def _share(args):
    """(number, of how many) of this process, and its device."""
    (number, count), device = args.shard, args.device
    if args.launcher == 'none':
        return (number, count), device
    names = LAUNCHERS[args.launcher]
    missing = [name for name in names if not os.environ.get(name, '').isdigit()]
    if missing:
        raise UserError(f'--launcher {args.launcher} needs {", ".join(missing)} in the '
                        'environment: start the command by torchrun, srun or mpirun')
    rank, size, local = (int(os.environ[name]) for name in names)
    if device is None:
        import torch
        if torch.cuda.is_available():
            device = f'cuda:{local % torch.cuda.device_count()}'
    return ((number - 1) * size + rank + 1, count * size), device


def _keep_apart(sources, out):
    """Refuse to write among the pictures."""
    target = os.path.realpath(out)
    for source in sources:
        if os.path.isdir(source) and os.path.realpath(source) == target:
            raise UserError(f'--out {out} is the folder of the pictures: choose another')
