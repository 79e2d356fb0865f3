"""Mixed precision where there is no GPU."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Forward pass in bfloat16 on the CPU; its range needs no loss scaling.

    mmengine's ``AmpOptimWrapper`` asks for an accelerator.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(device_type='cpu', dtype=torch.bfloat16):
            yield
