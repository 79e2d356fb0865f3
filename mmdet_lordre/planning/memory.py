"""Memory of the machine that pictures may be kept in."""
import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

#: Part of a GPU's free memory that training may take: it is divided into blocks of some sizes.
_OF_GPU = 0.85
#: GiB of pictures that are kept, whatever the machine has free; the part of that which they may
#: take, and at most.
_ALWAYS, _PART, _MOST = 2., 0.25, 8.
_SYSTEM = Path('/proc/meminfo')
#: What a container may take, and takes.
_LIMIT, _TAKEN = (Path('/sys/fs/cgroup') / name for name in ('memory.max', 'memory.current'))


@dataclass(frozen=True)
class Kept:
    """Pictures that are read once and kept in memory.

    Attributes:
        gib: That all of them take.
        side: Pixels of their longer side, where they are seen as a whole.
        scale: Factor by which their sides are multiplied, where crops are cut from them.
    """
    gib: float
    side: int | None = None
    scale: float = 1.


def free_on(device: str) -> float | None:
    """GiB that a training may take on a GPU; None on other devices, where nobody knows."""
    if torch.device(device).type != 'cuda' or not torch.cuda.is_available():
        return None
    return _OF_GPU * torch.cuda.mem_get_info(device)[0] / 2**30


def room() -> float:
    """GiB of pictures that may be kept on this machine."""
    free = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(line for line in _SYSTEM.read_text().splitlines()
                    if line.startswith('MemAvailable:'))
        free.append(int(line.split()[1]) / 2**20)
    with contextlib.suppress(OSError, ValueError):  # 'max' is no number
        free.append((int(_LIMIT.read_text()) - int(_TAKEN.read_text())) / 2**30)
    return max(_ALWAYS, min(_MOST, _PART * min(free, default=0.)))
