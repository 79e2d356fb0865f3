"""The program ``lordre``, and what ``tools/NAME.py`` call, before mmdet is loaded.

It lies beside the package because importing any part of that loads all of mmdet, which takes
seconds: help, the version and a mistyped command need none of it.
"""
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

#: Commands, and what each does.
COMMANDS = {
    'plan': 'fit a model to data, and say beforehand what it can reach',
    'train': 'train a model',
    'test': 'test a model',
    'predict': 'find the objects in pictures and films and write them to files',
    'report': 'write a page that shows how good a model is and where it fails',
    'demo': 'draw what a model finds in images',
    'check': 'find what is wrong, doubtful or twice in a data set',
    'check-dataset': 'the same as check',
    'browse': 'draw a data set: one HTML page and mosaics',
    'split': 'divide a data set into training, validation and test parts',
    'benchmark': 'measure the latency of a model, part by part',
    'export-onnx': 'write a model as an ONNX file',
    'convert-data': 'convert annotations from one format into another',
    'convert-checkpoint': 'convert weights of the original repositories',
    'get-flops': 'count the parameters and multiply-adds of a model',
    'make-shapes': 'draw the embedded data set',
    'polar-upper-bound': 'compute what perfect rays (PolarMask) would reach on a COCO file',
    'prepare-cocofied-lvis': 'reduce an LVIS file to the categories of COCO',
}


def run(name: str, argv: list[str] | None = None) -> Any:
    """Run a command: what it returns, or one line of error and its status.

    Args:
        name: Of the command.
        argv: Its arguments; those of the process if not given, which then is this program.
    """
    with _ending_on_interrupt() if argv is None else nullcontext():
        from mmdet_lordre.cli.main import run as run_loaded
    return run_loaded(name, argv)


def main(argv: list[str] | None = None) -> Any:
    """Run ``lordre COMMAND ...``: what the command returns."""
    whole = argv is None
    argv = sys.argv[1:] if whole else argv
    if not argv or argv[0] in ('-h', '--help'):
        width = max(map(len, COMMANDS))
        print('usage: lordre COMMAND ...\n\n'
              + '\n'.join(f'  {name.ljust(width)}  {what}' for name, what in COMMANDS.items())
              + '\n\nWith data of your own: lordre check DATA, then lordre train --auto '
                '--train-ann DATA, then\nlordre predict PICTURES --model work_dirs/auto.'
                '\nlordre COMMAND --help lists the options of a command; lordre --version.')
        return None
    if argv[0] in ('-V', '--version'):
        print(f'lordre {_version()}')
        return None
    if argv[0] not in COMMANDS:
        import difflib
        close = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        print(f'error: no such command: {argv[0]!r}'
              + (f' (did you mean {close[0]}?)' if close else '')
              + f'; choose from {", ".join(COMMANDS)}', file=sys.stderr)
        sys.exit(2)
    sys.argv[0] = f'lordre {argv[0]}'
    if whole:  # the command reads what follows its name
        del sys.argv[1]
    return run(argv[0], None if whole else argv[1:])


def console() -> None:
    """``lordre`` as a program: what a command returns is not its exit status."""
    main()


@contextmanager
def _ending_on_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once with one word: libraries being loaded may catch or print a
    KeyboardInterrupt, and nothing is begun yet that would have to be put in order.
    """
    def end(*_):
        os.write(2, b'interrupted\n')
        os._exit(130)
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:  # ignored, as where a shell runs it with &
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _version():
    """The package's, read from its text."""
    import importlib.util
    import re
    with open(importlib.util.find_spec('mmdet_lordre').origin, encoding='utf8') as file:
        return re.search(r"^__version__ = '(.+)'$", file.read(), re.MULTILINE)[1]


if __name__ == '__main__':
    console()
