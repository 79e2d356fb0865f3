"""One training in a work folder at a time."""
import errno
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from ..errors import UserError

try:
    import fcntl
except ImportError:  # not on Windows: no lock, as said in the docs
    fcntl = None

#: Name of the file in a work folder that is locked while a training runs.
LOCK = 'training.lock'


@contextmanager
def work_folder(path: str, warn: Callable[[str], None] = print) -> Iterator[None]:
    """Have a folder for one training alone; it is made, and taken away again if it stays empty.

    The lock is one of the operating system for a range of a file: it ends with the process,
    whichever way that ends, and processes that load data, which outlive their killed master by
    moments, do not hold it. The file says who has it.

    Args:
        path: Of the folder.
        warn: Takes a line, when the file system knows no locks.

    Raises:
        UserError: Another training has it, or it cannot be made or written to.
    """
    made = not os.path.isdir(path)
    name = os.path.join(path, LOCK)
    try:
        os.makedirs(path, exist_ok=True)
        file = _locked(name, path, warn)
    except OSError as error:
        raise UserError(f'the work folder {path} cannot be used: {error.filename or path}: '
                        f'{error.strerror}; choose another --work-dir') from error
    try:
        yield
    finally:
        with suppress(OSError):
            os.remove(name)
        file.close()
        if made:
            with suppress(OSError):
                os.rmdir(path)


def _locked(name: str, path: str, warn: Callable[[str], None]) -> TextIO:
    while True:
        file = open(name, 'a+')  # noqa: SIM115 - it is open as long as the lock is held
        file.seek(0)
        if (text := file.read(1000)) and '"pid"' not in text:
            file.close()
            raise UserError(f'{name} is not a file that training wrote: move it, or choose another '
                            '--work-dir')
        try:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            with file:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    warn(f'the file system of {path} does not support locks ({error.strerror}): '
                         'make sure that no other training writes there')
                    return open(os.devnull)
                file.seek(0)
                raise UserError(f'another training writes to {path}: {_who(file.read())}; wait '
                                'for its end, or choose another --work-dir') from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(name), os.fstat(file.fileno())):
                break
        file.close()  # its owner took it away between opening and locking
    file.truncate(0)
    json.dump(dict(pid=os.getpid(), host=platform.node(),
                   start=time.strftime('%Y-%m-%d %H:%M:%S')), file)
    file.flush()
    return file


def _who(text):
    try:
        owner = json.loads(text)
        return f'process {owner["pid"]} on {owner["host"]}, since {owner["start"]}'
    except (ValueError, KeyError, TypeError):
        return 'a process that has not said its number'
