"""DarkNet-53 and CSPDarkNet-53 in the layout of timm, which the published Lordre files use."""
from collections.abc import Callable, Sequence

import torch
import torch.utils.checkpoint as checkpoint
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

WIDTHS = (64, 128, 256, 512, 1024)
DEPTHS = (1, 2, 8, 8, 4)


class DarkBlock(nn.Module):
    """A 1x1 and a 3x3 convolution beside a shortcut; nothing follows the sum.

    Args:
        channels: Channels of the input and of the result.
        hidden: Channels between the two convolutions.
        layer: What builds a convolution with norm and activation.
    """

    def __init__(self, channels: int, hidden: int, layer: Callable[..., nn.Module]):
        super().__init__()
        self.conv1 = layer(channels, hidden, 1)
        self.conv2 = layer(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class DarkStage(nn.Module):
    """A stage of DarkNet-53: a convolution of stride 2, then residual blocks."""

    def __init__(self, in_channels: int, channels: int, depth: int,
                 layer: Callable[..., nn.Module]):
        super().__init__()
        self.conv_down = layer(in_channels, channels, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(
            *(DarkBlock(channels, channels // 2, layer) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.conv_down(x))


class CSPStage(nn.Module):
    """A cross-stage-partial stage (CSPNet, CVPRW 2020): the blocks see half of the channels.

    The first stage keeps the width in each half and halves it inside the blocks; the others halve
    it in each half and keep it inside the blocks.
    """

    def __init__(self, in_channels: int, channels: int, depth: int, layer: Callable[..., nn.Module],
                 first: bool):
        super().__init__()
        half = channels if first else channels // 2
        hidden = half // 2 if first else half
        self.conv_down = layer(in_channels, channels, 3, stride=2, padding=1)
        self.conv_exp = layer(channels, 2 * half, 1)
        self.blocks = nn.Sequential(*(DarkBlock(half, hidden, layer) for _ in range(depth)))
        self.conv_transition_b = layer(half, half, 1)
        self.conv_transition = layer(2 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, x = self.conv_exp(self.conv_down(x)).chunk(2, dim=1)
        x = self.conv_transition_b(self.blocks(x))
        return self.conv_transition(torch.cat([kept, x], dim=1))


@MODELS.register_module()
class TimmDarknet(BaseModule):
    """DarkNet-53 (YOLOv3, 2018) or CSPDarkNet-53 (YOLOv4, 2020).

    mmdet's ``Darknet`` and ``CSPDarknet`` are other networks: these have the parameter names of
    timm's ``darknet53`` and ``cspdarknet53``, whose ImageNet files load unchanged.

    Args:
        csp: CSPDarkNet-53 rather than DarkNet-53.
        out_indices: Stages to return; stage i has stride 2 ** (i + 1).
        frozen_stages: The stem and the stages below this number are frozen; 0 freezes the stem
            alone, -1 nothing.
        norm_eval: Keep the statistics of the norms.
        with_cp: Compute each stage's activations again in the backward pass, to save memory.
        norm_cfg, act_cfg: Norm and activation after each convolution.
        widths, depths: Channels and blocks of each stage.
        init_cfg: Initialization; by default normal with the fan-out of each convolution, and zero
            for the last norm of each block.

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` names a stage that is not there.
    """

    def __init__(self, csp: bool = False, in_channels: int = 3,
                 out_indices: Sequence[int] = (2, 3, 4), frozen_stages: int = -1,
                 norm_eval: bool = False, with_cp: bool = False,
                 norm_cfg: dict = dict(type='BN', requires_grad=True),
                 act_cfg: dict = dict(type='LeakyReLU', negative_slope=0.01, inplace=True),
                 widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS,
                 init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg)
        if not out_indices or not set(out_indices) <= set(range(len(widths))):
            raise ValueError(f'out_indices={tuple(out_indices)} must be of 0..{len(widths) - 1}')
        if not -1 <= frozen_stages <= len(widths):
            raise ValueError(f'frozen_stages={frozen_stages} must be -1..{len(widths)}')
        self.out_indices, self.frozen_stages = tuple(out_indices), frozen_stages
        self.norm_eval, self.with_cp = norm_eval, with_cp
        self.out_channels = tuple(widths[i] for i in out_indices)

        def layer(inputs, outputs, kernel, **kwargs):
            return ConvModule(inputs, outputs, kernel, norm_cfg=norm_cfg, act_cfg=act_cfg,
                              **kwargs)

        self.stem = nn.Sequential()
        self.stem.add_module('conv1', layer(in_channels, 32, 3, padding=1))
        stages, before = [], 32
        for index, (width, depth) in enumerate(zip(widths, depths)):
            stages.append(CSPStage(before, width, depth, layer, first=index == 0) if csp
                          else DarkStage(before, width, depth, layer))
            before = width
        self.stages = nn.Sequential(*stages)
        self._freeze()

    def init_weights(self) -> None:
        if self.init_cfg is None:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                elif isinstance(module, _BatchNorm):
                    nn.init.ones_(module.weight)
                    nn.init.zeros_(module.bias)
            for module in self.modules():
                if isinstance(module, DarkBlock):
                    nn.init.zeros_(module.conv2.norm.weight)
        else:
            super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (B, in_channels, H, W) to one map a stage of ``out_indices``."""
        outs = []
        x = self.stem(x)
        for index, stage in enumerate(self.stages[:max(self.out_indices) + 1]):
            if self.with_cp and x.requires_grad:
                x = checkpoint.checkpoint(stage, x, use_reentrant=False)
            else:
                x = stage(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in [self.stem, *self.stages[:self.frozen_stages]]:
            module.eval()
            module.requires_grad_(False)
