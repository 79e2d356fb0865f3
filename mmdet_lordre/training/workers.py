"""Processes that load data end when they should, and not before."""
import os
import signal
import threading
import time
from functools import partial

from torch.utils.data import DataLoader

#: Seconds between looks at whether the training or testing process is still there.
_INTERVAL = 2.0


def guard_workers(loader: DataLoader) -> DataLoader:
    """Let a loader's processes outlive Ctrl-C, but not the process that they work for.

    torch's own notice that their master is gone and then wait for each other, for ever if the pipe
    of results was full: a run ended by SIGKILL, as by a machine short of memory, would leave all
    of them there, with all of their memory.
    """
    loader.worker_init_fn = partial(_start, loader.worker_init_fn)
    return loader


def _start(inner, worker):
    # Ctrl-C reaches the whole group; the main process still needs its batch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(os.getppid(), ), daemon=True).start()
    if inner is not None:
        inner(worker)


def _end_after(master):
    while os.getppid() == master:
        time.sleep(_INTERVAL)
    os._exit(1)
