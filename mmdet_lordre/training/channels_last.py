"""Convolutions that keep the channels of a pixel together."""
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train with weights in channels-last order; activations follow them.

    Convolution is faster in that order, on CPUs and on GPUs in half precision. Results are equal
    up to rounding, and checkpoints are as usual.
    """

    def before_train(self, runner: Runner) -> None:
        runner.model.to(memory_format=torch.channels_last)
