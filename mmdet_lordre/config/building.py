"""Building what a config describes: without a word, or with one line about why it cannot be."""
import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.config import Config

from ..errors import UserError
from .keys import nodes_of


@contextmanager
def quiet() -> Iterator[None]:
    """Without what mmengine tells of every parameter, and pycocotools of every file."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


@contextmanager
def building(cfg: Config, name: str) -> Iterator[None]:
    """Say in one line why what the config describes cannot be built.

    Args:
        cfg: Complete.
        name: Of the config, for the message.

    Raises:
        UserError: See :func:`not_built`, in place of errors of other classes.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise not_built(cfg, name, error) from error


def not_built(cfg: Config, name: str, error: Exception) -> UserError:
    """The one line for an error of a class that a config names.

    Args:
        cfg: Complete.
        name: Of the config.
        error: What its building ended with.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        # Python has no distutils of its own since 3.12
        package = {'distutils': 'setuptools'}.get(error.name.split('.')[0], error.name)
        return UserError(f'config {name} needs the package {package}, which is not installed '
                         'here: install it, or change what asks for it '
                         '(MMDET_LORDRE_TRACEBACK=1 shows where)')
    what = error.args[0] if isinstance(error, KeyError) and error.args else error
    what = _demanded(cfg, error) or f'{type(error).__name__}: {what}'
    return UserError(f'config {name}: {what} (MMDET_LORDRE_TRACEBACK=1 shows where)')


def _demanded(cfg, error):
    """What an assertion without words demands, and of which part of the model."""
    if not isinstance(error, AssertionError) or str(error) or error.__traceback__ is None:
        return None
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    line = traceback.extract_tb(error.__traceback__)[-1].line or ''
    kind = type(frame.f_locals.get('self')).__name__
    places = [place for place, node in nodes_of(cfg.model, 'model') if node.get('type') == kind]
    where = places[0] if len(places) == 1 else 'it'
    return f'{where} cannot be built: {kind} demands {line.removeprefix("assert ")}'
