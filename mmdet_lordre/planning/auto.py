"""Plan and train in one: what ``lordre train --auto`` does before the training begins."""
import json
import math
import os
import time
from collections.abc import Callable

import numpy as np
from mmengine.config import Config

from ..config.own_data import OwnData
from ..config.reading import load_config
from ..errors import UserError
from ..files import atomic_write
from .fit import FAMILIES
from .holdout import set_aside
from .objects import Objects
from .plan import Plan, describe, make_plan, read_both
from .sample import look

#: Folder of the plan in a work folder.
PLAN = 'plan'
#: Seconds kept for what is neither planned nor counted: building the model, writing it down.
_RESERVE = 3.
#: Share of the time that validations before the last one may take.
_VALIDATING = 0.1


def auto_config(own: OwnData, work_dir: str, minutes: float, began: float, *,
                families: list[str] | None = None, size: str | None = None,
                device: str | None = None, seed: int = 0, clock: str = 'wall',
                say: Callable[[str], object] = print) -> Config:
    """Plan, write the plan down, and give the config to train with.

    Args:
        own: Data to train on, and to judge on if there are any.
        work_dir: Of the run; the plan is written to ``plan/`` in it.
        minutes: From ``began`` to the end of the training.
        began: ``time.monotonic()`` of the beginning.
        families: That come into question.
        size: Of the model.
        device: Where the training is to run.
        seed: Of samples and of what is set aside.
        clock: By which the schedule runs, ``'wall'`` or ``'cpu'``.
        say: Takes what a person is told.

    Raises:
        UserError: Nothing can be learned from the data; or there is no time left to train.
    """
    folder = os.path.join(work_dir, PLAN)
    divided = own.val is None
    if divided:
        own, line = set_aside(own, folder, seed)
        say(line)
    train, val = read_both(*own.train, *(own.val or (None, None)), classes=own.classes)
    short = minutes < 5
    families = families or _candidates(train, minutes)
    plan = make_plan(train, val, minutes=minutes, device=device, families=families, size=size,
                     ceilings=not (short and len(families) == 1), divided=divided, seed=seed)
    say(describe(plan))
    _write(plan, folder)
    cfg = load_config(os.path.join(folder, 'planned.py'))
    by_the_clock(cfg, plan, minutes, began, val, clock)
    return cfg


def _candidates(train: Objects, minutes: float) -> list[str]:
    """Families worth measuring: all if there is time, else what the card alone suggests."""
    if minutes >= 15:
        return list(FAMILIES)
    if minutes >= 5:
        return ['lordre', 'solov2', 'polarmask']
    looks = look(train, images=20, most=500, with_pixels=False)
    round_ones = looks.holes + looks.parts < 0.1 and looks.elongated < 0.3
    many = np.percentile(train.counts, 75) > 15
    return ['polarmask' if many and round_ones else 'solov2']


def by_the_clock(cfg: Config, plan: Plan | None, minutes: float, began: float,
                 val: Objects | None = None, clock: str = 'wall') -> None:
    """Give a config a schedule that ends when the minutes do.

    Args:
        cfg: Changed in place; trains by iterations.
        plan: With the cost of what is trained, if it was measured.
        minutes: From ``began`` on.
        began: ``time.monotonic()`` of the beginning.
        val: What is judged on.
        clock: ``'wall'`` or ``'cpu'``.

    Raises:
        UserError: There is no time left to train, or the config counts epochs.
    """
    if (cfg.get('train_cfg') or {}).get('type') != 'IterBasedTrainLoop':
        raise UserError('--minutes needs a config that counts iterations (train_cfg=dict(type='
                        "'IterBasedTrainLoop', max_iters=...))")
    validation = 0.
    cost = plan.costs.get(plan.best) if plan else None
    if val is not None and cost is not None:
        validation = 2 + 1.5 * cost.image * len(val.files)
    left = 60 * minutes - (time.monotonic() - began) - _RESERVE
    if left - validation < 0.2 * 60 * minutes:
        raise UserError(
            f'--minutes {minutes:g}: {max(0, left):.0f} s are left after planning'
            + (f', and judging takes {validation:.0f} s' if validation else '')
            + ': give more minutes, or fewer images to judge on')
    count = 1 + math.floor(_VALIDATING * left / validation) if validation else 1
    cfg.param_scheduler = []
    cfg.train_cfg.pop('val_interval', None)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or ()), dict(
        type='TimedSchedule', seconds=round(left, 1), clock=clock,
        validations=min(5, count), validation_seconds=round(validation, 1))]


def _write(plan: Plan, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    found = dict(family=plan.best, minutes=plan.minutes, ceilings={
        family: dict(AP=c.ap, AP50=c.ap50, AP75=c.ap75, lost=c.lost)
        for family, c in plan.ceilings.items()})
    for name, text in (('planned.py', plan.configs[plan.best]), ('plan.txt', describe(plan)),
                       ('plan.json', json.dumps(found, indent=1))):
        with atomic_write(os.path.join(folder, name)) as path, open(path, 'w') as file:
            file.write(text)
