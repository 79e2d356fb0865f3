"""The plan: card, fits, ceilings, costs and a recommendation, made in this order."""
import functools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
from mmengine.device import get_device

from ..devices import few_threads
from ..errors import UserError
from ..text import listed, plural, printable
from . import rules, sizing
from .affordable import affordable, steps_held
from .card import Card
from .ceiling import Ceiling, ceiling_of
from .cost import Cost
from .fit import FAMILIES, SIZES, Fit, fit
from .layout import faster_layout
from .leaks import find_leaks
from .measuring import Measuring, absolute, config_of
from .memory import free_on
from .objects import Objects
from .pretrained import Pretrained, find_pretrained, read_pretrained
from .reading import reading_of
from .recommend import Choice, rank
from .sample import Looks, choose_images, look
from .tiling import cut, empty_share, tiles_of_pictures, tiling_of
from .writing import config_text

#: Minutes of training where none are given, without and with a GPU.
MINUTES = {'cpu': 30., 'cuda': 120.}
#: Ceilings below which a plan is doubtful, and steps.
_LOW, _FEW_STEPS = 0.4, 200
#: Pixels of the network input below which objects are hardly found.
_HARDLY_SEEN = 6
#: Images and objects that ceilings are computed of.
_CEILING_IMAGES, _CEILING_OBJECTS = 50, 1200


@dataclass
class Plan:
    """What is known before training.

    Attributes:
        card: Of the data.
        minutes: Of the training.
        device: Where it is to run.
        fits: Numbers, by family.
        configs: Texts of the configs, by family.
        ceilings: By family.
        costs: By family; empty if nothing was measured.
        choices: Families, the recommended one first.
        left_out: Families that there was no time for.
        seconds: That planning took.
        test: Annotations and folder of images that the configs are tested on, if there are any
            other than those of the validation.
    """
    card: Card
    minutes: float
    device: str
    fits: dict[str, Fit] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    ceilings: dict[str, Ceiling] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.
    test: tuple[str, str] | None = None

    @property
    def best(self) -> str:
        """The recommended family."""
        return self.choices[0].family


def check_limits(minutes: float | None, memory: float | None) -> None:
    """Refuse minutes and GiB that cannot be meant; None where none are given."""
    if minutes is not None and not 0 < minutes < math.inf:
        raise UserError(f'--minutes must be more than 0, not {minutes}')
    if memory is not None and not memory > 0:
        raise UserError(f'--memory must be more than 0 GiB, not {memory}')


def make_plan(train: Objects, val: Objects | None = None, *, minutes: float | None = None,
              device: str | None = None, memory: float | None = None,
              families: Sequence[str] | None = None, size: str | None = None,
              pretrained: str | None = None, measured: bool = True, ceilings: bool = True,
              divided: bool = False, seed: int = 0, chosen_by: str = 'it was asked for',
              seconds: float = math.inf, test: tuple[str, str] | None = None,
              say: Callable[[str], object] = lambda line: None) -> Plan:
    """Fit a model to data.

    Args:
        train: Data to train on.
        val: Data to judge on; ceilings are computed on them.
        minutes: Of the training; 30 on a CPU, 120 on a GPU.
        device: Where the training is to run.
        memory: GiB that a training step may take; on a GPU most of what is free if not given.
        families: Those that come into question; all five if not given.
        size: A step of the ladder of sizes; by device and minutes if not given.
        pretrained: File of weights that the backbone begins with, ``'none'`` for random ones;
            ImageNet weights in torch's cache, where they fit, if not given.
        measured: Whether steps are measured; else sizes are as wished for.
        ceilings: Whether ceilings are computed; one family alone can do without.
        divided: Whether the data were divided so that nothing can be on both sides.
        seed: Of the samples.
        chosen_by: Why it is one family alone, where no ceilings are computed.
        seconds: After which no other family is begun.
        test: Annotations and folder of images that the configs are tested on, in place of
            ``val``.
        say: Is told what is being done.

    Raises:
        UserError: An argument is out of range.
    """
    began = time.monotonic()
    device = device or get_device()
    if minutes is None:
        minutes = MINUTES['cpu' if device == 'cpu' else 'cuda']
    check_limits(minutes, memory)
    limit = f'--memory {memory:g}' if memory else 'the free memory of the GPU'
    if memory is None:
        memory = free_on(device)
    families = list(dict.fromkeys(families or FAMILIES))
    chosen, why = (size, 'as asked for') if size else rules.size_of(
        device, minutes, memory, len(train.files), limit)
    weights = functools.cache(functools.partial(
        _weights, functools.cache(read_pretrained), pretrained))
    weights(chosen)  # a file that cannot be used is said at once
    say('looking at the images')
    looks, reading = look(train, seed=seed), reading_of(train, seed)
    leaks = None
    if val is not None and not divided:
        say('comparing training and validation images')
        leaks = find_leaks(train, val, seed)
    plan = Plan(Card(train, looks, val, leaks, reading), minutes, device, test=test)
    with few_threads(device), \
            Measuring(train, device, reading) if measured else nullcontext() as measuring:
        _fit_all(plan, families, measuring, (memory, limit), (chosen, why, bool(size)),
                 weights, began + seconds, say)
        plan.left_out = families[len(plan.fits):]
        if plan.left_out and len(plan.fits) == 1:
            ceilings, chosen_by = False, 'the one that learns soonest'
        plan.card = replace(plan.card, all_counted=all(one.tile for one in plan.fits.values()))
        if ceilings:
            say('computing ceilings')
            _choose(plan, seed)
        else:
            plan.choices = [Choice(family, math.nan, f'{FAMILIES[family]}: {chosen_by}')
                            for family in plan.fits]
        if measuring is not None:
            before = plan.fits[plan.best]
            one, cost = faster_layout(before, plan.costs[plan.best], measuring, memory)
            if one is not before:
                _settle(plan, one, cost, (memory, limit))
    plan.seconds = time.monotonic() - began
    return plan


def _choose(plan, seed):
    """Ceilings, and the families by what is expected of them."""
    train, val = plan.card.objects, plan.card.val
    seen = {}
    for family, one in plan.fits.items():
        if one.tile not in seen:
            judged = cut(val or train, one.tile) if one.tile else val or train
            seen[one.tile] = judged, choose_images(judged, _CEILING_IMAGES, _CEILING_OBJECTS, seed)
        plan.ceilings[family] = ceiling_of(config_of(plan.configs[family]), *seen[one.tile])
    plan.choices = rank(train, plan.fits, plan.ceilings, plan.card.looks.colored)


def _fit_all(plan: Plan, families: list[str], measuring: Measuring | None,
             limit: tuple[float | None, str], size: tuple[str, str, bool],
             weights: Callable[[str], tuple[Pretrained | None, str]], until: float,
             say: Callable[[str], object]) -> None:
    """Fits, costs and configs of all families, into the plan; of some once the time is over."""
    train, looks, device, minutes = plan.card.objects, plan.card.looks, plan.device, plan.minutes
    chosen, why, asked = size
    memory, _ = limit
    crops = _Crops(train, looks)
    fullest = max(int(data.counts.max(initial=0)) for data in (train, plan.card.val) if data)
    low_precision = None
    for family in families:
        if plan.fits and time.monotonic() > until:
            return
        say(f'fitting {FAMILIES.get(family, family)}')
        batch = rules.batch_size(
            len(crops.tiles.files if crops.tiling else train.files), device)
        for smaller in _sizes_from(chosen, asked):
            start, weights_why = weights(smaller)
            one = crops.fit(family, smaller, batch, start) if crops.tiling else fit(
                train, looks, family, smaller, batch_size=batch, weights=start)
            if one.tile:
                one = replace(one, most=fullest)
            if measuring is None:
                break
            one, cost = affordable(one, measuring, looks, minutes, memory, low_precision)
            # on a CPU that there is more time for, each family is tried in both precisions
            if minutes < 5 or device != 'cpu':
                low_precision = cost.low_precision
            if not memory or not cost.memory > 1024 * memory:
                break
        one.why['size'] = why if one.size == chosen else f'{why}; smaller, for {limit[1]}'
        one.why['weights'] = weights_why
        one = replace(one, low_precision=cost.low_precision if measuring else False,
                      on_gpu=device != 'cpu')
        one = replace(one.with_workers(rules.workers(device)), reading=plan.card.reading)
        _settle(plan, one, cost if measuring else None, limit)


def _settle(plan, one, cost, limit):
    """A fit, its cost and its config, with a schedule of as many steps as the minutes hold."""
    train, minutes = plan.card.objects, plan.minutes
    if cost is not None:
        plan.costs[one.family] = cost
        one.why.pop('memory', None)  # of another order in memory
        one = one.with_steps(steps_held(one, train, minutes, cost.step, cost))
        if one.jitter:
            views = cut(train, one.tile) if one.tile else train
            one = replace(one, jitter=rules.worth_varying(one.batch_size * one.steps,
                                                          len(views.files)))
        faster, slower = ('bfloat16', 'float32')[::1 if cost.low_precision else -1]
        one.why['precision'] = f'{faster} was faster here than {slower}'
        if limit[0] and cost.memory > 1024 * limit[0]:
            one.why['memory'] = (f'a step takes {cost.memory:.0f} MiB, more than {limit[1]} '
                                 f'allows, with {plural(one.batch_size, "image")} of '
                                 f'{one.longer} px')
        one.why['steps'] = f'{minutes:g} min, at {cost.step * 1e3:.0f} ms a step' + (
            f' and {cost.first * 1e3:.0f} ms for each image that is read first'
            if cost.first > 0.05 * cost.step else '')
    else:
        one.why['steps'] = 'nothing was measured: as many whatever the minutes'
    plan.fits[one.family] = one
    plan.configs[one.family] = config_text(
        one, *[data and (absolute(data.path), absolute(data.folder))
               for data in (train, plan.card.val)], test=plan.test)


def _weights(read, pretrained, size):
    """(weights that a backbone of a size begins with or None, why)."""
    if pretrained == 'none':
        return None, 'from scratch, as asked for'
    if pretrained:
        return read(pretrained), f'the weights of {pretrained}'
    path, why = find_pretrained(SIZES[size].depth, SIZES[size].base)
    try:
        return read(path) if path else None, why
    except UserError:  # nobody has asked for it
        return None, f'from scratch: {path} cannot be used'


def _sizes_from(size, asked):
    """Sizes that are tried until a step fits into the memory: where none was asked for, smaller
    ones, too."""
    ladder = list(SIZES)
    return [size] if asked else ladder[ladder.index(size)::-1]


class _Crops:
    """Fits to crops of large pictures, where they are called for."""

    def __init__(self, train: Objects, looks: Looks):
        self.train, self.looks, self.tiling = train, looks, tiling_of(train)
        if self.tiling:
            self.tiles = cut(train, self.tiling.tile)

    def fit(self, family: str, size: str, batch_size: int,
            weights: Pretrained | None) -> Fit:
        """Of a family."""
        train, tile, crop = self.train, self.tiling.tile, self.tiling.crop
        one = fit(self.tiles, self.looks, family, size, crop, batch_size,
                  tile=tile, weights=weights,
                  sparse=empty_share(train, self.tiles, tile) > 0.5)
        how = 'keep their pixels' if 0.95 < crop / tile < 1.05 else \
            'show them larger than whole pictures can'
        why = (f'objects of {np.median(train.sides):.0f} px in pictures of up to '
               f'{train.sizes.max()} px: crops {how}')
        # whole pictures are what is drawn
        often, reason = rules.oversampling(train, empty=False)
        return replace(one, jitter=rules.may_vary_colors(len(train.files), self.looks),
                       kept=rules.kept_for_crops(train.sizes, tile, crop), oversampling=often,
                       why=dict(one.why, longer=why, oversampling=reason))


def describe(plan: Plan) -> str:
    """The plan as it is printed."""
    lines = [plan.card.text(), '']
    if plan.ceilings:
        lines += ['ceilings: AP of a network without any error, by the heads\' own targets and '
                  'decoders', _table(plan), '']
    if plan.costs:
        lines += [f'costs on {plan.device}, for {plan.minutes:g} min', _costs(plan), '']
    best = plan.choices[0]
    one = plan.fits[best.family]
    lines += [f'size         {one.size} ({one.why["size"]})', f'backbone     {one.why["weights"]}']
    if not plan.costs:
        lines.append(f'steps        {one.steps}, whatever the minutes, as nothing was measured; '
                     'lordre train CONFIG --minutes M ends in time all the same')
    elif one.steps < _FEW_STEPS:
        lines.append(f'note         {plan.minutes:g} min hold {plural(one.steps, "step")} only: '
                     'little is learned in so few; give more --minutes'
                     + ', or a smaller --size' * (one.size != 'nano'))
    if 'memory' in one.why:
        lines.append(f'note         {one.why["memory"]}')
    if one.tile:
        tiles = tiles_of_pictures(plan.card.val or plan.card.objects, one.tile).mean()
        lines.append(f'crops        {one.why["longer"]}; {one.tile} px of the file make '
                     f'{one.longer} px. Judged and predicted tile by tile, {tiles:.0f} a picture, '
                     'also by lordre predict' + '; costs of an image are of one tile' * bool(
                         plan.costs))
    elif lost := _hardly_seen(plan.card.objects, one.longer):
        larger = _could_be_larger(one, plan.card.objects)
        lines.append(f'note         {lost}' + (
            ': cut the images into smaller ones' if not larger else
            ': more --minutes leave room for larger images' if plan.costs else ''))
    lines.append(f'recommended  {best.reason}')
    if best.family in plan.ceilings and plan.ceilings[best.family].ap < _LOW:
        lines.append(f'note         even without any error it would reach AP '
                     f'{plan.ceilings[best.family].ap:.2f} at most'
                     + ('; more --minutes leave room for larger images'
                        if plan.costs and plan.ceilings[best.family].of_size
                        and _could_be_larger(one, plan.card.objects) else ''))
    if plan.left_out:
        lines.append('not compared '
                     + listed([FAMILIES[family] for family in plan.left_out])
                     + ': planning would have taken too much of the minutes')
    if len(plan.choices) > 1:
        lines.append(f'runner-up    {plan.choices[1].reason}')
    return '\n'.join(lines)


def _hardly_seen(objects, longer):
    """Classes of objects that measure a few pixels of the network input, in words."""
    sides = sizing.details(objects) / objects.longer * longer
    middle = {name: float(np.median(sides[objects.labels == i]))
              for i, name in enumerate(objects.classes) if (objects.labels == i).any()}
    lost = [f'{printable(name, 40)} ({middle[name]:.1f} px)'
            for name in sorted(middle, key=middle.get) if middle[name] < _HARDLY_SEEN]
    return lost and (f'at {longer} px half or more of the objects of {listed(lost, 3)} are too '
                     'small to be found')


def _could_be_larger(one, train):
    return not one.tile and one.longer < sizing.sizes_up_to(sizing.greatest_size(train))[-1]


def _table(plan):
    rows = [('', 'AP', 'AP50', 'AP75', 'small', 'medium', 'large', 'IoU', 'most is lost because')]
    for family, ceiling in plan.ceilings.items():
        rows.append((FAMILIES[family], *(f'{v:.3f}' if v >= 0 else '-' for v in (
            ceiling.ap, ceiling.ap50, ceiling.ap75, *ceiling.by_size, ceiling.iou)),
            ceiling.reason() or '-'))
    lines = _aligned(rows)
    for family, ceiling in plan.ceilings.items():
        low = sorted(ceiling.by_class, key=ceiling.by_class.get)[:4]
        if ceiling.by_class[low[0]] < ceiling.ap - 0.02:  # else all are alike
            lines.append(f'  lowest of {FAMILIES[family]}: ' + listed(
                [f'{printable(name, 40)} {ceiling.by_class[name]:.2f}' for name in low]))
    return '\n'.join(lines)


def _costs(plan):
    rows = [('', 'input', 'batch', 'M parameters', 'G multiply-adds', 'ms a step', 'ms an image',
             'MiB a step', 'steps')]
    for family, cost in plan.costs.items():
        one = plan.fits[family]
        rows.append((FAMILIES[family], str(one.longer), str(one.batch_size),
                     f'{cost.params / 1e6:.1f}', f'{cost.macs / 1e9:.2f}',
                     f'{cost.step * 1e3:.0f}', f'{cost.image * 1e3:.0f}',
                     f'{cost.memory:.0f}' if cost.memory > 0 else '-', str(one.steps)))
    return '\n'.join(_aligned(rows))


def _aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(rows[0]) - 1
    return ['  '.join(cell.ljust(width) if i in (0, last) else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]
