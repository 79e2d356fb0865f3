"""AggMask and AggMask* from image to instances as one graph."""
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...aggmask.context import resize_corners
from ...aggmask.windows import positions
from ...grid.windows import cell_kernels
from .graph import masks_of, occupied, shifts, take
from .grid import cell_scores, cell_strides, full_size, select


class AggMaskInstances(nn.Module):
    """What ``BaseAggMaskHead.predict_by_feat`` does, for a batch and at the size of the input.

    Every cell predicts convolutions of its own. ONNX wants the number of groups of a convolution
    beforehand, so these are sums of products over the nine places of a kernel instead.

    Args:
        head: An ``AggMaskHead`` or ``AggMaskStarHead``.
        binary: Masks as uint8 of 0 and 1, else as probabilities.
    """

    names = ('scores', 'labels', 'masks')

    def __init__(self, head: nn.Module, binary: bool = True):
        super().__init__()
        self.head, self.binary = head, binary
        levels = range(len(head.strides))
        maps = (('mask_features', ) if self._shared else
                tuple(f'mask_features_{i}' for i in levels))
        self.raw_names = (*(f'class_logits_{i}' for i in levels), *maps, 'kernels',
                          'weight_features', *(['context'] if head.context_channels else []))

    @property
    def _shared(self) -> bool:
        """Whether all levels have one mask size."""
        return hasattr(self.head, 'solo_kernel')

    def forward(self, outputs: tuple, size: tuple) -> tuple[Tensor, ...]:
        """From the outputs of the head, in float32, to instances.

        Args:
            outputs: Class logits by level, mask features, kernels, weight features, context.
            size: (height, width) of the input.

        Returns:
            Scores (B, n), labels (B, n) and masks (B, n, height, width), by falling score.
        """
        logits, mask_feats, kernels, table, context = outputs
        head, cfg = self.head, self.head.test_cfg
        scores = cell_scores(logits)
        flags = (scores > cfg.score_thr).any(dim=2)
        if kernels.dim() == 2:
            # AggMask's kernels are parameters
            kernels = kernels.expand(table.shape[0], -1, -1)
        starts = head.tables.class_starts
        factor = 1 if self._shared else 2
        finest = [side * factor for side in mask_feats[0].shape[-2:]]
        spans = [(0, starts[-1])] if self._shared else list(pairwise(starts))
        parts = []
        for (start, stop), features in zip(spans, mask_feats, strict=True):
            cells, held = occupied(flags[:, start:stop])
            cells = cells + start
            size_here = [side * factor for side in features.shape[-2:]]
            shared = None if context is None else resize_corners(context, size_here)
            probs = self._fused(features, kernels, table, shared, cells, size_here).sigmoid()
            if start:
                probs = F.interpolate(probs, size=finest, mode='bilinear', align_corners=False)
            parts.append((probs, cells, held))
        probs, cells, held = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        strides = cell_strides(head.num_grids, head.strides, scores.device)
        # no eps: a mask that counts has an area
        values, labels, rows = select(probs, scores, cells, held, strides, cfg, 1e-12)
        maps = full_size(take(probs, rows), head.mask_stride, size)
        return values, labels, masks_of(maps, cfg.mask_thr, self.binary)

    def _fused(self, features, kernels, table, context, cells, size) -> Tensor:
        """Mask logits (B, n, H, W) of class cells (B, n)."""
        head = self.head
        batch, count = cells.shape
        # (B, n, C, k * k), in the order of a convolution's weights
        places = head.tables.patches[cells].flatten(1)
        patches = take(table.transpose(1, 2), places).unflatten(1, (count, -1))
        patches = patches.transpose(2, 3).flatten(2)
        weights = _linear(head.learned_weights, patches)
        if head.weight_activation == 'tanh':
            weights = weights.tanh()
        layers = head.fusion.split(weights.flatten(0, 1))
        if head.deformable:
            offsets = _linear(head.neighbor_offsets, patches).unflatten(2, (-1, 2))
            x = self._sampled(features, kernels, cells, offsets, size)
        else:
            x = self._neighbors(features, kernels, cells, size)
        for k, (weight, bias) in enumerate(layers):
            own = weight if k else weight[:, :, :head.fusion.neighbors]
            total = bias[:, :, None] + (_conv(own, torch.relu(x) if k else x)
                                        if own.shape[2] else 0)
            if k == 0 and context is not None:
                shared = weight[:, :, head.fusion.neighbors:].unflatten(0, (batch, count))
                total = total + _conv(shared.flatten(1, 2), context).reshape(*total.shape)
            x = total.unflatten(2, tuple(size))
        x = x.reshape(batch, count, *size)
        if head.foreground:
            x = x + head.foreground_maps(context)[:, None]
        if head.windows:
            windows = cell_kernels(_linear(head.conv_window, patches),
                                   *head.tables.places_of(cells), size)
            x = x + (windows @ positions(size, x).flatten(1)).unflatten(2, tuple(size))
        return x

    def _neighbors(self, features, kernels, cells, size) -> Tensor:
        """Maps (B * n, k, H, W) of the neighbors of class cells (B, n)."""
        wanted = self.head.tables.neighbors[cells].flatten(1)
        # a map that several cells look at is made once
        flags = torch.zeros_like(kernels[..., 0]).scatter(
            1, wanted, torch.ones_like(wanted, dtype=kernels.dtype)) > 0
        needed, _ = occupied(flags)
        place = flags.long().cumsum(dim=1) - 1
        maps = self._maps(features, take(kernels, needed), size)
        maps = take(maps, place.gather(1, wanted))
        return maps.reshape(-1, self.head.tables.num_neighbors, *size)

    def _sampled(self, features, kernels, cells, offsets, size) -> Tensor:
        """Maps (B * n, k, H, W) at offsets (B, n, k, 2) from the neighbors."""
        batch, count = cells.shape
        tables, per_image = self.head.tables, kernels.shape[1]
        first = torch.arange(batch, device=cells.device)[:, None] * per_image
        sampled = tables.sample_kernels(kernels.flatten(0, 1), cells.flatten(),
                                        offsets.flatten(0, 1), first.expand_as(cells).flatten())
        sampled = sampled.unflatten(0, (batch, count)).flatten(1, 2)
        return self._maps(features, sampled, size).reshape(-1, tables.num_neighbors, *size)

    def _maps(self, features, kernels, size) -> Tensor:
        """Maps (B, m, H, W) of kernels (B, m, C)."""
        channels = features.shape[1]
        maps = kernels[..., :channels] @ features.flatten(2)
        if not self._shared:
            maps = maps + kernels[..., channels:]
        maps = maps.unflatten(2, features.shape[-2:])
        if not self._shared:
            maps = F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)
        return maps


def _linear(conv: nn.Conv2d, patches: Tensor) -> Tensor:
    """What a convolution gives where it sees patches (B, n, C * k * k), in float32."""
    return F.linear(patches, conv.weight.float().flatten(1), conv.bias.float())


def _conv(weight: Tensor, x: Tensor) -> Tensor:
    """Convolution of each map by its own kernels, padded to keep the size.

    Args:
        weight: (n, out, in, k, k).
        x: (n, in, H, W).

    Returns:
        (n, out, H * W).
    """
    size = weight.shape[-1]
    places = weight.flatten(3).unbind(3)
    return sum(place @ part.flatten(2)
               for place, part in zip(places, shifts(x, size), strict=True))
