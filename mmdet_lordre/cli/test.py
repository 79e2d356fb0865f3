"""``lordre test``."""
import os

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.registry import RUNNERS, init_default_scope

from ..config.checks import check_data, reads_coco, use_files
from ..config.classes import use_checkpoint_classes
from ..config.own_data import set_dataset_files
from ..config.reading import dataset_files, evaluators, load_config, split_datasets
from ..datasets.coco_file import find_images, forget_annotations, read_annotations
from ..errors import UserError
from ..evaluation import CocoMaskMetric, DumpMaskResults
from ..training.distributed import from_the_first
from ..training.runner import ToolRunner, work_dir_of
from .options import Parser, add_common, is_main_process, set_local_rank


def parse_args(argv=None):
    parser = Parser(description='Test a model')
    parser.add_argument('config', help='config file, or mmdet::folder/name.py')
    parser.add_argument('checkpoint', help='checkpoint; its classes are taken')
    add_common(parser)
    parser.add_argument('--eval', nargs='+', metavar='METRIC',
                        help=f'what to evaluate: {", ".join(CocoMaskMetric.METRICS)} '
                             '(default: what the config says)')
    parser.add_argument('--classwise', action='store_true', help='a table of every class')
    parser.add_argument('--out', metavar='PKL', help='write the predictions to a pickle file')
    parser.add_argument('--json-out', metavar='PREFIX',
                        help='write PREFIX.segm.json and PREFIX.bbox.json in the format of '
                             'COCO results; without --eval nothing is evaluated')
    parser.add_argument('--show', action='store_true', help='show the results in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the results into this folder')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='lowest score that is drawn (default: 0.3)')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds of --show an image')
    half = parser.add_mutually_exclusive_group()
    half.add_argument('--fp16', action='store_true',
                      help='mixed precision: float16 on a GPU, bfloat16 on the CPU')
    half.add_argument('--bf16', action='store_true', help='mixed precision with bfloat16')
    parser.add_argument('--ann', metavar='JSON', help='annotations (or only images) to test on')
    parser.add_argument('--images', metavar='DIR', help='default: found near --ann')
    return parser.parse_args(argv)


def main(argv=None):
    """Test as the command line says; returns the figures by name."""
    args = parse_args(argv)
    _check_args(args)
    set_local_rank(args)
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    cfg.launcher = args.launcher
    # a folder of its own: mmengine writes the config there, and training's must stay
    cfg.work_dir = args.work_dir or os.path.join(
        work_dir_of(args.config, cfg.get('work_dir')), 'test')
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise UserError(f'config {args.config} has no test_dataloader and test_evaluator: '
                        'nothing to test on')
    if args.ann:
        images = find_images(read_annotations(args.ann), args.ann, args.images)
        set_dataset_files(cfg, 'test', args.ann, images)
    cfg.load_from, cfg.resume = args.checkpoint, False
    use_checkpoint_classes(cfg, args.checkpoint)
    if args.fp16 or args.bf16:
        cfg.test_cfg.fp16 = True
        # mmengine takes torch's default on a GPU, and knows bfloat16 alone on a CPU
        torch.set_autocast_dtype('cuda', torch.bfloat16 if args.bf16 else torch.float16)
    _set_metrics(cfg, args)
    use_files(cfg, from_the_first(cfg, lambda: check_data(
        cfg, ('test',), skip_bad=True, skip_images=False,
        clean_to=os.path.join(cfg.work_dir, 'clean'))))
    _set_pictures(cfg, args)
    forget_annotations()
    runner = ToolRunner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    if args.out:
        runner.test_evaluator.metrics.append(DumpMaskResults(out_file_path=args.out))
    figures = runner.test()
    if args.show_dir and is_main_process():
        runner.logger.info(f'Pictures: {os.path.abspath(args.show_dir)}')
    return figures


def _check_args(args):
    for name in args.eval or ():
        if name not in CocoMaskMetric.METRICS:
            raise UserError(f'--eval: unknown metric {name!r}; choose from '
                            f'{", ".join(CocoMaskMetric.METRICS)}')
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out: the file must end in .pkl or .pickle: {args.out}')
    if '://' not in args.checkpoint and not os.path.isfile(args.checkpoint):
        raise UserError(f'no such checkpoint: {args.checkpoint}')
    if args.json_out and args.json_out.endswith('.json'):
        args.json_out = args.json_out[:-len('.json')]


def _set_metrics(cfg, args):
    found = evaluators(cfg, 'test')
    coco = [metric for metric in found if 'Coco' in str(metric.get('type', ''))]
    if (args.eval or args.json_out) and not coco:
        raise UserError(f'--eval and --json-out need a COCO metric in test_evaluator; the '
                        f'config has {", ".join(str(m.get("type")) for m in found)}')
    annotated = _has_annotations(cfg)
    if not annotated or (args.json_out and not args.eval):
        cfg.test_evaluator = coco  # nothing is evaluated: other metrics have no part in it
    if not annotated and args.eval:
        raise UserError('--eval: the annotation file of the test data has no annotations; '
                        'write the results with --json-out PREFIX instead')
    for number, metric in enumerate(coco):
        if metric['type'] == 'CocoMetric':  # does not know results without boxes
            metric['type'] = 'CocoMaskMetric'
        if args.eval:
            metric['metric'] = list(args.eval)
        if args.classwise:
            metric['classwise'] = True
        if args.json_out:
            metric['outfile_prefix'] = args.json_out + (f'_{number + 1}' if number else '')
        metric['format_only'] = not annotated or bool(args.json_out and not args.eval)
        if metric['format_only'] and not metric.get('outfile_prefix'):
            if not (args.out or args.show or args.show_dir):
                raise UserError('the test data have no annotations: say where the results go '
                                'with --json-out PREFIX, --out FILE.pkl or --show-dir DIR')
            metric['outfile_prefix'] = os.path.join(cfg.work_dir, 'results')


def _has_annotations(cfg):
    for dataset in split_datasets(cfg, 'test'):
        ann_file, _ = dataset_files(dataset)
        if reads_coco(dataset) and os.path.isfile(ann_file):
            return bool('annotations' in read_annotations(ann_file))
    return True


def _set_pictures(cfg, args):
    if not (args.show or args.show_dir):
        return
    hooks = cfg.get('default_hooks') or cfg.setdefault('default_hooks', {})
    hooks['visualization'] = dict(
        type='DetVisualizationHook', draw=True, score_thr=args.score_thr, show=args.show,
        wait_time=args.wait_time,
        # relative to the work folder otherwise, and once more for every image
        test_out_dir=os.path.abspath(args.show_dir) if args.show_dir else None)
