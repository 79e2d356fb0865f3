"""What is being done right now, on a line of the terminal that the next one replaces."""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Columns that are wiped.
_WIDTH = 60


@contextmanager
def passing_lines() -> Iterator[Callable[[str], object]]:
    """Yields what takes such lines; they go nowhere where no terminal is watched."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    try:
        yield lambda line: print(f'\r{line} ...'.ljust(_WIDTH), end='', file=sys.stderr, flush=True)
    finally:
        print('\r'.ljust(_WIDTH + 1), end='\r', file=sys.stderr, flush=True)
