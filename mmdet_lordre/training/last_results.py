"""The predictions of the last validation, kept in a file: what a report is made from."""
import os
from contextlib import suppress

from mmdet.evaluation import CocoMetric
from mmengine.dist import is_main_process
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import Runner


class LastResultsHook(Hook):
    """Lets the COCO metric of the validation write its detections when nothing is left to train.

    Where training may stop early, every validation writes them over those before.

    Args:
        prefix: Of the files: ``PREFIX.segm.json``.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._metric = None

    def before_train(self, runner: Runner) -> None:
        """Those of an earlier training in the same folder are none of this one."""
        if is_main_process() and runner.iter < runner.max_iters:
            with suppress(OSError):
                os.remove(f'{self.prefix}.segm.json')

    def before_val_epoch(self, runner: Runner) -> None:
        """Ask for the file."""
        early = any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks)
        if not early and runner.iter < runner.max_iters:
            return
        evaluator = runner.val_loop.evaluator
        metric = next((m for m in evaluator.metrics if isinstance(m, CocoMetric)), None)
        if metric is not None and metric.outfile_prefix is None:
            metric.outfile_prefix, metric.written = self.prefix, ('segm',)
            self._metric = metric

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Later validations write nothing."""
        if self._metric is not None:
            self._metric.outfile_prefix = None
            del self._metric.written
            self._metric = None
        with suppress(OSError):  # mmdet's own metric writes boxes, too
            os.remove(f'{self.prefix}.bbox.json')
