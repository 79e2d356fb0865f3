"""What is being done right now: on a line of the terminal that the next one replaces."""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Columns that are wiped.
_WIDTH = 60


@contextmanager
def passing_lines() -> Iterator[Callable[[str], object]]:
    """Yields what takes such lines; where there is no terminal they follow each other."""
    if not sys.stderr.isatty():
        yield lambda line: print(f'{line} ...', file=sys.stderr, flush=True)
        return
    try:
        yield lambda line: print(f'\r{line} ...'.ljust(_WIDTH), end='', file=sys.stderr, flush=True)
    finally:
        print('\r'.ljust(_WIDTH + 1), end='\r', file=sys.stderr, flush=True)
