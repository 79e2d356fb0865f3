"""A hook for configs of tests: from some iteration on the network computes NaN."""
import math
import os

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn


@HOOKS.register_module()
class PoisonHook(Hook):
    """Makes the first convolution's output NaN in some iterations.

    Args:
        iterations: counted from 1.
        rank: the process that computes NaN.
        where: 'forward' for the output, 'backward' for its gradient alone.
    """

    def __init__(self, iterations, rank=0, where='forward'):
        self.iterations, self.rank, self.where = iterations, rank, where
        self.handle = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if runner.iter + 1 in self.iterations and get_rank() == self.rank:
            def poison(module, inputs, output):
                if self.where == 'forward':
                    return output * math.nan
                output.register_hook(lambda gradient: gradient * math.inf)
            first = next(m for m in model.backbone.modules() if isinstance(m, nn.Conv2d))
            self.handle = first.register_forward_hook(poison)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.handle is not None:
            self.handle.remove()


@HOOKS.register_module()
class DeathHook(Hook):
    """Ends a process with status 7 before an iteration, counted from 1."""

    def __init__(self, iteration, rank=0):
        self.iteration, self.rank = iteration, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration and get_rank() == self.rank:
            os._exit(7)


@HOOKS.register_module()
class ScoreHook(Hook):
    """Adds a figure to validation that any change of the weights changes: ``drift``."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        first = next(m for m in model.backbone.modules() if isinstance(m, nn.Conv2d))
        metrics['drift'] = math.sin(1e5 * float(first.weight.double().sum()))
