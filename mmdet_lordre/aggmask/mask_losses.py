"""Mask losses of the positive cells of a batch."""
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..grid.windows import without_autocast
from ..masks import upload
from .blocked import fits, fuse_in_blocks
from .fusion import mask_maps
from .prediction import to_map_size
from .selected import SelectedCells
from .targets import MapGroup, Selection
from .windows import add_windows

# Elements of a batch's fusion that are kept for the backward pass; of more, none are.
_KEPT = 2**25
# A probability of 7e-13 is none. Windows alone have logits down to -1000 far from their cells; the
# gradients of those, products of two probabilities, are numbers so small that a CPU takes a
# hundred times as long for each.
_LEAST_LOGIT = -28


class MaskLosses(SelectedCells):
    """The part of a head that learns masks; beside what SelectedCells needs, ``loss_mask`` and
    ``kernels_of``."""

    def mask_losses(self, groups: Sequence[MapGroup], chosen: list[list[Selection]],
                    mask_feats: Sequence[Tensor], kernels: object, table: Tensor,
                    context: Tensor | None) -> list[Tensor]:
        """Weighted losses of all selected cells, in pieces.

        Args:
            groups: The levels' maps.
            chosen: What cells learn, by group, then by image.
            mask_feats: By group, (B, C, h, w).
            kernels: As the head's ``forward`` gives them; table and context, too.
        """
        needed = sum(len(selection.cells) * group.size[0] * group.size[1] * self.fusion.width
                     for group, selections in zip(groups, chosen, strict=True)
                     for selection in selections)
        keep, pieces = needed <= _KEPT, []
        for feats, group, selections in zip(mask_feats, groups, chosen, strict=True):
            parts = [(image, selection) for image, selection in enumerate(selections)
                     if len(selection.cells)]
            if not parts:
                continue
            shared = self.resized_context(context, group.size)
            if self._in_blocks(table, group.size):
                run = self._losses_in_blocks if keep else _recomputed(self._losses_in_blocks)
                step = self.chunk(group.size, table.device)
                for part in [parts] if keep else _split(parts, step):
                    pieces.append(run(feats, kernels, shared, table, part, group.size))
                continue
            run = self._chunk_losses if keep else _recomputed(self._chunk_losses)
            pieces += [self._image_losses(
                feats[image], self.kernels_of(kernels, image),
                None if shared is None else shared[image], table[image], selection, group.size,
                run) for image, selection in parts]
        return pieces

    def _image_losses(self, features, kernels, context, table, selection, size, run):
        """Weighted loss of each selected cell, (n,), in chunks."""
        cells, gts, masks = selection
        numbers = self.fusion_numbers(table, upload(cells, table.device))
        losses = []
        step = self.chunk(size, features.device)
        for start in range(0, len(cells), step):
            part = slice(start, start + step)
            losses.append(run(features, kernels, context, self.tables.lookup(cells[part]),
                              numbers.part(part), masks, gts[part], size))
        return torch.cat(losses)

    def _chunk_losses(self, features, kernels, context, lookup, numbers, masks, gts, size):
        logits = self.fuse(features, kernels, context, lookup, numbers, size)
        return self._loss(logits, masks[gts])

    def _loss(self, logits, targets):
        probs = logits.float().clamp(min=_LEAST_LOGIT).sigmoid()
        return self.loss_mask(probs, targets.float(), reduction_override='none')

    def _in_blocks(self, table, size):
        return (table.device.type == 'cpu' and self.fusion.kernel_size == 3
                and not torch.compiler.is_compiling() and fits(size, self.fusion.widths))

    def _losses_in_blocks(self, feats, kernels, context, table, parts, size):
        """Weighted loss of the cells (n,) of several images, without autocast: products in
        bfloat16 are compiled anew for every number of cells."""
        with without_autocast(table):
            cells = torch.cat([selection.cells for _, selection in parts])
            numbers = self.numbers_from(torch.cat([
                self.tables.gather_patches(table[image], selection.cells)
                for image, selection in parts]).float())
            maps, index = self._maps_in_blocks(feats, kernels, parts, numbers.offsets, size)
            images = [image for image, _ in parts]
            shared = (maps.new_zeros(len(parts), 0, *size) if context is None
                      else context[images].float())
            counts = [len(one.cells) for _, one in parts]
            logits = fuse_in_blocks(maps, index, shared, counts,
                                    self.fusion.split(numbers.weights))
            if self.foreground:
                logits = logits + self.foreground_maps(shared).repeat_interleave(
                    torch.tensor(counts), dim=0)
            if numbers.windows is not None:
                logits = add_windows(logits, numbers.windows, *self.tables.places_of(cells))
            targets = parts[0][1].masks[torch.cat([selection.gts for _, selection in parts])]
            return self._loss(logits, targets)

    def _maps_in_blocks(self, feats, kernels, parts, offsets, size):
        """Maps (m, H, W) of mask cells of several images, and the neighbors (n, k) of each cell
        among them."""
        maps, index, first, start = [], [], 0, 0
        for image, (cells, *_) in parts:
            own, features = self.kernels_of(kernels, image).float(), feats[image].float()
            if offsets is None:
                lookup = self.tables.lookup(cells)
                own, inverse = own[lookup.needed], lookup.inverse
            else:
                part = offsets[start:start + len(cells)]
                own = self.tables.sample_kernels(own, cells, part).flatten(0, 1)
                inverse = torch.arange(len(own)).view(len(cells), -1)
            maps.append(mask_maps(features, own, features.shape[1:]))
            index.append(inverse + first)
            first, start = first + len(own), start + len(cells)
        return to_map_size(torch.cat(maps), size), torch.cat(index)


def _split(parts, step):
    """Pieces of at most ``step`` cells of one image."""
    return [[(image, Selection(cells, gts, one.masks))] for image, one in parts
            for cells, gts in zip(one.cells.split(step), one.gts.split(step), strict=True)]


def _recomputed(function):
    """The function, computed again in the backward pass."""
    return partial(checkpoint, function, use_reentrant=False, preserve_rng_state=False)
