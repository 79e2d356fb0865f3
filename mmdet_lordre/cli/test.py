"""``lordre test``."""
import argparse
import os
from dataclasses import replace
from pathlib import Path

from mmdet.utils import setup_cache_size_limit_of_dynamo

from ..errors import UserError
from ..evaluation import CocoMaskMetric
from ..models import open_model
from ..training.testing import Testing, demand_test_data, run_test, test_folder
from .options import Parser, add_common, add_overwrite, score, set_local_rank


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description='Test a model')
    parser.add_argument('config', help='config file, or mmdet::folder/name.py; or alone: a work '
                                       'folder, or a checkpoint of a training')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint; its classes are taken')
    add_common(parser, 'folder of the log (default: test in the work folder of the training)')
    parser.add_argument('--eval', nargs='+', metavar='METRIC',
                        help=f'what to evaluate: {", ".join(CocoMaskMetric.METRICS)} '
                             '(default: what the config says)')
    parser.add_argument('--classwise', action='store_true', help='a table of every class')
    parser.add_argument('--out', metavar='PKL', help='write the predictions to a pickle file')
    parser.add_argument('--json-out', metavar='PREFIX',
                        help='write PREFIX.segm.json and PREFIX.bbox.json in the format of '
                             'COCO results; without --eval nothing is evaluated')
    add_overwrite(parser, 'what --out, --json-out and --show-dir name')
    parser.add_argument('--show', action='store_true', help='show the results in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the results into this folder')
    parser.add_argument('--score-thr', type=score, default=0.3,
                        help='lowest score that is drawn (default: 0.3)')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds of --show an image')
    half = parser.add_mutually_exclusive_group()
    half.add_argument('--fp16', action='store_true',
                      help='mixed precision: float16 on a GPU, bfloat16 on the CPU')
    half.add_argument('--bf16', action='store_true', help='mixed precision with bfloat16')
    parser.add_argument('--ann', '--data', metavar='ANN',
                        help='annotations (or only images) to test on: a file or folder of any '
                             'format in docs/data.md; of several parts test, or else val, is taken')
    parser.add_argument('--images', metavar='DIR', help='default: found near --ann')
    parser.add_argument('--crowd-as-instances', action='store_true',
                        help='take crowd regions (iscrowd=1) as objects')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Test as the command line says; returns the figures by name."""
    args = parse_args(argv)
    if args.checkpoint and '://' not in args.checkpoint and not os.path.exists(args.checkpoint):
        raise UserError(f'no such checkpoint: {args.checkpoint}')
    testing = Testing(
        work_dir=args.work_dir or '', launcher=args.launcher, metrics=tuple(args.eval or ()),
        classwise=args.classwise, ann=args.ann, images=args.images, out=args.out,
        json_out=args.json_out, show=args.show, wait_time=args.wait_time, show_dir=args.show_dir,
        score_thr=args.score_thr, half='fp16' if args.fp16 else 'bf16' if args.bf16 else None,
        crowd_as_instances=args.crowd_as_instances, overwrite=args.overwrite)
    set_local_rank(args)
    setup_cache_size_limit_of_dynamo()
    opened = open_model(args.config, args.checkpoint, args.cfg_options)
    demand_test_data(opened.cfg, opened.config)
    if not args.work_dir:
        folder = test_folder(opened.cfg, opened.config, opened.checkpoint)
        above = next(path for path in (folder, *Path(folder).absolute().parents)
                     if os.path.exists(path))
        if not os.access(above, os.W_OK):
            raise UserError(f'the log of a test is written to {folder}, where nothing may be '
                            'written: give another folder with --work-dir')
        testing = replace(testing, work_dir=folder)
    return run_test(opened.cfg, opened.checkpoint, testing, opened.weights)
