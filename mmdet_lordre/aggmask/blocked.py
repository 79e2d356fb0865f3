"""The fusion on a CPU, a few cells at a time: what stands between layers stays in its cache.

Convolutions of a few channels a cell are the worst case of convolution libraries; theirs take
most of a training step. Here a layer is three matrix products of all cells of a block, one for
each row of the 3x3 kernel: a buffer with a border of zeros holds the maps and their shifts by one
column, and a shift by a row is an offset into it. The backward pass is made of the same products.
"""
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Elements of the largest buffer of a block.
_BLOCK = 2**18


def _elements(size: Sequence[int], widths: Sequence[int]) -> int:
    """Elements of a cell's largest buffer."""
    return 3 * max(widths) * (size[0] + 2) * size[1]


def fits(size: Sequence[int], widths: Sequence[int]) -> bool:
    """Whether maps (H, W) of one cell are small enough for a block.

    Args:
        size: (H, W) of the maps.
        widths: Maps that a cell has for itself, before and after each layer.
    """
    return _elements(size, widths) <= _BLOCK


class _Shifted:
    """Maps of a block and their shifts by one column, as the matrices of products.

    Args:
        cells: Of a block, at most.
        channels: Maps of each cell.
        size: (H, W) of the maps.
        like: Tensor of the same dtype.
    """

    def __init__(self, cells: int, channels: int, size: Sequence[int], like: Tensor):
        height, width = size
        buffer = like.new_zeros(cells, channels, 3, height + 2, width)
        self.middle = buffer[:, :, 1, 1:-1]
        self.left, self.right = buffer[:, :, 0, 1:-1, 1:], buffer[:, :, 2, 1:-1, :-1]
        flat = buffer.view(cells, channels * 3, (height + 2) * width)
        self.rows = [flat[:, :, row * width:(row + height) * width] for row in range(3)]

    def load(self, maps: Tensor, relu: bool = False) -> list[Tensor]:
        """Matrices (cells, channels * 3, H * W) by row of the kernel, of maps (cells, channels,
        H, W)."""
        cells = len(maps)
        middle = self.middle[:cells]
        if relu:
            torch.clamp(maps, min=0, out=middle)
        else:
            middle.copy_(maps)
        self.left[:cells].copy_(middle[..., :-1])
        self.right[:cells].copy_(middle[..., 1:])
        return [row[:cells] for row in self.rows]


class _Blocks:
    """Buffers of a block of cells, and the blocks of a batch.

    Args:
        index: (n, k), the neighbors of each cell.
        context: (B, c, H, W).
        counts: Cells of each image.
        weights: By layer, (n, out, in, 3, 3).
    """

    def __init__(self, index: Tensor, context: Tensor, counts: Sequence[int],
                 weights: Sequence[Tensor]):
        self.neighbors, size = index.shape[1], context.shape[-2:]
        widths = [self.neighbors, *(weight.shape[1] for weight in weights)]
        most = min(max(1, _BLOCK // _elements(size, widths)), max(counts))
        self.maps = {width: _Shifted(most, width, size, context) for width in set(widths)}
        self.context = _Shifted(1, context.shape[1], size, context)
        self.counts, self.most = counts, most

    def __iter__(self) -> Iterator[tuple[int, slice]]:
        """(image, cells) of each."""
        start = 0
        for image, count in enumerate(self.counts):
            for first in range(start, start + count, self.most):
                yield image, slice(first, min(first + self.most, start + count))
            start += count


def _own(weights: Sequence[Tensor], neighbors: int) -> list[Tensor]:
    """The weights (n, out, in, 3, 3) of each layer by which a cell's own maps count."""
    return [weights[0][:, :, :neighbors], *weights[1:]]


class _Fusion(torch.autograd.Function):
    """See :func:`fuse_in_blocks`."""

    @staticmethod
    @torch.amp.custom_fwd(device_type='cpu')
    def forward(ctx, maps, index, context, counts, *numbers):
        weights, biases = numbers[::2], numbers[1::2]
        blocks = _Blocks(index, context, counts, weights)
        own = [weight.permute(3, 0, 1, 2, 4).flatten(3)
               for weight in _own(weights, blocks.neighbors)]
        shared = weights[0][:, :, blocks.neighbors:].permute(3, 0, 1, 2, 4).flatten(3)
        outputs = [bias.new_empty(*bias.shape, *context.shape[-2:]) for bias in biases]
        seen = None
        for image, part in blocks:
            for layer, (bias, output) in enumerate(zip(biases, outputs, strict=True)):
                out = output[part].flatten(2)
                out.copy_(bias[part, :, None].expand_as(out))
                if layer == 0 and context.shape[1]:
                    if image != seen:
                        around, seen = blocks.context.load(context[image, None]), image
                    for weight, row in zip(shared, around, strict=True):
                        out.flatten(0, 1).addmm_(weight[part].flatten(0, 1), row[0])
                if layer or blocks.neighbors:
                    rows = _inputs(blocks, layer, part, maps, index, outputs)
                    for weight, row in zip(own[layer], rows, strict=True):
                        out.baddbmm_(weight[part], row)
        ctx.save_for_backward(maps, index, context, *numbers, *outputs[:-1])
        ctx.counts, ctx.layers = counts, len(weights)
        return outputs[-1][:, 0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    @torch.amp.custom_bwd(device_type='cpu')
    def backward(ctx, grad):
        maps, index, context, *saved = ctx.saved_tensors
        numbers, outputs = saved[:2 * ctx.layers], saved[2 * ctx.layers:]
        weights = numbers[::2]
        blocks = _Blocks(index, context, ctx.counts, weights)
        # by which a gradient goes back
        own = [weight.flip(3, 4).permute(3, 0, 2, 1, 4).flatten(3)
               for weight in _own(weights, blocks.neighbors)]
        shared = weights[0][:, :, blocks.neighbors:].flip(3, 4).permute(3, 2, 0, 1, 4)
        grad_own = [weight.new_zeros(3, *weight.shape[:2], 3 * weight.shape[2])
                    for weight in _own(weights, blocks.neighbors)]
        channels = context.shape[1]
        grad_shared = context.new_zeros(3, *weights[0].shape[:2], 3 * channels)
        grad_biases = [torch.empty_like(bias) for bias in numbers[1::2]]
        grad_maps, grad_context = torch.zeros_like(maps), torch.zeros_like(context)
        seen = None
        for image, part in blocks:
            back = grad[part, None]
            for layer in reversed(range(ctx.layers)):
                flat = back.flatten(2)
                torch.sum(flat, 2, out=grad_biases[layer][part])
                around_back = blocks.maps[flat.shape[1]].load(back)
                if layer == 0 and channels:
                    if image != seen:
                        around, seen = blocks.context.load(context[image, None]), image
                    together = flat.flatten(0, 1)
                    to = grad_context[image].flatten(1)
                    for row in range(3):
                        torch.mm(together, around[row][0].t(),
                                 out=grad_shared[row, part].flatten(0, 1))
                        to.addmm_(shared[row][:, part].flatten(1),
                                  around_back[row].flatten(0, 1))
                if not layer and not blocks.neighbors:
                    break
                back = torch.bmm(own[layer][0, part], around_back[0])
                for row in (1, 2):
                    back.baddbmm_(own[layer][row, part], around_back[row])
                # the buffer may be that of the gradient, which is of no more use
                rows = _inputs(blocks, layer, part, maps, index, outputs)
                for row, inputs in enumerate(rows):
                    torch.bmm(flat, inputs.transpose(1, 2), out=grad_own[layer][row, part])
                back = back.unflatten(2, grad.shape[1:])
                if layer:
                    back.mul_(outputs[layer - 1][part] > 0)
                else:
                    grad_maps.index_add_(0, index[part].flatten(), back.flatten(0, 1))
        grads = [_to_weights(one) for one in grad_own]
        grads[0] = torch.cat((grads[0], _to_weights(grad_shared)), dim=2)
        return grad_maps, None, grad_context, None, *(
            one for pair in zip(grads, grad_biases, strict=True) for one in pair)


def _inputs(blocks, layer, part, maps, index, outputs):
    """What cells of a block give to a layer, as matrices."""
    if layer:
        before = outputs[layer - 1][part]
        return blocks.maps[before.shape[1]].load(before, relu=True)
    return blocks.maps[blocks.neighbors].load(maps[index[part]])


def _to_weights(grad: Tensor) -> Tensor:
    """(n, out, in, 3, 3) of (3, n, out, in * 3)."""
    return grad.unflatten(3, (-1, 3)).permute(1, 2, 3, 0, 4)


def fuse_in_blocks(maps: Tensor, index: Tensor, context: Tensor, counts: Sequence[int],
                   numbers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Fuse the masks of cells of several images, on a CPU, by 3x3 convolutions.

    Args:
        maps: (m, H, W), of mask cells of any image, float32 or float64 as all others.
        index: (n, k), the maps that each class cell gathers, cells image by image.
        context: (B, c, H, W), with no channel where there is none.
        counts: Cells of each image.
        numbers: By layer, weights (n, out, in, 3, 3) and biases (n, out); inputs of the first are
            the neighbors, then the context.

    Returns:
        Logits (n, H, W).
    """
    return _Fusion.apply(maps, index, context, counts, *(one for pair in numbers for one in pair))
