"""PVTv2, with linear spatial-reduction attention and the published norms."""
import torch.nn.functional as F
import torch.utils.checkpoint as checkpoint
from mmcv.cnn import Conv2d, build_norm_layer
from mmdet.models.backbones.pvt import (
    MixFFN,
    PyramidVisionTransformerV2,
    SpatialReductionAttention,
)
from mmdet.models.layers import nchw_to_nlc, nlc_to_nchw
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..registry import MODELS as OF_OUR_SCOPE

# The published networks set these two apart; mmdet has one for all.
EMBEDDING_EPS = 1e-5


class SRAttention(SpatialReductionAttention):
    """mmdet's spatial-reduction attention, without writing out the attention weights."""

    def reduce(self, x: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """What keys and values are made of: (B, h * w, C) to (B, fewer, C)."""
        if self.sr_ratio == 1:
            return x
        return self.norm(nchw_to_nlc(self.sr(nlc_to_nchw(x, hw_shape))))

    def forward(self, x: Tensor, hw_shape: tuple[int, int],
                identity: Tensor | None = None) -> Tensor:
        """(B, h * w, C) to the same shape, ``identity`` added."""
        kv = self.reduce(x, hw_shape).transpose(0, 1)
        out = self.attn(query=x.transpose(0, 1), key=kv, value=kv, need_weights=False)[0]
        out = self.proj_drop(out.transpose(0, 1))
        return (x if identity is None else identity) + self.dropout_layer(out)


class LinearSRAttention(SRAttention):
    """Spatial-reduction attention whose cost is linear in the number of pixels (PVTv2, 2022).

    Keys and values come from the map averaged to a fixed grid, a 1x1 convolution, LayerNorm and
    GELU. Parameter names are those of mmdet's attention.

    Args:
        pool_size: Side of the grid.
    """

    def __init__(self, embed_dims: int, num_heads: int, pool_size: int = 7,
                 norm_cfg: dict = dict(type='LN', eps=EMBEDDING_EPS), **kwargs):
        super().__init__(embed_dims, num_heads, norm_cfg=norm_cfg, **kwargs)
        self.pool_size = pool_size
        self.sr = Conv2d(embed_dims, embed_dims, kernel_size=1)
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1]

    def reduce(self, x: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        grid = F.adaptive_avg_pool2d(nlc_to_nchw(x, hw_shape), self.pool_size)
        return F.gelu(self.norm(nchw_to_nlc(self.sr(grid))))


class LinearMixFFN(MixFFN):
    """The feed-forward part of the linear networks: a ReLU before the depth-wise convolution."""

    def forward(self, x: Tensor, hw_shape: tuple[int, int],
                identity: Tensor | None = None) -> Tensor:
        """(B, L, C) with L = h * w to the same shape, ``identity`` added."""
        out = self.layers[0](nlc_to_nchw(x, hw_shape)).relu()
        for layer in self.layers[1:]:
            out = layer(out)
        return (x if identity is None else identity) + self.dropout_layer(nchw_to_nlc(out))


@MODELS.register_module()
class LordrePVTv2(PyramidVisionTransformerV2):
    """PVTv2 (*Improved Baselines with Pyramid Vision Transformer*, 2022) as published.

    mmdet's ``PyramidVisionTransformerV2`` with linear attention on request, the published epsilons
    (1e-5 in the norms of patch embedding and attention, 1e-6 in the others), frozen stages and
    gradient checkpointing. Parameter names are mmdet's.

    Args:
        linear: Linear attention and its feed-forward, as in B2-li; the reduction ratios are then
            not used.
        pool_size: Side of the grid of keys in linear attention.
        frozen_stages: Number of leading stages that are frozen; -1 or 0 freezes nothing.
        norm_eval: Keep the statistics of batch norms, of which PVTv2 has none; it is here so that
            configs can set it for every backbone.
        with_cp: Compute each block's activations again in the backward pass, to save memory.
        kwargs: Those of mmdet's class: ``embed_dims``, ``num_layers``, ``num_heads``,
            ``out_indices``, ``mlp_ratios``, ``drop_path_rate``, ``init_cfg``, ...

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` names a stage that is not there.
    """

    def __init__(self, linear: bool = False, pool_size: int = 7, frozen_stages: int = -1,
                 norm_eval: bool = False, with_cp: bool = False, **kwargs):
        stages = kwargs.get('num_stages', 4)
        out_indices = kwargs.get('out_indices', (0, 1, 2, 3))
        if not out_indices or not set(out_indices) <= set(range(stages)):
            raise ValueError(f'out_indices={tuple(out_indices)} must be of 0..{stages - 1}')
        if not -1 <= frozen_stages <= stages:
            raise ValueError(f'frozen_stages={frozen_stages} must be -1..{stages}')
        super().__init__(**kwargs)
        self.linear, self.with_cp = linear, with_cp
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        for patch_embed, blocks, _ in self.layers:
            patch_embed.norm.eps = EMBEDDING_EPS
            for block in blocks:
                block.attn = _attention(block.attn, linear, pool_size)
                if linear:
                    block.ffn = _linear_ffn(block.ffn)
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to one map a stage of ``out_indices``; stage i has stride 4 * 2**i.
        """
        outs = []
        for index, (patch_embed, blocks, norm) in enumerate(
                self.layers[:max(self.out_indices) + 1]):
            x, hw_shape = patch_embed(x)
            for block in blocks:
                if self.with_cp and x.requires_grad:
                    x = checkpoint.checkpoint(block, x, hw_shape, use_reentrant=False)
                else:
                    x = block(x, hw_shape)
            x = nlc_to_nchw(norm(x), hw_shape)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        for stage in self.layers[:max(self.frozen_stages, 0)]:
            stage.eval()
            stage.requires_grad_(False)


def _attention(attn: SpatialReductionAttention, linear: bool, pool_size: int) -> SRAttention:
    """Our attention in place of one that mmdet built."""
    settings = dict(qkv_bias=attn.attn.in_proj_bias is not None, attn_drop=attn.attn.dropout,
                    proj_drop=attn.proj_drop.p, norm_cfg=dict(type='LN', eps=EMBEDDING_EPS))
    if linear:
        ours = LinearSRAttention(attn.embed_dims, attn.num_heads, pool_size, **settings)
    else:
        ours = SRAttention(attn.embed_dims, attn.num_heads, sr_ratio=attn.sr_ratio, **settings)
    ours.dropout_layer = attn.dropout_layer
    return ours


def _linear_ffn(ffn: MixFFN) -> LinearMixFFN:
    """The linear feed-forward part in place of one that mmdet built."""
    ours = LinearMixFFN(ffn.embed_dims, ffn.feedforward_channels, ffn.act_cfg,
                        ffn_drop=ffn.layers[-1].p, use_conv=True)
    ours.dropout_layer = ffn.dropout_layer
    return ours


# The paper's name, under which users have classes of their own
OF_OUR_SCOPE.register_module(name='PVTv2', module=LordrePVTv2)
