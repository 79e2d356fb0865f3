"""Seconds that a call takes on this machine when nothing else keeps it busy."""
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from ..devices import synchronize

#: Share of a call's time that its threads may have waited for a core, and it counts as undisturbed.
_DISTURBED = 0.1
#: Calls of the small computation by which threads are compared, with as many threads.
_TRIALS = 60
#: Where Linux counts how long a thread of this process computed and waited, in nanoseconds.
_THREADS = '/proc/self/task'


def seconds_of(call: Callable[[], object], device: str, calls: int,
               enough: float = float('inf')) -> float:
    """Seconds of a call, the fewest of several.

    On a GPU, and on a CPU that nobody else uses, those that pass. Another process that computes
    does not change what the machine can do: a call of one thread then counts by the time that it
    computed. Of several threads, each of which waits for the slowest, that says nothing: the call
    is made with one thread, whose time is divided by what this number of threads speeds up a
    computation that is so small that some of it falls between the turns of the others.

    Args:
        call: Does the same each time; the first time does not count.
        device: ``'cpu'`` or another.
        calls: That count.
        enough: Seconds after which no more are made; one counts at least.
    """
    spent = _once(call, device)[0]
    found, quiet = [], []
    while len(found) < calls and (spent <= enough or not found):
        seconds, undisturbed = _once(call, device)
        spent += seconds
        found.append(seconds)
        quiet += [seconds] * undisturbed
    if quiet or device != 'cpu':
        return min(quiet or found)
    threads = torch.get_num_threads()
    with _one_thread():
        alone = min(_once(call, device)[0] for _ in range(2))
    return min(*found, alone / speedup(threads))


def working_clock() -> Callable[[], float]:
    """A clock that begins now: the seconds that have passed, without those in which this process
    waited while others computed."""
    start, worked = time.perf_counter(), time.process_time()
    return lambda: min(time.perf_counter() - start, time.process_time() - worked)


def _once(call, device):
    """(seconds of a call, whether nothing has disturbed it)."""
    waited, worked, start = _waited(), working_clock(), time.perf_counter()
    call()
    if device != 'cpu':
        synchronize(device)
        return time.perf_counter() - start, True
    if torch.get_num_threads() == 1:
        return worked(), True
    passed = time.perf_counter() - start
    return passed, _waited() - waited <= _DISTURBED * passed


def _waited() -> float:
    """Seconds that the threads of this process have waited for a core; 0 where nobody counts."""
    total = 0
    with contextlib.suppress(OSError):
        for thread in os.listdir(_THREADS):
            with contextlib.suppress(OSError, ValueError, IndexError), \
                    open(f'{_THREADS}/{thread}/schedstat') as file:
                total += int(file.read().split()[1])
    return total / 1e9


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def speedup(threads: int) -> float:
    """How many times as fast some threads make a layer of a network as one does; 1 at least."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 32, 3, 3, generator=generator, requires_grad=True)
    inputs = torch.randn(2, 32, 48, 48, generator=generator, requires_grad=True)

    def layer():
        hidden = functional.conv2d(inputs, weight, padding=1)
        functional.relu(functional.group_norm(hidden, 8)).sum().backward()

    def fastest():
        best = float('inf')
        for _ in range(_TRIALS):
            start = time.perf_counter()
            layer()
            best = min(best, time.perf_counter() - start)
        return best
    many = fastest()
    with _one_thread():
        alone = fastest()
    return min(float(threads), max(1., alone / many))
