"""The size of the images and of the batch that are worth most in the time."""
import functools
import math
from dataclasses import replace

import numpy as np

from ..training.precision import slow_bfloat16
from . import rules, sizing
from .cost import Cost
from .fit import Fit, fit, steps_of
from .learned import learned
from .measuring import Measuring
from .objects import Objects
from .sample import Looks

_BOTH = 'float32', 'bfloat16'
#: Longer side about which steps are measured, at most.
_LARGEST = 512


def affordable(one: Fit, measuring: Measuring, looks: Looks, minutes: float,
               memory: float | None = None, low_precision: bool | None = None) -> tuple[Fit, Cost]:
    """Choose the size of the images and the batch by what a step costs here.

    Args:
        one: A fit as it is wished for.
        measuring: Of the data that it is for.
        looks: What a sample of them shows.
        minutes: Of the training.
        memory: GiB that a step may take.
        low_precision: Whether bfloat16 is taken; if not given, both are tried where the machine
            has instructions for it.

    Returns:
        The fit, and what its steps and inference cost.
    """
    if low_precision is None and measuring.device == 'cpu' and slow_bfloat16():
        low_precision = False
    precisions = _BOTH if low_precision is None else (_BOTH[low_precision],)
    if one.tile:
        one, cost, enough = _of_crops(one, measuring, minutes, memory, precisions)
        if enough:
            return one, measuring.whole(one, cost)
        one = fit(measuring.train, looks, one.family, one.size, weights=one.weights,
                  batch_size=rules.batch_size(len(measuring.train.files), measuring.device))
        precisions = _same(cost)
    one, cost = _of_pictures(one, measuring, looks, minutes, memory, precisions)
    return one, measuring.whole(one, cost)


def _of_crops(one: Fit, measuring: Measuring, minutes: float, memory: float | None, precisions):
    """(fit, cost, whether crops it shall be)."""
    train = measuring.train
    cost = measuring.steps(one, precisions)
    least = sizing.image_sizes(train)[0]
    whole = cost.step * _pixels(train, least) / _pixels(train, one.longer, one.tile)
    seen = one.batch_size * steps_held(one, train, minutes, whole, cost)
    if seen >= rules.LEAST_SEEN and least >= sizing.needed_size(train):
        return one, cost, False
    return *_fitting(one, cost, measuring, memory), True


def _pixels(train: Objects, longer: int, tile: int | None = None) -> float:
    """Pixels of the network input, on average: of whole pictures of that longer side, or of crops
    that measure as much."""
    sizes = np.minimum(train.sizes, tile or np.inf)
    return float((sizes * (longer / (tile or sizes.max(1, keepdims=True)))).prod(1).mean())


def _of_pictures(one: Fit, measuring: Measuring, looks: Looks, minutes: float,
                 memory: float | None, precisions) -> tuple[Fit, Cost]:
    train = measuring.train
    start = sizing.image_sizes(train)[0]
    sizes = sizing.sizes_up_to(sizing.greatest_size(train))
    limit = 1024 * memory if memory else math.inf
    # two sizes between which most lie that are chosen; steps on large pictures take long
    least = min(start, _LARGEST) / 2
    small = _nearest(sizes, least)
    one = _resized(one, train, looks, small)
    one, cost = _fitting(one, measuring.steps(one, precisions), measuring, memory)
    large = _nearest(_within(sizes, limit, small, cost.memory), 2.5 * small)
    other = _resized(one, train, looks, large)
    # what gains on small pictures gains on large ones
    second = cost if large == small else measuring.steps(
        other, _same(cost) if cost.low_precision else precisions)
    sizes = _within(sizes, limit, small, cost.memory, large, second.memory)
    # what a step takes whatever the size, and what grows with the pixels
    slope = (second.step - cost.step) / max(1, large**2 - small**2)
    slope = max(slope, cost.step / small**2 / 10)

    # fine enough to tell the sizes apart
    longest = max(512, 2 * sizes[-1])

    def share(longer):
        step = cost.step + slope * (longer**2 - small**2)
        return learned(one.family, len(train.classes), longer,
                       one.shown * one.batch_size * steps_held(one, train, minutes, step, cost),
                       looks.colored, one.sides[1] * longer / one.longer)

    @functools.cache
    def ceiling_at(longer):
        return measuring.ceiling(_resized(one, train, looks, longer), longest)

    # smaller ones show half of the objects on fewer than ten pixels
    useful = [size for size in sizes if size >= max(least, small)] or sizes[-1:]
    while True:
        longer, ceiling = sizing.best_size(useful, ceiling_at, share)
        chosen = _resized(one, train, looks, longer)
        alike = cost.low_precision == second.low_precision
        if longer in (small, large):
            found = cost if longer == small else second
        elif longer < large and alike and _build(one) == _build(chosen) == _build(other):
            found = _between(cost, second, (longer**2 - small**2) / (large**2 - small**2))
        else:
            found = measuring.steps(chosen, _same(second) if alike else precisions)
        if longer <= large or not found.memory > limit:
            break
        useful = [size for size in useful if size < longer] or [large]
    cost = found
    one = chosen
    thin = sizing.thin(train)
    seen = one.batch_size * steps_held(one, train, minutes, cost.step, cost)
    one.why['longer'] = (f'{one.sides[1]:.0f} px for the middle object'
                         + (f', {thin * longer:.0f} px wide' if thin else '')
                         + ': larger images reach more, smaller ones are learned sooner (masks of '
                         f'AP {ceiling:.2f} at best, {seen} images seen)')
    return one, cost


def _within(sizes, limit, small, first, large=0, second=0.):
    """Sizes whose steps take no more memory than the limit, by that of a small and a large one;
    by that of the small one alone, as if all of it grew with the pixels, where the large one says
    nothing."""
    if not first > 0:  # it is unknown
        return sizes
    a_pixel = (second - first) / (large**2 - small**2) if second > first else first / small**2
    room = small**2 + max(0., limit - first) / a_pixel
    return [size for size in sizes if size**2 <= room] or [small]


def steps_held(one: Fit, train: Objects, minutes: float, step: float, cost: Cost) -> int:
    """Steps that minutes hold.

    Args:
        one: Whose steps they are.
        train: Data that they are of.
        minutes: Of the training.
        step: Seconds of each.
        cost: Of the same way to read images.
    """
    return steps_of(minutes, step, one.batch_size, len(train.files), cost.first)


def _fitting(one: Fit, cost: Cost, measuring: Measuring, memory: float | None
             ) -> tuple[Fit, Cost]:
    """With as many images a step as the memory holds."""
    limit = 1024 * memory if memory else math.inf
    more, held = 0, 0.  # as if images took all of it, until two batches tell
    while cost.memory > limit and one.batch_size > 1:  # nor where it is unknown
        an_image = (held - cost.memory) / (more - one.batch_size)
        more, held = one.batch_size, cost.memory
        fewer = math.ceil((held - limit) / max(an_image, 1.))
        one = replace(one, batch_size=max(1, more - fewer))
        cost = measuring.steps(one, _same(cost))
    return one, cost


def _between(small: Cost, large: Cost, part: float) -> Cost:
    """What steps cost on images of a size between two others."""
    return replace(small, **{name: getattr(small, name) + part * (
        getattr(large, name) - getattr(small, name)) for name in ('step', 'load', 'memory')})


def _build(one):
    """What a fit changes with the size besides the pixels: such steps cannot be compared."""
    levels = one.heads.get('strides') if one.family == 'polarmask' else None
    return one.stages, levels, one.kept is None


def _nearest(sizes, wished):
    return min(sizes, key=lambda size: abs(size - wished))


def _same(cost):
    return (_BOTH[cost.low_precision],)


def _resized(one: Fit, train: Objects, looks: Looks, longer: int) -> Fit:
    return fit(train, looks, one.family, one.size, longer, one.batch_size, one.steps,
               weights=one.weights)
