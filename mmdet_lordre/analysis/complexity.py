"""Parameters and multiply-adds of a model, counted without weights and without computing."""
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..checkpoints.verify import build_untrained
from ..config.building import building
from ..config.reading import input_size
from ..training.parts import neck_explained

#: Layers in which nothing counts and that keep the shape: on tensors without values PyTorch takes
#: longer for them than for all the rest.
_FREE = nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm, nn.LayerNorm, nn.ReLU


@dataclass(frozen=True)
class Complexity:
    """What a model costs.

    Attributes:
        size: Height and width of the padded input, in pixels.
        params: Number of parameters, frozen ones included.
        macs: Multiply-adds of backbone, neck and head on one image. This is what mmdet and fvcore
            print as FLOPs; post-processing is not in it.
    """
    size: tuple[int, int]
    params: int
    macs: int


def _as_convolution(module: nn.Module):
    """Forward of a deformable convolution that counts as what it multiplies and adds.

    The bilinear reading of its samples is left out, as everywhere.
    """
    def forward(x, *_):
        if hasattr(module, 'conv_offset'):
            module.conv_offset(x)
        return F.conv2d(x, module.weight, getattr(module, 'bias', None), module.stride,
                        module.padding, module.dilation, module.groups)
    return forward


@torch.no_grad()
def complexity(cfg: Config, size: tuple[int, int] | None = None) -> Complexity:
    """Count the parameters and the multiply-adds of a config's model.

    Args:
        cfg: A config whose model has a backbone, a neck or none, and one head.
        size: Height and width of the input; that of the config's test pipeline by default.

    Raises:
        UserError: The model cannot be built, or its parts do not fit each other.
    """
    size = size or input_size(cfg)
    with building(cfg, cfg.filename):
        model = build_untrained(cfg).to('meta')
    model.eval()
    head = model.mask_head if getattr(model, 'mask_head', None) is not None else model.bbox_head
    for module in model.modules():
        if isinstance(module, (DeformConv2d, ModulatedDeformConv2d)):
            module.forward = _as_convolution(module)
        elif type(module) in _FREE:  # what is made of them may do more
            module.forward = nn.Identity().forward
    with neck_explained(model), torch.device('meta'), FlopCounterMode(display=False) as counter:
        head(model.extract_feat(torch.empty(1, 3, *size)))
    return Complexity(size, sum(p.numel() for p in model.parameters()),
                      counter.get_total_flops() // 2)
