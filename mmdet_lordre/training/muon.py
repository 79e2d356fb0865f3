"""Muon for the convolutions of a network, AdamW for all else.

Sources: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), for the
method; J. Liu et al., "Muon is scalable for LLM training" (2025), for the scale with which both
take the same learning rate and weight decay.
"""
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor
from torch.optim.adamw import adamw

# Brings singular values of up to 1 to between 0.7 and 1.2 in five steps (Jordan et al.).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 5
# Root mean square of Muon's update at a learning rate of 1: about that of AdamW's (Liu et al.).
_UPDATE = 0.2
# Added to a norm, as published: the momentum of a layer that gets no more gradients fades to
# numbers whose squares are zero, and must not be blown up.
_EPS = 1e-7
# Below as many rows or columns a matrix is one of AdamW's.
_LEAST = 16


def orthogonalized(stacks: Sequence[Tensor]) -> list[Tensor]:
    """Matrices with the same singular vectors, and singular values of about 1.

    Newton and Schulz's iteration with a quintic. The polynomials are multiplied with each other,
    and with the matrix once: a convolution sees nine times as much as it puts out, and its matrix
    times its own transpose is as much smaller.

    Args:
        stacks: Each (N, rows, columns), of floats, in any shapes.

    Returns:
        The same shapes. Zeros stay zeros, and what is far below 1e-7 comes to next to nothing.
    """
    wide, by_size = [], defaultdict(list)
    for number, matrices in enumerate(stacks):
        # products of products: half precision does not hold them
        x = matrices.float() if matrices.dtype in (torch.float16, torch.bfloat16) else matrices
        wide.append(x.mT if x.size(-2) > x.size(-1) else x)
        by_size[wide[-1].size(-2), x.dtype, x.device].append(number)
    found = [None] * len(stacks)
    for numbers in by_size.values():
        gram = torch.cat([wide[number] @ wide[number].mT for number in numbers])
        # the matrices are to be divided by their norms: their products are, which are smaller
        norm = gram.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()[:, None, None] + _EPS
        polynomials = _polynomials(gram / norm.square()) / norm
        for number, product in zip(numbers, polynomials.split([len(wide[n]) for n in numbers])):
            x = (product @ wide[number]).to(stacks[number].dtype)
            found[number] = x if x.shape == stacks[number].shape else x.mT
    return found


def _polynomials(gram):
    """(N, rows, rows) that make a matrix orthogonal, of its product with its transpose."""
    a, b, c = _QUINTIC
    product = None
    for step in range(_STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if step + 1 < _STEPS:
            gram = factor @ (factor @ gram)
    return product


@OPTIMIZERS.register_module()
class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for convolutions, AdamW for norms, biases, linear layers and narrow convolutions.

    A convolution's weights are a matrix of its outputs by what each of them sees. Muon takes the
    momentum of their gradient, makes all its singular values about 1, and steps by that: what
    few examples teach moves the weights as far as what all of them do. Only matrices of at least
    16 rows and columns are updated so, which leaves out depthwise convolutions.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate of both.
        momentum: Of Muon, with Nesterov's look ahead.
        betas: Of AdamW.
        eps: Of AdamW.
        weight_decay: Decoupled, of both.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(self, params: Iterable, lr: float = 1e-3, momentum: float = 0.95,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.01) -> None:
        for name, value in (('momentum', momentum), *zip(('betas[0]', 'betas[1]'), betas)):
            if not 0 <= value < 1:
                raise ValueError(f'{name}={value} is not in [0, 1)')
        for name, value in (('lr', lr), ('eps', eps), ('weight_decay', weight_decay)):
            if not value >= 0:
                raise ValueError(f'{name}={value} is below 0')
        super().__init__(params, dict(lr=lr, momentum=momentum, betas=tuple(betas), eps=eps,
                                      weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: Computes the loss again, with its gradients.

        Returns:
            What ``closure`` returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, params in self._groups():
            matrices, others = defaultdict(list), []
            for param in params:
                if param.grad is not None:
                    shape = matrix_of(param)
                    # what is stacked must be alike
                    (matrices[shape, param.dtype, param.device] if shape else others).append(param)
            self._muon(group, list(matrices.values()))
            self._adamw(group, others)
        return loss

    def _groups(self):
        """Settings, and all parameters that have them: ``paramwise_cfg`` gives each a group."""
        alike = {}
        for group in self.param_groups:
            settings = map(group.get, self.defaults)
            key = tuple(tuple(value) if isinstance(value, list) else value for value in settings)
            alike.setdefault(key, (group, []))[1].extend(group['params'])
        return alike.values()

    def _muon(self, group, alike):
        params = [param for some in alike for param in some]
        if not params:
            return
        for param in params:
            if not self.state[param]:
                self.state[param]['momentum'] = torch.zeros_like(param)
        momenta = [self.state[param]['momentum'] for param in params]
        grads = [param.grad for param in params]
        torch._foreach_lerp_(momenta, grads, 1 - group['momentum'])
        ahead = iter(torch._foreach_lerp(grads, momenta, group['momentum']))
        updates = orthogonalized([torch.stack([_rows(next(ahead), param) for param in some])
                                  for some in alike])
        torch._foreach_mul_(params, 1 - group['lr'] * group['weight_decay'])
        for some, found in zip(alike, updates):
            # an orthogonal matrix of m x n has a root mean square of 1 / sqrt(max(m, n))
            length = group['lr'] * _UPDATE * math.sqrt(max(found.shape[1:]))
            torch._foreach_add_(some, [_as_weights(update, param) for update, param
                                       in zip(found, some)], alpha=-length)

    def _adamw(self, group, params):
        if not params:
            return
        for param in params:
            state = self.state[param]
            if not state:
                state['step'] = torch.zeros(())
                state['exp_avg'], state['exp_avg_sq'] = (torch.zeros_like(param) for _ in range(2))
        first, second, steps = ([self.state[param][name] for param in params]
                                for name in ('exp_avg', 'exp_avg_sq', 'step'))
        on_cpu = all(param.is_cpu for param in params)
        adamw(params, [param.grad for param in params], first, second, [], steps, amsgrad=False,
              fused=on_cpu, foreach=not on_cpu,
              beta1=group['betas'][0], beta2=group['betas'][1], lr=group['lr'],
              weight_decay=group['weight_decay'], eps=group['eps'], maximize=False)


def _channels_last(param):
    return param.ndim == 4 and param.is_contiguous(memory_format=torch.channels_last)


def _rows(values, param):
    """Values of a convolution's weights as a matrix: its columns in the order of memory, which is
    all one to singular values and saves a copy."""
    return (values.permute(0, 2, 3, 1) if _channels_last(param) else values).flatten(1)


def _as_weights(matrix, param):
    """What :func:`_rows` made a matrix of."""
    if not _channels_last(param):
        return matrix.view(param.shape)
    count, channels, *kernel = param.shape
    return matrix.view(count, *kernel, channels).permute(0, 3, 1, 2)


def matrix_of(param: Tensor) -> tuple[int, int] | None:
    """(rows, columns) of a convolution's weights that Muon updates, else None."""
    if param.ndim < 3 or not param.numel():
        return None
    shape = param.size(0), param.numel() // param.size(0)
    return shape if min(shape) >= _LEAST else None
