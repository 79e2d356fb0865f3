"""Devices, and whether they are there."""
import torch

from .errors import UserError
from .text import plural


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
