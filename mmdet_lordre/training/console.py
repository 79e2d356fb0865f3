"""A console that can be read; the log file keeps everything."""
import logging
import re
import sys
from functools import partial
from logging import FileHandler, StreamHandler
from typing import TypeVar

#: Beginnings of mmengine's page-long messages, which go to the file alone.
_FOR_THE_FILE = (
    'Config:\n', 'System environment:', 'Runtime environment:', 'Hooks will be executed',
    'Name of parameter - Initialization', 'Distributed training is not used',
    '"FileClient" will be deprecated', '"HardDiskBackend" is the alias',
    'Checkpoints will be saved to', 'Load checkpoint from', 'resumed epoch:',
    'The prefix is not set in metric class DumpMaskResults')

Logger = TypeVar('Logger', bound=logging.Logger)

# names of classes may have spaces; two of them lie between entries
_NOISE = re.compile(r'(?:\b(?:base_lr|data_time)|(?<= {2})\S(?:(?! {2}).)*?_precision): \S+\s*')
_SPACES = re.compile(r'(?<=\S) {2,}')


class _NotForTheConsole(logging.Filter):

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage().lstrip('\n- ')
        return record.levelno > logging.WARNING or not text.startswith(_FOR_THE_FILE)


class ConsoleFormatter(logging.Formatter):
    """Time of day and message; an iteration is one line without what nobody watches."""

    def __init__(self):
        super().__init__('%(asctime)s  %(message)s', '%H:%M:%S')

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if 'Epoch(' in text or 'Iter(' in text:
            text = _SPACES.sub('  ', _NOISE.sub('', text)).rstrip()
        elif record.levelno >= logging.WARNING:
            stamp, _, message = text.partition('  ')
            text = f'{stamp}  {record.levelname.lower()}: {message}'
        return text


def _say_once(handler: FileHandler, record: logging.LogRecord) -> None:
    """One line in place of a traceback for each message that a full disk refuses."""
    if not handler.said:
        handler.said = True
        print(f'warning: the log {handler.baseFilename} cannot be written: {sys.exc_info()[1]}',
              file=sys.stderr)


def readable(logger: Logger) -> Logger:
    """Give the console handlers of a logger the readable format.

    Args:
        logger: Its file handlers keep their format; one that cannot write says so once.

    Returns:
        The same.
    """
    for handler in logger.handlers:
        if isinstance(handler, FileHandler) and not hasattr(handler, 'said'):
            handler.said = False
            handler.handleError = partial(_say_once, handler)
        if isinstance(handler, StreamHandler) and not isinstance(handler, FileHandler):
            handler.setFormatter(ConsoleFormatter())
            if not any(isinstance(f, _NotForTheConsole) for f in handler.filters):
                handler.addFilter(_NotForTheConsole())
    return logger
