"""Testing a model on annotated pictures, by mmengine's runner."""
import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.registry import RUNNERS, init_default_scope

from ..config.building import building
from ..config.checks import check_data, reads_coco, use_files
from ..config.own_data import CLEAN, CONVERTED, choose_part, set_dataset_files
from ..config.reading import dataset_files, evaluators, split_datasets, type_name
from ..config.together import check_together
from ..datasets.coco_file import forget_annotations, read_annotations
from ..datasets.formats import open_data
from ..errors import UserError
from ..evaluation import CocoMaskMetric, DumpMaskResults
from ..evaluation.nan_outputs import NaNOutputsHook
from ..files import demand_writable, refuse_overwriting
from .distributed import from_the_first
from .precision import slow_bfloat16
from .runner import ToolRunner, work_dir_of

#: Kinds of files that metrics write under their ``outfile_prefix``.
WRITTEN = ('segm', 'bbox', 'proposal', 'gt')


@dataclass(frozen=True)
class Testing:
    """What is asked of a test.

    Attributes:
        work_dir: Folder of logs.
        launcher: How several processes were started.
        metrics: What to evaluate, of ``CocoMaskMetric.METRICS``; what the config says if empty.
        classwise: A table of every class.
        ann: Annotations (or only images) of any format to test on, in place of the config's.
        images: Folder of their images, sought near them if not given.
        out: Pickle file for the predictions.
        json_out: Prefix of files in the format of COCO results.
        show: Show the results in a window, ``wait_time`` seconds each.
        show_dir: Draw the results into this folder.
        score_thr: Lowest score that is drawn.
        half: 'fp16' or 'bf16' for mixed precision.
        crowd_as_instances: Take crowd regions as objects.
        overwrite: Replace earlier results that ``out``, ``json_out`` and ``show_dir`` name.
    """
    work_dir: str
    launcher: str = 'none'
    metrics: Sequence[str] = ()
    classwise: bool = False
    ann: str | None = None
    images: str | None = None
    out: str | None = None
    json_out: str | None = None
    show: bool = False
    wait_time: float = 2
    show_dir: str | None = None
    score_thr: float = 0.3
    half: str | None = None
    crowd_as_instances: bool = False
    overwrite: bool = False

    def __post_init__(self):
        for name in self.metrics:
            if name not in CocoMaskMetric.METRICS:
                raise UserError(f'--eval: unknown metric {name!r}; choose from '
                                f'{", ".join(CocoMaskMetric.METRICS)}')
        if self.images and not self.ann:
            raise UserError(f'--images {self.images} is for --ann, which is not given')
        if self.out and not self.out.endswith(('.pkl', '.pickle')):
            raise UserError(f'--out: the file must end in .pkl or .pickle: {self.out}')
        if self.json_out and not os.path.basename(self.json_out):
            raise UserError(f'--json-out: {self.json_out} is a folder: give the beginning of file '
                            f'names, such as {self.json_out}results')

    @property
    def prefix(self) -> str | None:
        """``json_out`` without ending."""
        return self.json_out.removesuffix('.json') if self.json_out else None


def demand_test_data(cfg: Config, name: str) -> None:
    """Refuse a config that cannot be tested with.

    Raises:
        UserError: Naming what is missing.
    """
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise UserError(f'config {name} has no test_dataloader and test_evaluator: '
                        'nothing to test on')
    check_together(cfg, f'config {name}')


def test_folder(cfg: Config, config: str, checkpoint: str) -> str:
    """Where a test writes its log: ``test`` in the work folder of the config or checkpoint.

    Args:
        cfg: May name its ``work_dir``.
        config: Path of the config, or other words where the checkpoint carries it.
        checkpoint: Path of the checkpoint.
    """
    folder = work_dir_of(config, cfg.get('work_dir')) if os.path.isfile(config) or '::' in config \
        else os.path.dirname(checkpoint)
    return os.path.join(folder, 'test')


def run_test(cfg: Config, checkpoint: str, testing: Testing,
             weights: dict | None = None) -> dict[str, float]:
    """Test a checkpoint.

    Args:
        cfg: With the classes of the checkpoint; changed.
        checkpoint: Its path.
        testing: How.
        weights: What the checkpoint holds, where it was read already.

    Returns:
        The figures by name.

    Raises:
        UserError: Data, metrics or checkpoint do not fit, or results are there already.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    cfg.launcher = testing.launcher
    # a folder of its own: mmengine writes the config there, and training's must stay
    cfg.work_dir = testing.work_dir
    if testing.ann:
        set_dataset_files(cfg, 'test', *from_the_first(cfg, lambda: _own_data(cfg, testing)))
    cfg.load_from, cfg.resume = checkpoint, False
    if testing.half:
        cfg.test_cfg.fp16 = True
        if get_device() == 'cpu' and is_main_process() and (slow := slow_bfloat16()):
            print(f'warning: half precision: {slow}')
    _set_metrics(cfg, testing)
    from_the_first(cfg, lambda: _refuse_overwriting(cfg, checkpoint, testing))
    use_files(cfg, from_the_first(cfg, lambda: check_data(
        cfg, ('test',), skip_bad=True, skip_images=False,
        clean_to=os.path.join(cfg.work_dir, CLEAN),
        crowd_as_instances=testing.crowd_as_instances)))
    _set_pictures(cfg, testing)
    forget_annotations()
    with building(cfg, cfg.filename or f'of {checkpoint}'):
        runner = ToolRunner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    if weights is not None:
        runner._read = checkpoint, weights
    runner.register_hook(NaNOutputsHook())
    if testing.out:
        runner.test_evaluator.metrics.append(DumpMaskResults(out_file_path=testing.out))
    try:
        with _half(testing.half):
            figures = runner.test()
        if testing.show_dir and is_main_process():
            runner.logger.info(f'Pictures: {os.path.abspath(testing.show_dir)}')
        return figures
    finally:
        if isinstance(runner, ToolRunner):
            runner.release()


@contextmanager
def _half(name):
    """What half precision is: mmengine takes torch's default on a GPU, and knows bfloat16 alone
    on a CPU."""
    before = torch.get_autocast_dtype('cuda')
    if name:
        torch.set_autocast_dtype('cuda', torch.bfloat16 if name == 'bf16' else torch.float16)
    try:
        yield
    finally:
        torch.set_autocast_dtype('cuda', before)


def _own_data(cfg, testing):
    """(annotation file, folder of its images) of what is tested on."""
    part = choose_part(open_data(testing.ann, testing.images), ('test', 'val'), testing.ann)
    if part.line():
        print(part.line())
    return part.save(os.path.join(cfg.work_dir, CONVERTED)), part.folder


def _set_metrics(cfg, testing):
    found = evaluators(cfg, 'test')
    coco = [metric for metric in found if 'Coco' in type_name(metric)]
    if (testing.metrics or testing.prefix) and not coco:
        raise UserError(f'--eval and --json-out need a COCO metric in test_evaluator; the '
                        f'config has {", ".join(str(m.get("type")) for m in found)}')
    annotated = _has_annotations(cfg)
    format_only = not annotated or bool(testing.prefix and not testing.metrics)
    if format_only:
        cfg.test_evaluator = coco  # nothing is evaluated: other metrics have no part in it
    if not annotated and testing.metrics:
        raise UserError('--eval: the annotation file of the test data has no annotations; '
                        'write the results with --json-out PREFIX instead')
    for number, metric in enumerate(coco):
        if type_name(metric) == 'CocoMetric':  # does not know results without boxes
            metric['type'] = 'CocoMaskMetric'
        if testing.metrics:
            metric['metric'] = list(testing.metrics)
        if testing.classwise:
            metric['classwise'] = True
        if testing.prefix:
            metric['outfile_prefix'] = testing.prefix + (f'_{number + 1}' if number else '')
        metric['format_only'] = format_only
        if format_only and not metric.get('outfile_prefix'):
            if not (testing.out or testing.show or testing.show_dir):
                raise UserError('the test data have no annotations: say where the results go '
                                'with --json-out PREFIX, --out FILE.pkl or --show-dir DIR')
            metric['outfile_prefix'] = _free_prefix(cfg.work_dir)


def _free_prefix(folder):
    """Of results that nobody asked for, beside those of earlier tests."""
    prefixes = (os.path.join(folder, f'results_{number}' if number else 'results')
                for number in count())
    return next(prefix for prefix in prefixes
                if not any(os.path.exists(f'{prefix}.{kind}.json') for kind in WRITTEN))


def _refuse_overwriting(cfg, checkpoint, testing):
    """Before the test, not after it; pictures are looked at when their names are known."""
    targets = [testing.out] if testing.out else []
    for metric in evaluators(cfg, 'test'):
        if metric.get('outfile_prefix'):
            targets += [f'{metric["outfile_prefix"]}.{kind}.json' for kind in WRITTEN]
    sources = [checkpoint, cfg.filename]
    for dataset in split_datasets(cfg, 'test'):
        sources.append(dataset_files(dataset)[0])
    refuse_overwriting(targets, testing.overwrite, sources)
    demand_writable(targets + ([os.path.join(testing.show_dir, 'x')] if testing.show_dir else []))


def _has_annotations(cfg):
    for dataset in split_datasets(cfg, 'test'):
        ann_file, _ = dataset_files(dataset)
        if reads_coco(dataset) and os.path.isfile(ann_file):
            return bool('annotations' in read_annotations(ann_file))
    return True


def _set_pictures(cfg, testing):
    if not (testing.show or testing.show_dir):
        return
    hooks = cfg.get('default_hooks') or cfg.setdefault('default_hooks', {})
    hooks['visualization'] = dict(
        type='PicturesHook', draw=True, score_thr=testing.score_thr, show=testing.show,
        wait_time=testing.wait_time, overwrite=testing.overwrite,
        # relative to the work folder otherwise, and once more for every image
        test_out_dir=os.path.abspath(testing.show_dir) if testing.show_dir else None)
