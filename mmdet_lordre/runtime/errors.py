"""One line instead of a traceback for what a user can put right."""
import functools
import os
import re
import sys
import warnings


class UserError(Exception):
    """Wrong input: the message names what, where and the remedy, in one line."""


#: Errors that surface in a data-loading worker, recognised by their last line.
_FROM_WORKERS = (
    (re.compile(r'failed to load image: (.+)'),
     'the image {0} cannot be decoded: replace it or take it out of the annotation file'),
    (re.compile(r"No such file or directory: '(.+)'"), 'no such file: {0}'),
)


def explain(error):
    """The one line for an exception, or None when it is not known to be the user's.

    Args:
        error (BaseException): what a tool ended with.
    """
    if isinstance(error, UserError):
        return ' '.join(str(error).split())
    text = str(error)
    for pattern, message in _FROM_WORKERS:
        # a worker's text quotes the source first, and ends with the message
        found = pattern.findall(text)
        if found:
            return message.format(found[-1].strip().strip('\'"'))
    return None


def one_line_errors(main):
    """Make ``main`` of a tool end with ``error: ...`` and status 1 on a user's mistake.

    Anything unknown keeps its traceback, and so does everything when the environment
    variable ``MMDET_LORDRE_TRACEBACK`` is set.
    """
    from .distributed import end_of_process  # it raises errors of this module itself

    @functools.wraps(main)
    def wrapper(*args, **kwargs):
        # of mmdet's and mmengine's own calls: nothing that a user of the tools could change
        warnings.filterwarnings('ignore', 'torch.meshgrid')
        warnings.filterwarnings('ignore', '.broadcast_buffers. is deprecated')
        try:
            result, status = main(*args, **kwargs), 0
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
            status = 1
        end_of_process(status)
        if status:
            sys.exit(status)
        return result
    return wrapper
