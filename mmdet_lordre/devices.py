"""Devices, whether they are there, and what a CPU beside one is to do."""
import contextlib
import os
from collections.abc import Iterator

import torch

from .errors import UserError
from .text import plural

#: Threads of a CPU beside a GPU. On 16 cores with an H200 a step of Lordre takes 71 ms with one,
#: two or four of them, and 114 with 16, which take the cores from the processes that load images.
_BESIDE_GPU = 4


@contextlib.contextmanager
def few_threads(device: torch.device | str) -> Iterator[None]:
    """Inside, at most four threads of the CPU compute where a GPU does the work; on a CPU, and
    where ``OMP_NUM_THREADS`` says how many, nothing changes.

    Args:
        device: Where the network is.
    """
    before = torch.get_num_threads()
    fewer = torch.device(device).type != 'cpu' and before > _BESIDE_GPU \
        and 'OMP_NUM_THREADS' not in os.environ
    if fewer:
        torch.set_num_threads(_BESIDE_GPU)
    try:
        yield
    finally:
        if fewer:
            torch.set_num_threads(before)


def synchronize(device: torch.device | str) -> None:
    """Wait until all that was begun on a device is done; a CPU has done it."""
    device = torch.device(device)
    wait = getattr(getattr(torch, device.type, None), 'synchronize', None)
    if device.type == 'mps':  # there is one
        wait()
    elif wait:
        wait(device)


def demand_device(name: str | torch.device | None) -> None:
    """Refuse a device that nothing can be computed on; None, which leaves the choice, is none.

    Args:
        name: Such as ``'cpu'`` or ``'cuda:0'``.

    Raises:
        UserError: Naming it and what is there.
    """
    if name is None:
        return
    there = [kind for kind, usable in (
        ('cuda', torch.cuda.is_available()), ('mps', torch.backends.mps.is_available()),
        ('npu', hasattr(torch, 'npu') and torch.npu.is_available())) if usable] + ['cpu']
    choice = f'choose from {", ".join(there)}'
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise UserError(f'there is no kind of device {name!r}: {choice}') from None
    if 'cuda' in there and device.type == 'cuda' and (
            device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'device {name}: this machine has '
                        f'{plural(torch.cuda.device_count(), "GPU")}, counted from cuda:0')
    try:
        usable = torch.ones(1, device=device).item() == 1
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):
        usable = False
    if not usable:
        raise UserError(f'device {name}: this machine (or this build of torch) has no '
                        f'{device.type}: {choice}')
