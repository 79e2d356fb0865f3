"""A clear word where deformable convolution was not compiled for the device."""
import mmcv
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ..compat import has_operators
from ..errors import UserError


class MissingOpsError(UserError, RuntimeError):
    """mmcv's compiled operations lack what a model needs on its device."""


def check_deformable_ops(model: nn.Module, device: str | torch.device) -> None:
    """Fail early where mmcv has no deformable convolution for a device.

    mmcv compiles its operations for the CPU always, and for a GPU only if it found the CUDA
    compiler while it was built.

    Args:
        model: Any model.
        device: Where it is to run.

    Raises:
        MissingOpsError: The model has deformable convolutions and mmcv was compiled without CUDA.
    """
    if torch.device(device).type != 'cuda' or has_operators(device):
        return
    layer = next((name for name, module in model.named_modules()
                  if isinstance(module, (DeformConv2d, ModulatedDeformConv2d))), None)
    if layer is not None:
        raise MissingOpsError(
            f'{layer} is a deformable convolution, and mmcv {mmcv.__version__} was compiled '
            'without CUDA: install an mmcv that was built with it (MMCV_WITH_OPS=1 FORCE_CUDA=1), '
            'run on the CPU, or take a config without DCN')


@HOOKS.register_module()
class DeformableOpsHook(Hook):
    """Calls :func:`check_deformable_ops` before training, validation and testing."""

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        check_deformable_ops(runner.model, next(runner.model.parameters()).device)
