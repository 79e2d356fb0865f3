"""Dice losses of many masks without holding the masks of all pairs at once."""
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..masks import chunk_size


def dice_losses(logits: Tensor, targets: Tensor, eps: float = 1e-3) -> Tensor:
    """Dice loss of each mask, ``1 - 2 (p . t) / (p . p + eps + t . t + eps)``, in float32.

    From `V-Net <https://arxiv.org/abs/1606.04797>`_, with squares.

    Args:
        logits: Mask logits (n, h, w) or (n, pixels).
        targets: 0 or 1, bool or any number, of the same shape.
        eps: Added to each square.

    Returns:
        (n,) losses between 0 and 1.
    """
    probs = logits.flatten(1).float().sigmoid()
    targets = targets.flatten(1).to(probs.dtype)
    common = (probs * targets).sum(1)
    return 1 - 2 * common / (probs.square().sum(1) + targets.sum(1) + 2 * eps)


def chunked_sum(loss: Callable[[slice], Tensor], count: int, chunk: int) -> Tensor:
    """Sum a loss over ``count`` items, ``chunk`` at a time; each chunk is recomputed in backward.

    Memory is that of one chunk, whatever the count; value and gradients are those of one call.

    Args:
        loss: From a slice of the items to the summed loss of those items, a scalar. It may read
            any tensors, in which gradients flow.
        count: Items. At least one.
        chunk: Items at a time.

    Returns:
        The sum, a scalar.
    """
    parts = [checkpoint(loss, slice(start, min(start + chunk, count)), use_reentrant=False)
             for start in range(0, count, chunk)]
    return torch.stack(parts).sum()


class _KernelDice(torch.autograd.Function):
    """Weighted sum of dice losses of the masks ``kernels @ features``.

    The gradient of each mask's loss is known as soon as its pixels are, so the forward computes
    the gradients too, while a chunk's masks are at hand; nothing is computed twice.
    """

    @staticmethod
    def forward(ctx, kernels, features, targets, gts, weights, counts, eps, chunk):
        need_kernels, need_features = ctx.needs_input_grad[:2]
        grad_kernels = torch.zeros_like(kernels) if need_kernels else None
        grad_features = torch.zeros_like(features) if need_features else None
        total = kernels.new_zeros(())
        for image, part in _chunks(counts, chunk):
            probs = torch.mm(kernels[part], features[image]).sigmoid_()
            truth = targets[gts[part]].to(probs.dtype)
            common = torch.linalg.vecdot(probs, truth)
            size = torch.linalg.vecdot(probs, probs) + truth.sum(1) + 2 * eps
            weight = weights[part]
            total += (weight * (1 - 2 * common / size)).sum()
            if not (need_kernels or need_features):
                continue
            # d loss / d p = 2 (2 c p / size - t) / size, then p (1 - p) for the logits
            grad = truth.neg_().addcmul_(probs, (2 * common / size)[:, None])
            grad.mul_((2 * weight / size)[:, None]).mul_(probs)
            grad.addcmul_(grad, probs, value=-1)
            if need_kernels:
                torch.mm(grad, features[image].t(), out=grad_kernels[part])
            if need_features:
                grad_features[image].addmm_(kernels[part].t(), grad)
        # not as saved tensors: they shall be scaled in place
        ctx.grads = grad_kernels, grad_features
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        if ctx.grads is None:
            raise RuntimeError('kernel_dice went backward a second time; compute the loss again')
        kernels, features = (None if made is None else made.mul_(grad) for made in ctx.grads)
        ctx.grads = None
        return kernels, features, None, None, None, None, None, None


def _chunks(counts, chunk):
    """(image, slice of pairs) for every few pairs of an image."""
    start = 0
    for image, count in enumerate(counts):
        stop = start + count
        for first in range(start, stop, chunk):
            yield image, slice(first, min(first + chunk, stop))
        start = stop


def kernel_dice(kernels: Tensor, features: Tensor, targets: Tensor, gts: Tensor,
                weights: Tensor, counts: Sequence[int], eps: float = 1e-3,
                chunk: int | None = None) -> Tensor:
    """Weighted sum of the dice losses of dynamic 1x1 kernels' masks.

    Equals ``(weights * dice_losses(kernels @ features, targets[gts])).sum()`` over the images in
    float32, value and gradients, with memory for ``chunk`` masks instead of all.

    Args:
        kernels: (pairs, channels), each pair's kernel, image after image.
        features: (B, channels, h, w) mask features.
        targets: BoolTensor (N, h, w), the mask target of each ground truth of the batch.
        gts: (pairs,) index of each pair's target.
        weights: (pairs,) weight of each pair's loss.
        counts: Pairs of each image.
        eps: Of the dice loss.
        chunk: Pairs at a time; by default what :func:`mmdet_lordre.masks.chunk_size` says.

    Returns:
        Scalar, float32. It goes backward once.

    Raises:
        ValueError: If ``counts`` are not those of the pairs and images.
    """
    if len(counts) != len(features) or sum(counts) != len(kernels):
        raise ValueError(f'counts {list(counts)} for {len(features)} images and {len(kernels)} '
                         'pairs')
    if chunk is None:
        # a chunk is held twice: probabilities, and targets that become gradients
        chunk = chunk_size(2 * features[0, 0].numel(), device=features.device)
    with torch.autocast(features.device.type, enabled=False):
        return _KernelDice.apply(kernels.float(), features.flatten(2).float(), targets.flatten(1),
                                 gts, weights.float(), counts, eps, chunk)
