"""The branch that makes the features which dynamic kernels turn into masks."""
from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..grid.heads import check_groups
from ..grid.norm_relu import run_layer
from ..grid.pointwise import run_pointwise
from .layers import CONV_INIT, append_coordinates, conv_norm_relu, reset_offsets, resize


@MODELS.register_module()
class SOLOv2FeatureBranch(BaseModule):
    """Mask features of `SOLOv2 <https://arxiv.org/abs/2003.10152>`_.

    Level 0 of the pyramid passes one convolution, level ``i > 0`` passes ``i`` of them, each
    followed by a doubling to the size of the level below; the last level is given coordinates
    first. The sum passes a 1x1 convolution. Parameter names are those of mmdet's
    ``MaskFeatModule``.

    Args:
        in_channels: Channels of the pyramid.
        feat_channels: Width of the branch.
        out_channels: Channels of the mask features.
        start_level: First level of the pyramid used.
        end_level: Last level used, included.
        mask_stride: Stride of the mask features in pixels of the network input: that of the
            pyramid's level 0.
        conv_cfg: Config of the convolutions, such as ``dict(type='DCNv2')``.
        norm_cfg: Config of the normalization.
        init_cfg: Initialization; N(0, 0.01) by default.

    Raises:
        ValueError: If the levels are not in order.
    """

    def __init__(self, in_channels: int, feat_channels: int, out_channels: int,
                 start_level: int = 0, end_level: int = 3, mask_stride: int = 4,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict | None = dict(type='GN', num_groups=32, requires_grad=True),
                 init_cfg: dict | list | None = CONV_INIT):
        super().__init__(init_cfg=init_cfg)
        if not 0 <= start_level <= end_level:
            raise ValueError(f'start_level {start_level} and end_level {end_level} must be levels '
                             'of the pyramid in order')
        check_groups(norm_cfg, feat_channels=feat_channels, out_channels=out_channels)
        self.in_channels = in_channels
        self.feat_channels = feat_channels
        self.out_channels = out_channels
        self.start_level = start_level
        self.end_level = end_level
        self.mask_stride = mask_stride
        self.convs_all_levels = nn.ModuleList()
        for level in range(start_level, end_level + 1):
            convs = nn.Sequential()
            with_coordinates = self._with_coordinates(level)
            for j in range(max(1, level)):
                channels = feat_channels if j else in_channels + 2 * with_coordinates
                convs.add_module(f'conv{j}',
                                 conv_norm_relu(channels, feat_channels, norm_cfg, conv_cfg))
            self.convs_all_levels.append(convs)
        self.conv_pred = conv_norm_relu(feat_channels, out_channels, norm_cfg, conv_cfg, kernel=1)

    def _with_coordinates(self, level: int) -> bool:
        return level == self.end_level and level > self.start_level

    def init_weights(self) -> None:
        """Initialize; deformable convolutions start as plain ones."""
        super().init_weights()
        reset_offsets(self)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Make the mask features.

        Args:
            x: Pyramid levels (B, in_channels, h, w) from level 0 on.

        Returns:
            Tensor (B, out_channels, h, w) of level 0's size.
        """
        total = None
        for level, convs in zip(range(self.start_level, self.end_level + 1),
                                self.convs_all_levels, strict=True):
            feature = x[level]
            if self._with_coordinates(level):
                feature = append_coordinates(feature)
            for j, conv in enumerate(convs):
                feature, _ = run_layer(conv, feature)
                if level:
                    # twice the size, or a pixel less where the sizes round up
                    feature = resize(feature, x[level - 1 - j].shape[-2:])
            total = feature if total is None else total + feature
        out = run_pointwise(self.conv_pred, total)
        return run_layer(self.conv_pred, total)[0] if out is None else out
