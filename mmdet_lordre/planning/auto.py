"""Plan and train in one: what ``lordre train --auto`` does before the training begins."""
import contextlib
import copy
import itertools
import json
import math
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..config.own_data import PLAN, OwnData
from ..config.reading import load_config
from ..datasets.coco_file import read_annotations, write_annotations
from ..datasets.parts import subset
from ..errors import UserError
from ..files import atomic_write
from ..text import printable
from ..training.minutes import by_the_clock, demand_time, seconds_left
from .fit import FAMILIES
from .holdout import set_aside
from .measuring import absolute
from .objects import Objects, read_both
from .passing import passing_lines
from .plan import Plan, describe, make_plan
from .tiling import tiles_of_pictures
from .writing import config_text

#: Pixels that images are compared by at least, and those that are decoded in a second; share of the
#: minutes for it.
_PIXELS, _DECODED, _COMPARING = 1e8, 4e7, 0.05
#: Share of the minutes after which no other family is planned.
_PLANNING = 0.25
#: Share of the time that the last validation may take: of more images a part is judged.
_JUDGING = 0.2
#: File of that part.
_PART = 'judged.json'
#: What a plan consists of, in its folder.
WRITTEN = 'plan.txt', 'plan.json', 'planned.py', 'train.json', 'val.json', _PART
#: Folder beside it of a plan that was finished when no time was left to train.
LATE = 'plan-late'
#: What a written plan knows of the clock: arguments of :func:`by_the_clock`, and its own keys.
_CLOCK = {'minutes': 'minutes', 'validation': 'seconds_to_judge', 'step': 'seconds_a_step',
          'seconds': 'seconds_to_train'}


def auto_config(own: OwnData, work_dir: str, minutes: float, began: float, *,
                families: list[str] | None = None, size: str | None = None,
                pretrained: str | None = None, seed: int = 0,
                say: Callable[[str], object] = print) -> Config:
    """Plan, write the plan down, and give the config to train with.

    Args:
        own: Data to train on, and to judge on if there are any; they have been checked.
        work_dir: Of the run; the plan is written to ``plan/`` in it.
        minutes: From ``began`` to the end of the training.
        began: ``time.monotonic()`` of the beginning.
        families: That come into question.
        size: Of the model.
        pretrained: File of weights that the backbone begins with, or ``'none'``.
        seed: Of samples and of what is set aside.
        say: Takes what a person is told.

    Raises:
        UserError: Nothing can be learned from the data; or there is no time left to train.
    """
    folder = os.path.join(work_dir, PLAN)
    divided = own.val is None
    if divided:
        own, line = set_aside(own, folder, seed, max(_PIXELS, _COMPARING * 60 * minutes * _DECODED))
        say(line)
    train, val = read_both(*own.train, *(own.val or (None, None)), classes=own.classes, seconds=0)
    demand_time(minutes, began, after='reading the data')
    short = minutes < 5
    chosen_by = 'it was asked for' if families else \
        'in less than five minutes one family alone is planned, the one that learns soonest'
    families = families or _candidates(minutes)
    with passing_lines() as passing:
        plan = make_plan(train, val, minutes=minutes, families=families, size=size,
                         pretrained=pretrained, ceilings=not (short and len(families) == 1),
                         divided=divided, seed=seed, chosen_by=chosen_by, say=passing,
                         test=own.other_test,
                         seconds=seconds_left(minutes, began) - (1 - _PLANNING) * 60 * minutes)
    say(describe(plan))
    validation = 0.
    with _kept_where_late(plan, own, work_dir):
        demand_time(minutes, began)
    if val is not None:
        seconds = _seconds_to_judge(plan, val)
        chosen = images_to_judge(seconds, val.counts, seconds_left(minutes, began), seed)
        if len(chosen) < len(val.files):
            _write_part(val, chosen, folder)
            say(f'evaluating all {len(val.files)} images would take too long: training is '
                f'validated on {len(chosen)} of them (seed {seed})'
                + ('; lordre test evaluates the model on all' if own.other_test is None else ''))
        validation = 2 + float(seconds[chosen].sum())
    with _kept_where_late(plan, own, work_dir):
        demand_time(minutes, began, validation)
    step = plan.costs[plan.best].step
    _write(plan, folder, dict(seconds_to_judge=validation, seconds_a_step=step,
                              seconds_to_train=round(seconds_left(minutes, began), 1)))
    cfg = load_config(os.path.join(folder, 'planned.py'))
    judge_by_part(cfg, folder)
    # the minutes are a promise: what there is of them is used
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks
                        if hook.type != 'KeptEarlyStoppingHook']
    by_the_clock(cfg, minutes, began, validation, step)
    return cfg


@contextlib.contextmanager
def _kept_where_late(plan, own, work_dir):
    """Where no time is left, what has been planned is written down all the same."""
    try:
        yield
    except UserError as error:
        path = shlex.quote(printable(_keep(plan, own, work_dir)))
        raise UserError(f'{error}; what was planned is kept, and trained by lordre train '
                        f'{path}') from error


def _keep(plan, own, work_dir):
    """Write a plan where no other is written, with the data that another attempt would replace;
    returns the path of its config."""
    folders = (os.path.join(absolute(work_dir), LATE + end) for end in itertools.chain(
        [''], (f'-{number}' for number in itertools.count(2))))
    folder = next(folder for folder in folders if not os.path.lexists(folder))
    os.makedirs(folder)
    files = {}
    for name, part in dict(train=own.train, val=own.val, test=own.other_test).items():
        ann = part and absolute(part.ann_file)
        if part and Path(ann).is_relative_to(absolute(work_dir)):
            ann = shutil.copyfile(ann, os.path.join(folder, f'{name}.json'))
        files[name] = part and (ann, absolute(part.images))
    _write_texts(folder, {'plan.txt': describe(plan),
                          'planned.py': config_text(plan.fits[plan.best], **files)})
    return os.path.join(work_dir, os.path.basename(folder), 'planned.py')


def images_to_judge(seconds: np.ndarray, counts: np.ndarray, left: float,
                    seed: int = 0) -> np.ndarray:
    """The images that the training is judged by: drawn at random while there is time for them, one
    with objects among them; the quickest of these where there is time for none.

    Args:
        seconds: That judging each image takes.
        counts: Of objects in each.
        left: Seconds that are left to train and to judge.
        seed: Of the choice.

    Returns:
        Their indices, rising.
    """
    order = np.random.default_rng(seed).permutation(len(seconds))
    chosen = order[:np.searchsorted(seconds[order].cumsum(), _JUDGING * left, side='right')]
    if not counts[chosen].any():
        shown = np.flatnonzero(counts)
        chosen = np.append(chosen[:-1], shown[seconds[shown].argmin()])
    return np.sort(chosen)


def _seconds_to_judge(plan: Plan, val: Objects) -> np.ndarray:
    """Seconds (images,) that judging each takes."""
    cost, tile = plan.costs[plan.best], plan.fits[plan.best].tile
    tiles = tiles_of_pictures(val, tile) if tile else np.ones(len(val.files))
    return 1.5 * cost.image * tiles


def _write_part(val, chosen, folder):
    data, names = read_annotations(val.path), {val.files[i] for i in chosen}
    marks = np.array([image['file_name'] in names for image in data['images']])
    write_annotations(subset(data, marks), os.path.join(folder, _PART))


def judge_by_part(cfg: Config, folder: str) -> None:
    """Validate on the part of the images that a plan has chosen, if it has.

    Args:
        cfg: Changed in place.
        folder: Of the plan.
    """
    path = os.path.abspath(os.path.join(folder, _PART))
    if os.path.isfile(path):
        cfg.val_dataloader, cfg.val_evaluator = (
            copy.deepcopy(cfg[key]) for key in ('val_dataloader', 'val_evaluator'))
        cfg.val_dataloader.dataset.ann_file = cfg.val_evaluator.ann_file = path


def _candidates(minutes: float) -> list[str]:
    """Families worth measuring: all if there is time, else those that learn soonest."""
    if minutes >= 15:
        return list(FAMILIES)
    return ['lordre', 'solov2', 'polarmask'] if minutes >= 5 else ['lordre']


def clock_of_plan(folder: str) -> dict:
    """What :func:`by_the_clock` takes of a plan that was written: the minutes, and seconds that
    judging takes, and a step, and that planning has left; nothing where they are not known."""
    found = None
    with contextlib.suppress(OSError, ValueError), \
            open(os.path.join(folder, 'plan.json'), encoding='utf-8') as file:
        found = json.load(file)
    if not isinstance(found, dict):
        return {}
    return {name: found[key] for name, key in _CLOCK.items()
            if isinstance(found.get(key), (int, float)) and 0 < found[key] < math.inf}


def _write(plan, folder, clock):
    found = dict(family=plan.best, minutes=plan.minutes, **clock, ceilings={
        family: dict(AP=c.ap, AP50=c.ap50, AP75=c.ap75, lost=c.lost)
        for family, c in plan.ceilings.items()})
    # the config last: with it the plan is whole
    _write_texts(folder, {'plan.txt': describe(plan), 'plan.json': json.dumps(found, indent=1),
                          'planned.py': plan.configs[plan.best]})


def _write_texts(folder, texts):
    for name, text in texts.items():
        with atomic_write(os.path.join(folder, name)) as path, \
                open(path, 'w', encoding='utf-8') as file:
            file.write(text)
