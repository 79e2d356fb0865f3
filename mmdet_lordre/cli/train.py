"""``lordre train``."""
import argparse
import copy
import math
import os
from contextlib import nullcontext

from mmdet.registry import MODELS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.registry import RUNNERS

from ..checkpoints.work_folder import checkpoint_of_folder
from ..config.building import not_built
from ..config.checks import check_best, check_class_counts, check_data, check_start, use_files
from ..config.classes import class_names_of
from ..config.own_data import CLEAN, CONVERTED, find_own_data, set_own_data
from ..config.pipelines import check_pipelines
from ..config.reading import load_config, type_name
from ..config.schedule import schedule_warnings
from ..config.together import check_together
from ..config.unread import unread_train_cfg, unread_variables
from ..config.values import MISSING, value_at
from ..datasets.coco_file import forget_annotations
from ..errors import UserError
from ..planning.fit import FAMILIES, SIZES
from ..planning.run import train_auto
from ..planning.warnings import judging_warnings, warnings_of
from ..reporting.after_training import report_on_training, results_prefix
from ..text import listed, plural
from ..training.distributed import from_the_first
from ..training.earlier import refuse_earlier, remove_earlier
from ..training.last_results import LastResultsHook
from ..training.live import add_backends, demand_packages
from ..training.lock import work_folder
from ..training.minutes import by_the_clock, count_again
from ..training.parts import misfit
from ..training.precision import set_mixed_precision, slow_precision
from ..training.resume import checkpoints_of
from ..training.runner import ToolRunner, device_name, work_dir_of
from .began import beginning
from .options import Parser, add_common, is_main_process, set_local_rank, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description='Train a model: that of a config, or with --auto one that is '
                                'fitted to your data')
    parser.add_argument('config', nargs='?', help='config file, or mmdet::folder/name.py')
    add_common(parser, 'folder of logs and checkpoints (default: work_dirs/CONFIG, or '
                       'work_dirs/auto with --auto)')
    parser.add_argument('--auto', action='store_true',
                        help='without a config: fit one to the data (lordre plan), train it, keep '
                             'the best and evaluate it')
    parser.add_argument('--minutes', type=float, metavar='M',
                        help='stop after this many minutes, with the learning rate schedule '
                             'completed (with --auto: planning included; default: 30 on a CPU, '
                             '120 on a GPU, with --resume those of the plan)')
    parser.add_argument('--family', nargs='+', choices=list(FAMILIES), metavar='NAME',
                        help=f'families that --auto may choose: {", ".join(FAMILIES)}')
    parser.add_argument('--size', choices=list(SIZES), help='size of the model that --auto trains')
    parser.add_argument('--pretrained', metavar='FILE',
                        help="weights that the backbone of --auto begins with, or 'none' (default: "
                             'those of ImageNet in the cache of torch, where they fit)')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has '
                             'instructions for it')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='continue a run: from this checkpoint, or from the latest one '
                             'in the work folder')
    parser.add_argument('--load-from', metavar='CHECKPOINT',
                        help='start from the weights of a checkpoint; what does not fit '
                             '(other classes) is left out and listed')
    parser.add_argument('--skip-nonfinite', type=whole_number(0), metavar='N',
                        help='leave out up to N batches whose losses are NaN or infinite '
                             '(default: stop at the first)')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the total batch size')
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace the checkpoints of an earlier training in the work folder')
    parser.add_argument('--no-report', action='store_true',
                        help='do not write WORK_DIR/report/report.html at the end')
    live = parser.add_argument_group('watching the training elsewhere (docs/report.md)')
    live.add_argument('--tensorboard', action='store_true', help='write for TensorBoard, too')
    live.add_argument('--mlflow', action='store_true', help='write for MLflow, too')
    live.add_argument('--wandb', choices=['offline', 'online'],
                      help='write for Weights & Biases, too: to send later, or at once')
    own = parser.add_argument_group('your own data (COCO, YOLO, LabelMe, ...: docs/data.md)')
    own.add_argument('--data', metavar='DATA', help='a folder, or data.yaml, with all parts: '
                                                    'train, val and test')
    own.add_argument('--train-ann', metavar='ANN', help='annotations to train on: file or folder')
    own.add_argument('--val-ann', metavar='ANN', help='annotations to evaluate on')
    own.add_argument('--train-images', metavar='DIR', help='default: found near --train-ann')
    own.add_argument('--val-images', metavar='DIR', help='default: found near --val-ann')
    own.add_argument('--skip-bad', action='store_true',
                     help='leave out annotations and images that cannot be used, instead of '
                          'stopping; what is left is written to WORK_DIR/clean')
    own.add_argument('--keep-empty-classes', action='store_true',
                     help='learn classes without any object, too, instead of leaving them out')
    own.add_argument('--crowd-as-instances', action='store_true',
                     help='take crowd regions (iscrowd=1) as objects, for tools that mark every '
                          'object as a crowd')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> ToolRunner:
    """Train as the command line says; returns the runner."""
    began = beginning()
    args = parse_args(argv)
    _check_auto(args)
    demand_packages(args.tensorboard, args.mlflow, args.wandb)
    set_local_rank(args)
    setup_cache_size_limit_of_dynamo()
    if args.auto:
        return _train_auto(args, began)
    cfg = load_config(args.config, args.cfg_options)
    check_together(cfg, f'config {args.config}', ['train'], needed='train')
    if args.minutes is not None:
        by_the_clock(cfg, args.minutes, began)
    cfg.launcher = args.launcher
    cfg.work_dir = work_dir_of(args.config, args.work_dir or cfg.get('work_dir'))
    # of several processes the first one has the folder, for all of them
    with work_folder(cfg.work_dir) if is_main_process() else nullcontext():
        if args.train_ann or args.val_ann or args.data:
            set_own_data(cfg, from_the_first(cfg, lambda: find_own_data(
                args.train_ann, args.val_ann, args.train_images, args.val_images, args.data,
                os.path.join(cfg.work_dir, CONVERTED), args.keep_empty_classes)))
        _set_options(cfg, args)
        if not cfg.get('resume'):
            from_the_first(cfg, lambda: refuse_earlier(cfg.work_dir, args.overwrite,
                                                       cfg.get('load_from')))
        use_files(cfg, from_the_first(cfg, lambda: check_data(
            cfg, ('train', 'val'), args.skip_bad, clean_to=os.path.join(cfg.work_dir, CLEAN),
            crowd_as_instances=args.crowd_as_instances)))
        if is_main_process():
            _warn(cfg, args)
        forget_annotations()
        if args.minutes is not None:
            count_again(cfg, args.minutes, began)
        return _train(cfg, args)


def _warn(cfg, args):
    """Say what cannot work; what cannot even be built is the config's doing."""
    try:
        lines = unread_train_cfg(cfg.model) + unread_variables(cfg)
        lines += schedule_warnings(cfg) + judging_warnings(cfg) + warnings_of(cfg)
        lines += filter(None, [slow_precision(cfg)])
    except (UserError, OSError):
        raise
    except Exception as error:
        raise _explained(cfg, args, error) from error
    for line in lines:
        print(f'warning: {line}')


def _explained(cfg, args, error):
    try:
        what = misfit(MODELS.build(copy.deepcopy(cfg.model)))
    except Exception as of_building:
        error, what = of_building, None
    return UserError(f'config {args.config}: {what}') if what else \
        not_built(cfg, args.config, error)


def _check_auto(args):
    if args.auto == bool(args.config):
        raise UserError('train needs either a config or --auto, which makes one'
                        if not args.auto else f'--auto makes a config: leave out {args.config}, or '
                        'leave out --auto')
    if args.minutes is not None and not 0 < args.minutes < math.inf:
        raise UserError(f'--minutes must be more than 0, not {args.minutes}')
    if not args.auto:
        if args.family or args.size or args.pretrained:
            raise UserError('--family, --size and --pretrained are for --auto, which makes a '
                            'config')
        _refuse_without_data(args)
        return
    if not (args.train_ann or args.data or args.resume):
        raise UserError('--auto needs data: --train-ann ANN, or --data DATA with all parts')
    if args.launcher != 'none':
        raise UserError('--auto plans for one process: write a config by lordre plan --out, and '
                        'train that with several')
    if args.cfg_options or args.load_from or args.auto_scale_lr or args.amp or args.overwrite:
        raise UserError('--auto takes no --cfg-options, --load-from, --auto-scale-lr, --overwrite '
                        'or --amp (which precision is faster is measured): write a config by '
                        'lordre plan --out, and train that')
    if args.resume not in (None, 'auto'):
        raise UserError('--auto --resume continues from the last checkpoint of the work folder: '
                        'leave out the checkpoint')


def _refuse_without_data(args):
    """Options of one's own data do nothing to those that a config names."""
    if args.train_ann or args.val_ann or args.data:
        return
    for option, given in (('--train-images', args.train_images), ('--val-images', args.val_images),
                          ('--keep-empty-classes', args.keep_empty_classes)):
        if given:
            raise UserError(f'{option} is for your own data: give --train-ann ANN or --data DATA, '
                            f'too, or leave out {option}')


def _train_auto(args, began):
    if args.seed is not None and args.seed < 0:
        raise UserError(f'--seed must be 0 or more, not {args.seed}')
    args.config = 'of --auto'

    def start(cfg):
        add_backends(cfg, args.tensorboard, args.mlflow, args.wandb)
        _set_nonfinite(cfg, args)
        return _train(cfg, args)

    return train_auto(
        args.train_ann, args.val_ann, data=args.data, train_images=args.train_images,
        val_images=args.val_images, minutes=args.minutes, work_dir=args.work_dir,
        families=args.family, size=args.size, pretrained=args.pretrained, seed=args.seed,
        resume=bool(args.resume), skip_bad=args.skip_bad,
        keep_empty_classes=args.keep_empty_classes,
        crowd_as_instances=args.crowd_as_instances, began=began, start=start)


def _set_options(cfg, args):
    """Put the other options of the command line into the config."""
    if args.seed is not None:
        if args.seed < 0:
            raise UserError(f'--seed must be 0 or more, not {args.seed}')
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=args.seed)
    add_backends(cfg, args.tensorboard, args.mlflow, args.wandb)
    _set_precision(cfg, args.amp)
    _set_lr_scaling(cfg, args.auto_scale_lr)
    _set_start(cfg, args)
    _set_nonfinite(cfg, args)
    check_together(cfg, f'config {args.config}')
    check_class_counts(cfg)
    check_pipelines(cfg)
    check_best(cfg)
    check_start(cfg)
    if is_main_process():
        _say_what_is_replaced(cfg, args.cfg_options or {})


def _set_nonfinite(cfg, args):
    if args.skip_nonfinite is not None:
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or []
                            if type_name(hook) != 'NonFiniteHook']
        cfg.custom_hooks += [dict(type='NonFiniteHook', max_skipped=args.skip_nonfinite)]


def _say_what_is_replaced(cfg, options):
    """Name the options that another option of the command line has put aside."""
    for key, value in options.items():
        now = value_at(cfg, key)
        if isinstance(value, dict) or now == value or (
                isinstance(value, (list, tuple)) and isinstance(now, (list, tuple))
                and list(now) == list(value)):
            continue
        print(f'warning: --cfg-options {key}={value} has no effect: the other options make it '
              + ('absent' if now is MISSING else repr(now)))


def _train(cfg, args):
    runner = None
    try:
        runner = ToolRunner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
        _say_what_begins(runner)
        if (args.train_ann or args.data) and cfg.get('val_evaluator') is None:
            runner.logger.warning('no validation data: nothing is evaluated, and in the config '
                                  'that is written the test data are the training data')
        if not args.no_report and isinstance(runner, ToolRunner):
            runner.register_hook(LastResultsHook(results_prefix(cfg.work_dir)))
        if args.overwrite and not cfg.get('resume') and is_main_process():
            remove_earlier(cfg.work_dir)
        runner.train()
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise UserError(f'writing to {cfg.work_dir} failed: {error.strerror}; free '
                            'some space there, and continue with --resume') from error
        raise
    except UserError:
        raise
    except Exception as error:
        # until everything is built, what fails is the config's doing
        if not getattr(runner, 'began', runner is not None):
            raise not_built(cfg, args.config, error) from error
        what = misfit(runner.model) if runner.iter == getattr(runner, 'first_iter', 0) else None
        if not what:
            raise
        raise UserError(f'config {args.config}: {what}') from error
    if not args.no_report and is_main_process() and isinstance(runner, ToolRunner):
        report_on_training(runner, cfg)
    runner.logger.info(f'Done. Checkpoints and log: {runner.work_dir}')
    return runner


def _set_precision(cfg, wanted):
    slow = set_mixed_precision(cfg) if wanted else None
    if slow and is_main_process():
        print(f'warning: --amp: {slow}: training in float32')


def _set_lr_scaling(cfg, wanted):
    if not wanted:
        return
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=N) in the '
                        'config: the batch size that its learning rate is meant for')
    cfg.auto_scale_lr.enable = True


def _set_start(cfg, args):
    if args.resume and args.load_from:
        raise UserError('--resume and --load-from exclude each other: continue a run, or '
                        'start a new one from weights')
    path = args.load_from or (args.resume if args.resume != 'auto' else None)
    if path and os.path.isdir(path):
        raise UserError(f'{path} is a folder: give a checkpoint in it, such as '
                        f'{checkpoint_of_folder(path)}')
    if path and '://' not in path and not os.path.isfile(path):
        raise UserError(f'no such checkpoint: {path}')
    if args.load_from:
        cfg.load_from = args.load_from
        cfg.resume = False
    elif args.resume == 'auto':
        cfg.resume = True
        cfg.load_from = None
        if not checkpoints_of(cfg.work_dir):
            cfg.resume = False
            if is_main_process():
                print(f'no checkpoint in {cfg.work_dir} yet: starting from the beginning')
    elif args.resume:
        cfg.resume = True
        cfg.load_from = args.resume
    if args.overwrite and cfg.get('resume'):
        raise UserError('--overwrite replaces an earlier training, and '
                        + ('--resume' if args.resume else
                           'resume=True (of the config or --cfg-options)')
                        + ' continues it: leave out one of them')


def _say_what_begins(runner):
    cfg = runner.cfg
    classes = class_names_of(cfg)
    parameters = sum(p.numel() for p in runner.model.parameters())
    runner.logger.info(
        f'Training {cfg.model.type} ({parameters / 1e6:.1f} M parameters'
        + (f', {plural(len(classes), "class")}: {listed(classes)}' if classes else '') + ')'
        + f' on {device_name()}, {plural(runner.world_size, "process")}')
    factors = (cfg.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    names = [f'.{name}' for name, _ in runner.model.named_parameters()]
    for key in factors if not cfg.optim_wrapper.get('constructor') else ():
        if not any(key in name for name in names):
            runner.logger.warning(f'optim_wrapper.paramwise_cfg.custom_keys: no parameter of the '
                                  f'model has {key!r} in its name, so it changes nothing')
    runner.logger.info(f'Log with everything: {runner.log_dir}/{runner.timestamp}.log')

