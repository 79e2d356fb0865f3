"""From the CPU to another device without waiting for it."""
from functools import lru_cache

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the CPU on another device; the work that is queued there goes on meanwhile.

    An ordinary copy waits until a GPU has done everything that it was given. Copying from pinned
    memory does not, and torch keeps that memory until the copy is done.

    Args:
        tensor: Any; one that is on a device already is copied as usual.
        device: Where it goes.
    """
    device = torch.device(device)
    if tensor.device.type != 'cpu' or device.type == 'cpu':
        return tensor.to(device)
    if device.type == 'cuda':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def constant(values: tuple, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Numbers that stay the same from call to call, made once for each device.

    Args:
        values: Numbers, or tuples of numbers of equal length.
        dtype: Of the tensor.
        device: Where it is.

    Returns:
        A tensor that others have, too: do not write into it.
    """
    if torch.compiler.is_compiling():
        return torch.tensor(values, dtype=dtype, device=device)
    return _constant(values, dtype, str(device))


@lru_cache(maxsize=512)
def _constant(values, dtype, device):
    # one that is made while predicting must do for training as well
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
