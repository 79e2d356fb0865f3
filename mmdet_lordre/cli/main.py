"""How a command runs, for ``mmdet_lordre_command``: ``lordre NAME ...`` and ``tools/NAME.py``.

A command is a module of this folder with a function ``main(argv=None)``. Its mistakes end in one
line and status 1, whatever it is.
"""
import errno
import functools
import importlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from .. import secure
from ..datasets.file_names import IMAGES_OPTIONS
from ..errors import UserError
from ..text import printable
from ..training.distributed import end_of_process
from .began import program

#: Errors that surface in a data-loading worker, recognized by their last line.
_FROM_WORKERS = (
    (re.compile(r'failed to load image: (.+)'),
     'the image {0} cannot be decoded: replace it or take it out of the annotation file'),
    (re.compile(r'(\w+: the masks of .+ pixels, and the image .+ leaves masks behind.*)'), '{0}'),
    (re.compile(r"No such file or directory: '(.+)'"), 'no such file: {0}'),
    (re.compile(r'inv_scale_([xy]) > 0'),
     'a picture is so long and thin that nothing is left of its shorter side where it is resized: '
     'lordre check names pictures of extreme shape; cut them, or take them out of the annotation '
     'file'),
)

#: torch's words for too little memory, on the CPU and on a GPU.
_MEMORY = re.compile(r"can't allocate memory: you tried to allocate (\d+) bytes"
                     r'|(?:CUDA|XPU|MPS backend) out of memory')

#: What single commands call the options for the folder of the images.
_IMAGES_OF = {
    'train': '--train-images / --val-images', 'plan': '--images / --val-images',
    'check': 'the second argument / --val-images', 'check-dataset': 'the second argument / '
    '--val-images', 'browse': 'the second argument', 'split': 'the second argument',
    **dict.fromkeys(('convert-data', 'predict', 'report', 'test'), '--images')}


def explain(error: BaseException) -> str | None:
    """The one line for an exception, or None when it is not known to be the user's.

    Args:
        error: What a tool ended with.
    """
    if isinstance(error, UserError) or (isinstance(error, FileNotFoundError)
            and error.errno is None):  # not the system's: it says all
        # of a data-loading worker torch quotes the source first
        text = re.sub(r'\ACaught UserError in DataLoader.*UserError: ', '', str(error), flags=re.S)
        return printable(' '.join(text.split()))
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error)
    text = str(error)
    memory = _MEMORY.search(text)
    if memory:
        size = f' for {int(memory[1]) / 2**30:.1f} GiB more' if memory[1] else ''
        return (f'there is not enough memory{size}: take a smaller batch or a smaller image size '
                '(MMDET_LORDRE_TRACEBACK=1 shows where)')
    for pattern, message in _FROM_WORKERS:
        # a worker's text quotes the source first, and ends with the message
        found = pattern.findall(text)
        if found:
            return printable(message.format(found[-1].strip().strip('\'"')))
    return None


def _of_the_system(error: OSError) -> str:
    where = ' '.join(str(name) for name in (error.filename, error.filename2) if name)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f'the disk is full{f": {where}" if where else ""}; free some space and start again'
    what = {errno.EEXIST: 'there is a file where a folder should be',
            errno.ENOTDIR: 'there is a file where a folder should be',
            errno.EISDIR: 'there is a folder where a file should be',
            errno.ENOENT: 'no such file or folder'}.get(error.errno, error.strerror)
    return f'{where}: {what}' if where else f'{what} (MMDET_LORDRE_TRACEBACK=1 shows where)'


def one_line_errors(main: Callable) -> Callable:
    """Make ``main`` of a tool end with ``error: ...`` and status 1 on a user's mistake.

    Anything unknown keeps its traceback, and so does everything when the environment
    variable ``MMDET_LORDRE_TRACEBACK`` is set.
    """
    @functools.wraps(main)
    def wrapper(*args, **kwargs):
        # of mmdet's and mmengine's own calls: nothing that a user of the tools could change
        warnings.filterwarnings('ignore', 'torch.meshgrid')
        warnings.filterwarnings('ignore', '.broadcast_buffers. is deprecated')
        try:
            result, status = main(*args, **kwargs), 0
            sys.stdout.flush()
        except BrokenPipeError:
            # whoever read our output has seen enough; nothing more can be written there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 128 + signal.SIGPIPE
        except KeyboardInterrupt as stop:
            sys.stdout.flush()
            print(str(stop) or 'interrupted', file=sys.stderr)
            status = getattr(stop, 'code', 130)
        except Exception as error:
            line = explain(error)
            if line is None or os.environ.get('MMDET_LORDRE_TRACEBACK'):
                raise
            sys.stdout.flush()
            print(f'error: {line}', file=sys.stderr)
            status = getattr(error, 'status', 1)
        end_of_process(status)
        if status:
            sys.exit(status)
        return result
    return wrapper


def run(name: str, argv: list[str] | None = None) -> Any:
    """Run a command as a program: what it returns, or one line of error and its status.

    Args:
        name: Of the command.
        argv: Its arguments; those of the process if not given, which then is this program.
    """
    def command(argv):
        try:
            return importlib.import_module(f'.{name.replace("-", "_")}', __package__).main(argv)
        except UserError as error:
            own = _IMAGES_OF.get(name.replace('_', '-'))
            if own and error.args:
                error.args = (str(error.args[0]).replace(IMAGES_OPTIONS, own), *error.args[1:])
            raise
    secure()
    with program() if argv is None else nullcontext():
        return one_line_errors(command)(argv)


if __name__ == '__main__':
    sys.exit('error: this module is no program: run lordre COMMAND ..., or python -m '
             'mmdet_lordre_command COMMAND ...')
