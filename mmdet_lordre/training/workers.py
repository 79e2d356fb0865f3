"""Processes that load data end when they should, and not before."""
import multiprocessing
import os
import signal
import threading
import time
from functools import partial

from torch.utils.data import DataLoader

#: Seconds between looks at whether the training or testing process is still there.
_INTERVAL = 2.0
#: Whether the system says who has sent a signal: Linux does.
_BY_WHOM = hasattr(signal, 'sigtimedwait')


def guard_workers(loader: DataLoader) -> DataLoader:
    """Let a loader's processes outlive Ctrl-C and SIGTERM, but not the process that they work for.

    torch's own notice that their master is gone and then wait for each other, for ever if the pipe
    of results was full: a run ended by SIGKILL, as by a machine short of memory, would leave all
    of them there, with all of their memory.
    """
    loader.worker_init_fn = partial(_start, loader.worker_init_fn)
    if _BY_WHOM and loader.num_workers and loader.multiprocessing_context is None \
            and multiprocessing.get_start_method() == 'fork':
        loader.multiprocessing_context = _Context()
    return loader


if _BY_WHOM:
    class _Process(multiprocessing.context.ForkProcess):
        """Begins with SIGTERM blocked: torch starts threads in a forked process before anything
        can be done there, and one that does not block the signal would end it."""

        def start(self) -> None:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                super().start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    class _Context(multiprocessing.context.ForkContext):
        Process = _Process


def _start(inner, worker):
    # both reach the whole group (of a terminal, of `timeout`, of Slurm), and the main process
    # still needs its batch; from that one alone SIGTERM is meant
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _BY_WHOM:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_after, args=(os.getppid(), ), daemon=True).start()
    if inner is not None:
        inner(worker)


def _end_after(master):
    while os.getppid() == master:
        if not _BY_WHOM:
            time.sleep(_INTERVAL)
            continue
        asked = signal.sigtimedwait({signal.SIGTERM}, _INTERVAL)
        if asked is not None and asked.si_pid == master:
            os._exit(0)
    os._exit(1)
