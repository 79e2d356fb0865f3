"""A schedule of the learning rate that is made for another length of training."""
import math

from mmengine.config import Config

from ..text import plural
from .reading import type_name


def counts_epochs(train_cfg: dict) -> bool | None:
    """Whether a training counts epochs, not iterations; None for a loop of another kind.

    Args:
        train_cfg: With the ``type`` of the loop, or ``by_epoch`` in its place.
    """
    if train_cfg.get('type') is None:
        return bool(train_cfg['by_epoch']) if 'by_epoch' in train_cfg else None
    return dict(EpochBasedTrainLoop=True, IterBasedTrainLoop=False).get(type_name(train_cfg))


def schedule_warnings(cfg: Config) -> list[str]:
    """A line if the schedule ends before the training does, or would go on after it.

    Args:
        cfg: With or without ``param_scheduler``; one that counts in other units than the training
            is left alone.
    """
    training = cfg.get('train_cfg') or {}
    schedulers = cfg.get('param_scheduler') or []
    in_epochs = bool(counts_epochs(training))
    what, key = ('epoch', 'max_epochs') if in_epochs else ('iteration', 'max_iters')
    length = training.get(key)
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    ends = [one.get('end') for one in schedulers
            if isinstance(one, dict) and one.get('by_epoch', True) == in_epochs]
    # one without an end goes on for as long as the training
    end = max((math.inf if end is None else end for end in ends), default=math.inf)
    if not isinstance(length, int) or not isinstance(end, int) or end == length:
        return []
    effect = (f'the rate stays where it is for the last {length - end}' if end < length else
              f'training stops {plural(end - length, what)} before the schedule does, at a rate '
              'that is too high')
    return [f'param_scheduler ends at {what} {end} and training at {length} '
            f'(train_cfg.{key}): {effect}; set end (and T_max) of its schedulers to {length}']
