"""A training that ends when some minutes are over: what a config takes for it."""
import math
import time

from mmengine.config import Config

from ..config.reading import type_name
from ..config.schedule import counts_epochs
from ..errors import UserError

#: Seconds kept for what is neither planned nor counted: building the model, writing it down.
_RESERVE = 3.
#: Share of the time that validations before the last one may take.
_VALIDATING = 0.1


def seconds_left(minutes: float, began: float) -> float:
    """Seconds that are left to train and to judge of minutes from ``began`` on."""
    return 60 * minutes - (time.monotonic() - began) - _RESERVE


def by_the_clock(cfg: Config, minutes: float, began: float, validation: float = 0.,
                 step: float | None = None, seconds: float | None = None) -> None:
    """Give a config a schedule that ends when the minutes do.

    Args:
        cfg: Changed in place; trains by iterations.
        minutes: From ``began`` on.
        began: ``time.monotonic()`` of the beginning.
        validation: Seconds that one takes, as far as is known.
        step: Seconds that a step took on the same machine.
        seconds: Of a schedule that is gone on with; what is left of the minutes if not given.

    Raises:
        UserError: There is no time left to train, or the config counts epochs.
    """
    if counts_epochs(cfg.get('train_cfg') or {}) is not False:
        raise UserError('--minutes needs a config that counts iterations (train_cfg=dict(type='
                        "'IterBasedTrainLoop', max_iters=...))")
    left = demand_time(minutes, began, validation, 'loading')
    left = left if seconds is None else seconds
    count = 1 + math.floor(_VALIDATING * left / validation) if validation else 1
    cfg.param_scheduler = []
    cfg.train_cfg.pop('val_interval', None)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), dict(
        type='TimedSchedule', seconds=round(left, 1), validations=min(5, count),
        validation_seconds=round(validation, 1), step_seconds=step)]


def count_again(cfg: Config, minutes: float, began: float) -> None:
    """Take off what has passed since :func:`by_the_clock`, before the training begins.

    Args:
        cfg: Changed in place.
        minutes, began: As before.

    Raises:
        UserError: There is no time left to train.
    """
    left = demand_time(minutes, began, after='reading the data')
    for hook in cfg.custom_hooks:
        if type_name(hook) == 'TimedSchedule':
            hook['seconds'] = round(left, 1)


def demand_time(minutes: float, began: float, validation: float = 0.,
                after: str = 'planning') -> float:
    """Seconds that are left to train and to judge, if they are enough.

    Args:
        minutes, began: As of :func:`by_the_clock`.
        validation: Seconds that one takes, as far as is known.
        after: What has taken the rest, in words.

    Raises:
        UserError: They are not.
    """
    left = seconds_left(minutes, began)
    if left - validation < 0.2 * 60 * minutes:
        raise UserError(
            f'--minutes {minutes:g}: {max(0, left):.0f} s are left after {after}'
            + (f', but validation takes {validation:.0f} s: allow more minutes, or use fewer '
               'validation images' if validation else ': allow more minutes'))
    return left
