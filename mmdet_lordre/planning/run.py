"""A training from data alone: plan, train by the clock, keep the best."""
import contextlib
import json
import math
import os
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from numbers import Integral, Real

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from ..config.checks import check_class_counts, check_data, use_files
from ..config.moved import follow_moved
from ..config.own_data import CLEAN, CONVERTED, PLAN, OwnData, find_own_data
from ..config.reading import load_config
from ..datasets.coco_file import forget_annotations, read_annotations
from ..datasets.image_rules import annotated_as_stored
from ..errors import UserError
from ..files import atomic_write, identity, refuse_overwriting
from ..reporting.after_training import report_on_training, results_prefix
from ..training.earlier import refuse_earlier
from ..training.last_results import LastResultsHook
from ..training.lock import work_folder
from ..training.minutes import by_the_clock
from ..training.resume import checkpoints_of
from ..training.runner import ToolRunner
from .auto import LATE, WRITTEN, auto_config, clock_of_plan, judge_by_part
from .fit import FAMILIES, SIZES
from .plan import MINUTES
from .reading import Reading

#: In the folder of the plan: data and limits that were asked for.
ASKED = 'asked.json'
#: Options whose values are paths.
_PATHS = '--train-ann', '--val-ann', '--data', '--train-images', '--val-images', '--pretrained'


def free_folder(folder: str, last: bool = False) -> str:
    """The folder, or the first of folder-2, folder-3, ... that is not there.

    Args:
        folder: Wished for.
        last: Instead the last one that is there.
    """
    number, name = 1, folder
    while os.path.exists(name) and (last or not _unfinished(name)):
        number += 1
        name = f'{folder}-{number}'
    if last:
        return f'{folder}-{number - 1}' if number > 2 else folder
    return name


def _unfinished(folder):
    """Whether all that is there is a plan that came to nothing."""
    plan = os.path.join(folder, PLAN)
    return (os.path.isfile(os.path.join(plan, ASKED))
            and not os.path.exists(os.path.join(plan, 'planned.py'))
            and all(name in (PLAN, CONVERTED, CLEAN) or name.startswith(LATE)
                    for name in os.listdir(folder)))


def _start(cfg: Config) -> Runner:
    """Train, and write ``WORK_DIR/report``, as the command does."""
    runner = ToolRunner.from_cfg(cfg)
    runner.register_hook(LastResultsHook(results_prefix(cfg.work_dir)))
    runner.train()
    report_on_training(runner, cfg)
    return runner


def _whole_paths(asked):
    return {option: os.path.realpath(value) if isinstance(value, str) and option in _PATHS
            and value != 'none' else value for option, value in asked.items() if value}


def _demand_same(asked, work_dir):
    """Refuse to go on with a plan that was made for something else."""
    path = os.path.join(work_dir, PLAN, ASKED)
    try:
        with open(path, encoding='utf-8') as file:
            before = json.load(file)
    except (OSError, ValueError):
        before = {}
    for option, value in _whole_paths(asked).items():
        if before.get(option) != value:
            raise UserError(f'{option} {value}: the plan in {work_dir} was made '
                            + (f'for {before[option]}' if option in before else 'without it')
                            + f'; leave {option} out, or start anew with another --work-dir')


def _refuse_foreign(asked, work_dir):
    """Refuse a folder of a plan with files that no plan has made, or that are read."""
    folder = os.path.join(work_dir, PLAN)
    known = os.path.isfile(os.path.join(folder, ASKED))  # an unfinished plan begins with it
    there = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if there and not known:
        raise UserError(f'{os.path.join(folder, there[0])} already exists and was not written by '
                        'a plan: choose another --work-dir')
    read = [value for option, value in asked.items() if option in _PATHS and value]
    if there and identity(folder) in map(identity, read):
        raise UserError(f'{folder} is both an input and the output of this run: choose another '
                        '--work-dir')
    refuse_overwriting((os.path.join(folder, name) for name in (*WRITTEN, ASKED)), overwrite=True,
                       sources=filter(os.path.isfile, read))


def _begin_plan(asked, work_dir):
    """Make the folder of a plan, without what another attempt has left, and mark it as one."""
    folder = os.path.join(work_dir, PLAN)
    os.makedirs(folder, exist_ok=True)
    for name in WRITTEN:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(folder, name))
    with atomic_write(os.path.join(folder, ASKED)) as path, \
            open(path, 'w', encoding='utf-8') as file:
        json.dump(_whole_paths(asked), file)


def _check(minutes, seed, families, size):
    """Refuse what a command line would not let through."""
    if minutes is not None and not (isinstance(minutes, Real) and 0 < minutes < math.inf):
        raise UserError(f'minutes must be a number above 0, not {minutes!r}')
    if seed is not None and not (isinstance(seed, Integral) and 0 <= seed < 2**32):
        raise UserError(f'seed must be an integer from 0 to {2**32 - 1}, not {seed!r}')
    for what, there, values in (('family', FAMILIES, families or ()),
                                ('size', SIZES, () if size is None else (size,))):
        for value in values:
            if value not in list(there):
                raise UserError(f'there is no {what} {value!r}; there are {", ".join(there)}')


def _checked(own: OwnData, **how) -> OwnData:
    """The data as training takes them, repaired and without what is left out."""
    parts = {name: getattr(own, name) for name in ('train', 'val') if getattr(own, name)}
    reading = Reading(upright=not annotated_as_stored(
        [(read_annotations(part.ann_file), part.images) for part in parts.values()]))
    cfg = Config({f'{name}_dataloader': dict(dataset=dict(
        type='CocoDataset', ann_file=part.ann_file, data_prefix=dict(img=part.images),
        metainfo=dict(classes=own.classes),
        pipeline=[dict(type='LoadImageFromFile', color_type=reading.color_type),
                  dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]))
        for name, part in parts.items()})
    copies = check_data(cfg, tuple(parts), **how)

    def copy(part):
        return part and part._replace(
            ann_file=copies.get(os.path.abspath(part.ann_file), part.ann_file))
    return replace(own, train=copy(own.train), val=copy(own.val), test=copy(own.test))


def train_auto(train_ann: str | None = None, val_ann: str | None = None, *,
               data: str | None = None, train_images: str | None = None,
               val_images: str | None = None, minutes: float | None = None,
               work_dir: str | None = None, families: Sequence[str] | None = None,
               size: str | None = None, pretrained: str | None = None,
               seed: int | None = None, resume: bool = False,
               skip_bad: bool = False, keep_empty_classes: bool = False,
               crowd_as_instances: bool = False, began: float | None = None,
               start: Callable[[Config], Runner] = _start,
               say: Callable[[str], object] = print) -> Runner:
    """Fit a model to data and train it.

    Args:
        train_ann, val_ann: Annotations of any format, files or folders; without ``val_ann`` a
            part of the images is set aside.
        data: A folder or file that holds all parts, in place of the others.
        train_images, val_images: Image folders, where they are not found.
        minutes: From ``began`` to the end; 30 on a CPU, 120 on a GPU, where a plan goes on those
            that it was made for.
        work_dir: Of the run; ``work_dirs/auto`` or the next one that is free.
        families, size: That come into question.
        pretrained: File of weights that the backbone begins with, or ``'none'``.
        seed: Of all random numbers.
        resume: Go on with what was planned, from the last checkpoint.
        skip_bad, keep_empty_classes, crowd_as_instances: As of ``lordre train``.
        began: ``time.monotonic()`` of the beginning; now, if not given.
        start: Builds a runner of a config and trains.
        say: Is told what a person wants to know.

    Returns:
        The runner; its ``work_dir`` is the model.

    Raises:
        UserError: Nothing can be learned from the data, or the minutes are too few.
    """
    began = time.monotonic() if began is None else began
    train_ann, val_ann, data, train_images, val_images, work_dir, pretrained = (
        value and os.fspath(value) for value in (
            train_ann, val_ann, data, train_images, val_images, work_dir, pretrained))
    if not isinstance(families, Iterable | None):
        raise UserError(f'families must be a name or a list of names, not {families!r}')
    families = [families] if isinstance(families, str) else list(families or ()) or None
    _check(minutes, seed, families, size)
    seed = None if seed is None else int(seed)
    work_dir = work_dir or free_folder(os.path.join('work_dirs', 'auto'), last=resume)
    planned = os.path.join(work_dir, PLAN, 'planned.py')
    if os.path.isfile(planned) and not resume:
        raise UserError(f'{work_dir} already has a plan: continue with --resume, or choose '
                        'another --work-dir')
    clock = dict(minutes=MINUTES['cpu' if get_device() == 'cpu' else 'cuda'])
    if os.path.isfile(planned):
        clock |= clock_of_plan(os.path.join(work_dir, PLAN))
    begun = bool(checkpoints_of(work_dir))
    if minutes is not None:
        clock['minutes'] = float(minutes)
    if minutes is not None or not begun:  # else what planning took is gone
        clock.pop('seconds', None)
    asked = {'--train-ann': train_ann, '--val-ann': val_ann, '--data': data,
             '--train-images': train_images, '--val-images': val_images,
             '--family': families, '--size': size, '--pretrained': pretrained,
             '--keep-empty-classes': keep_empty_classes}
    how = dict(skip_bad=skip_bad, clean_to=os.path.join(work_dir, CLEAN),
               crowd_as_instances=crowd_as_instances)
    with work_folder(work_dir):
        if os.path.isfile(planned):
            _demand_same(asked, work_dir)
            cfg = load_config(planned)
            follow_moved(cfg, work_dir)
            judge_by_part(cfg, os.path.join(work_dir, PLAN))
            by_the_clock(cfg, began=began, **clock)
            cfg.resume = begun
            # of a new plan the data have been checked
            use_files(cfg, check_data(cfg, ('train', 'val'), warn=say, **how))
        else:
            if not (train_ann or data):
                raise UserError(f'{work_dir} has no finished plan to go on with: give the '
                                '--work-dir of one, or begin with --train-ann ANN or --data DATA')
            refuse_earlier(work_dir, overwrite=None)
            _refuse_foreign(asked, work_dir)
            own = find_own_data(train_ann, val_ann, train_images, val_images, data,
                                os.path.join(work_dir, CONVERTED), keep_empty_classes, say)
            # what training would stop at stops here, before anything is planned
            own = _checked(own, warn=say, **how)
            _begin_plan(asked, work_dir)
            cfg = auto_config(own, work_dir, clock['minutes'], began, families=families, size=size,
                              pretrained=pretrained,
                              seed=seed or 0, say=say)
        cfg.work_dir, cfg.launcher = work_dir, 'none'
        if seed is not None:
            cfg.randomness = dict(seed=seed)
        check_class_counts(cfg)
        forget_annotations()
        runner = start(cfg)
    best = runner.message_hub.runtime_info.get('best_score')
    runner.logger.info(
        (f'Best mask AP on the validation images: {best:.3f}. ' if best is not None else '')
        + f'The model is the folder {work_dir}: lordre predict PICTURES --model '
        + shlex.quote(work_dir))
    return runner
