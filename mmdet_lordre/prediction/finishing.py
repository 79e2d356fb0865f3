"""Results to files beside the network: in threads, and in order where the order counts."""
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from .result import Result
from .writers import Writer

#: Bytes of pictures that may wait for being written.
_WAITING = 2**28


def written(results: Iterable[Result], writers: Sequence[Writer], workers: int,
            live: bool = False) -> Iterator[Result]:
    """The same results in the same order, each after its files are written.

    Files of one picture are written by ``workers`` threads, what goes on from picture to picture
    by another. At most a few results, and not many bytes of pictures, wait for that.

    Args:
        results: One by one.
        writers: What writes.
        workers: Threads.
        live: Nothing waits longer than it must.
    """
    waiting: deque[tuple[Future, int]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers, 'writing'))
        ordered = stack.enter_context(ThreadPoolExecutor(1, 'ordered'))
        try:
            for result in results:
                size = 0 if result.image is None else result.image.nbytes
                made = pool.submit(_write, result, writers)
                waiting.append((ordered.submit(_append, result, writers, made), size))
                while waiting and (len(waiting) > 2 * workers + 2 or live
                                   or sum(bytes_ for _, bytes_ in waiting) > _WAITING
                                   or waiting[0][0].done()):
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()


def _write(result, writers):
    return [] if result.error is not None else [writer.write(result) for writer in writers]


def _append(result, writers, made):
    for writer, one in zip(writers, made.result()):
        writer.append(result, one)
    result.image = None
    return result
