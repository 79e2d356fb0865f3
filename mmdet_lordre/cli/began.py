"""When the program began: what loading Python took counts for ``--minutes``, too."""
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that loading takes at most; more is a mistake.
_LONGEST = 600
_program: float | None = None


@contextmanager
def program() -> Iterator[None]:
    """While it lasts, this process is a program of ours, which began when the system started it.

    Only Linux says when; elsewhere the program begins now.
    """
    global _program
    before = _program
    _program = time.monotonic() - _age()
    try:
        yield
    finally:
        _program = before


def beginning() -> float:
    """``time.monotonic()`` of the beginning: of the program, or now where other code calls us."""
    return time.monotonic() if _program is None else _program


def _age():
    """Seconds since the system started this process, 0 if it does not tell."""
    try:
        with open('/proc/self/stat', encoding='utf8', errors='replace') as file:
            # the name of the program, in brackets, may hold spaces
            ticks = int(file.read().rpartition(')')[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK')
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.
    # a sandbox may say what is no time of this process
    return age if time.process_time() * 0.9 <= age < _LONGEST else 0.
