"""Command-line options that several tools have."""
import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mmengine.config import DictAction

from ..devices import demand_device
from ..errors import UserError
from ..launchers import LAUNCHERS
from ..text import printable


class UsageError(UserError):
    """A command line that does not parse."""

    status = 2


class Parser(argparse.ArgumentParser):
    """argparse's, with its errors in one line as all others are.

    Attributes:
        intermixed: Whether options may stand between names of which some can be left out.
    """

    intermixed = False
    _words: Sequence[str] = ()

    def parse_known_args(self, args: Sequence[str] | None = None,
                         namespace: argparse.Namespace | None = None) -> Any:
        """As argparse does; what was typed is kept for its errors."""
        if not self.intermixed:
            self._words = self._words or (sys.argv[1:] if args is None else list(args))
            return super().parse_known_args(args, namespace)
        self._words = sys.argv[1:] if args is None else list(args)
        self.intermixed = False  # it calls this once for the options and once for the names
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def _meant(self, word):
        near = difflib.get_close_matches(word.split('=')[0], self._option_string_actions, n=1)
        return f' (did you mean {near[0]}?)' if near else ''

    def error(self, message: str) -> NoReturn:
        """Raise the message, with the option that was probably meant.

        Raises:
            UsageError: Always.
        """
        if message.startswith('unrecognized arguments: --'):
            message += self._meant(message.split()[2])
        if message.startswith('the following arguments are required: -'):
            # one that was misspelled is missing, and says more than that it is
            unknown = [word for word in self._words if word.startswith('--')
                       and not any(option.startswith(word.split('=')[0])
                                   for option in self._option_string_actions)]
            if unknown:
                message += f'; there is no {printable(unknown[0], 80)}{self._meant(unknown[0])}'
        raise UsageError(f'{message}; {self.prog} --help lists the options')


class _Options(DictAction):
    """mmengine's, with a word about what it cannot take apart."""

    def __call__(self, parser, namespace, values, option_string=None):
        for text in values:
            key, separator, _ = text.partition('=')
            if not separator or not all(key.split('.')):
                parser.error(f'argument {option_string}: {text!r} is not KEY=VALUE')
            try:
                super().__call__(parser, namespace, [text], option_string)
            except (AssertionError, ValueError, IndexError, RecursionError) as error:
                parser.error(f'argument {option_string}: {text!r}: {error}')


def add_cfg_options(parser: argparse.ArgumentParser, example: str = '') -> None:
    """``--cfg-options KEY=VALUE ...``, with an ``example`` after the line of help."""
    parser.add_argument('--cfg-options', nargs='+', action=_Options, metavar='KEY=VALUE',
                        help=f'override values of the config{example}')


def add_common(parser: argparse.ArgumentParser, folder: str = 'folder of logs and checkpoints '
               '(default: work_dirs/CONFIG)') -> None:
    """``--work-dir`` (a ``folder``), ``--cfg-options`` and ``--launcher``, as in mmdet's tools."""
    parser.add_argument('--work-dir', help=folder)
    add_cfg_options(parser, ', such as train_dataloader.batch_size=4 '
                            'model.mask_head.num_classes=3')
    parser.add_argument('--launcher', choices=['none', *LAUNCHERS], default='none',
                        help='how several processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """``--overwrite``, without which nothing that is there is written over."""
    parser.add_argument('--overwrite', action='store_true',
                        help=f'replace {what} if it already exists')


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device``; what it is given is there when the parser is done."""
    parser.add_argument('--device', type=_device,
                        help='cpu, cuda:0, ... (default: a GPU if there is one)')


def _device(name: str) -> str:
    try:
        demand_device(name)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def whole_number(least: int = 1) -> Callable[[str], int]:
    """A type of options: a whole number that is not too small.

    Args:
        least: The smallest that is taken.

    Returns:
        What reads the text, and raises an ``ArgumentTypeError`` for others.
    """
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f'{text!r} is not an integer of {least} or more')
        return value
    return read


def score(text: str) -> float:
    """A type of options: a score, 0 to 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a score from 0 to 1')
    return value


def set_local_rank(args: argparse.Namespace) -> None:
    """torch's launchers say the local rank by an option or in the environment."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def is_main_process() -> bool:
    """Whether this is the process that checks and reports, before any group exists."""
    ranks = (os.environ.get(rank) for rank, _, _ in LAUNCHERS.values())
    return int(next((rank for rank in ranks if rank), 0)) == 0
