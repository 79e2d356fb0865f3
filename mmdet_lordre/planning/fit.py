"""All numbers of a config for one family, fitted to a data set."""
import math
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import UserError
from ..text import plural
from . import rules, sizing
from .memory import Kept, room
from .objects import Objects
from .pretrained import Pretrained
from .reading import AS_USUAL, Reading
from .sample import Looks

FAMILIES = {'lordre': 'Lordre', 'solov2': 'SOLOv2', 'aggmask': 'AggMask',
            'aggmask_star': 'AggMask*', 'polarmask': 'PolarMask'}


@dataclass(frozen=True)
class Size:
    """A step of the ladder of model sizes.

    Attributes:
        depth: Of the ResNet.
        base: Channels of its first stage (64 as published).
        neck: Channels of the neck.
        head: Channels of the head's towers.
        convs: Convolutions of each tower.
        stages: Stages of the ResNet for images whose objects are small against the field of view.
    """
    depth: int
    base: int
    neck: int
    head: int
    convs: int
    stages: int = 3

    def stage_channels(self, stages: int) -> list[int]:
        """Output channels of the first stages."""
        grow = 4 if self.depth >= 50 else 1
        return [self.base * grow * 2**i for i in range(stages)]


SIZES = {'nano': Size(18, 16, 32, 32, 2), 'small': Size(18, 32, 48, 64, 2),
         'medium': Size(18, 64, 96, 96, 3), 'large': Size(50, 64, 256, 256, 4, 4)}


@dataclass(frozen=True)
class Fit:
    """Numbers of a config.

    Attributes:
        family: A key of :data:`FAMILIES`.
        size: A key of :data:`SIZES`.
        classes: Names in the order of the labels.
        longer: Longer side of the images in pixels of the network input.
        stages: Stages of the backbone, and levels of the grid heads' pyramid.
        batch_size: Images a step.
        steps: Of the schedule.
        sides: (5 %, median, 95 %) of object sides in pixels of the network input.
        heads: Arguments of the head that were fitted.
        flips: Directions in which training images are mirrored.
        transposed: Whether rows of training images become columns half of the time.
        jitter: Whether colors are changed a little.
        oversampling: Threshold of LVIS's repeat factor, where images of rare classes, or all that
            show objects, are drawn more often.
        shown: Share of the images drawn that show objects.
        low_precision: Whether the network computes in bfloat16.
        on_gpu: Whether that is on a GPU.
        channels_last: Whether convolutions run in that order.
        winograd: Whether their weight gradients are computed by Winograd's filtering.
        ema: Momentum of averaged weights, or None.
        workers: Processes that load data.
        kept: Pictures that are kept in memory; None where files are read each time.
        tile: Side in pixels of the file of the crops that are learned from; None for whole
            pictures.
        most: Objects of a picture at most, where it is judged tile by tile.
        sparse: Whether most crops show no object.
        gamma: Steps after which the average is one over its whole horizon.
        weights: What the backbone begins with, None for random numbers.
        reading: How image files are read.
        why: Reasons by name, for the comments.
    """
    family: str
    size: str
    classes: tuple[str, ...]
    longer: int
    stages: int
    batch_size: int
    steps: int
    sides: tuple[float, float, float]
    heads: dict
    flips: tuple[str, ...]
    transposed: bool = False
    jitter: bool = False
    oversampling: float | None = None
    shown: float = 1.
    low_precision: bool = False
    on_gpu: bool = False
    channels_last: bool = True
    winograd: bool = False
    ema: float | None = None
    workers: int = 0
    kept: Kept | None = None
    tile: int | None = None
    most: int = 0
    sparse: bool = False
    gamma: int = 2000
    weights: Pretrained | None = None
    reading: Reading = AS_USUAL
    why: dict = field(default_factory=dict)

    @property
    def lr(self) -> float:
        """Full learning rate."""
        return rules.learning_rate(self.batch_size, self.family, from_scratch=not self.weights)

    @property
    def dimensions(self) -> Size:
        """Widths and depths: those of the size, with the backbone of the weights."""
        size = SIZES[self.size]
        return replace(size, depth=self.weights.depth, base=self.weights.base) \
            if self.weights else size

    def with_workers(self, workers: int) -> 'Fit':
        """The same with processes that load data, each of which keeps pictures of its own."""
        kept = self.kept
        if kept and kept.gib * max(1, workers) > room():
            kept = None
        return replace(self, workers=workers, kept=kept)

    def with_steps(self, steps: int) -> 'Fit':
        """The same with another length, and an average of the weights over a part of that."""
        steps = max(1, int(steps))
        ema, gamma = rules.averaging(steps)
        return replace(self, steps=steps, ema=ema, gamma=gamma)


def fit(objects: Objects, looks: Looks, family: str, size: str = 'small',
        longer: int | None = None, batch_size: int = 4, steps: int = 2000, **others) -> Fit:
    """Fit the numbers of a family to data.

    Args:
        objects: Of the training data.
        looks: What a sample of them shows.
        family: A key of :data:`FAMILIES`.
        size: A key of :data:`SIZES`.
        longer: Longer side of the network input; the wished one if not given.
        batch_size: Images a step.
        steps: Of the schedule.
        others: Attributes of :class:`Fit` that do not follow from the data.

    Raises:
        UserError: There is no such family or size.
    """
    for name, value, known in (('family', family, FAMILIES), ('size', size, SIZES)):
        if value not in known:
            raise UserError(f'--{name}: there is no {value!r}; choose from {", ".join(known)}')
    least, most, why = sizing.image_sizes(objects)
    longer = longer or most
    sides = rules.scaled_sides(objects, longer)
    quantiles = tuple(float(q) for q in np.percentile(sides, (5, 50, 95)))
    # a stage more sees twice as far; it pays where objects are large
    stages = 4 if quantiles[2] > 160 or SIZES[size].stages == 4 else 3
    if others.get('weights'):
        stages = min(stages, others['weights'].stages)
    rule = {'lordre': _lordre, 'polarmask': _polarmask}.get(family, _grid)
    if rule is _grid and stages < 3:
        raise UserError(f'--pretrained: {others["weights"].path} holds {plural(stages, "stage")} '
                        f'of a ResNet, and {FAMILIES[family]} needs three: give other weights, or '
                        '--family lordre polarmask')
    heads = rule(objects, sides, longer, stages)
    if family == 'polarmask':
        heads['holes'] = rules.worth_drawing_holes(looks)
    heads['num_classes'] = len(objects.classes)
    flips = ['horizontal'] * (not looks.sided) + ['vertical'] * (not looks.upright)
    flips += ['diagonal'] * (len(flips) == 2)
    tiled = bool(others.get('tile'))
    often, reason = rules.oversampling(objects, empty=not tiled)
    return Fit(
        family, size, objects.classes, longer, stages, batch_size, steps, quantiles, heads,
        tuple(flips), transposed=rules.worth_transposing(objects.sizes, looks),
        jitter=rules.may_vary_colors(len(objects.files), looks),
        oversampling=often, shown=1. if tiled else rules.shown(objects, often),
        # of crops whole pictures are kept: whoever cuts them knows their sizes
        kept=None if tiled else rules.kept_whole(objects.sizes, longer), why=dict(
            oversampling=reason,
            longer=f'{why}: {quantiles[1]:.0f} px here ({least} to {most} are of use)',
            holes=f'{looks.holes:.0%} of the objects have a hole',
            most=f'an image has at most {plural(objects.counts.max(), "object")}',
            queries='99 % of the images have at most '
                    f'{plural(round(np.percentile(objects.counts, 99)), "object")}; half as many '
                    'again'), **others)


def _grid(objects: Objects, sides: np.ndarray, longer: int, stages: int) -> dict:
    ranges = rules.scale_ranges(sides, stages)
    pre, most = rules.detections(objects)
    areas = objects.areas * (sides / objects.sides)**2
    return dict(scale_ranges=ranges, num_grids=rules.grids(objects, sides, longer, ranges),
                strides=rules.least_areas(sides, areas, ranges), nms_pre=pre, max_per_img=most,
                pos_scale=0.4 if np.percentile(objects.counts, 95) <= 30 else 0.3)


def _polarmask(objects: Objects, sides: np.ndarray, longer: int, stages: int) -> dict:
    strides, ranges = rules.polar_levels(sides, stages)
    pre, most = rules.detections(objects)
    return dict(strides=strides, regress_ranges=ranges, num_rays=36, nms_pre=pre, max_per_img=most)


def _lordre(objects: Objects, sides: np.ndarray, longer: int, stages: int) -> dict:
    return dict(num_queries=rules.num_queries(objects), peak=rules.peak(sides))


def steps_of(minutes: float, seconds_a_step: float, batch_size: int = 1, images: int = 0,
             first: float = 0.) -> int:
    """Steps that minutes hold.

    Args:
        minutes: Of training.
        seconds_a_step: That a step takes.
        batch_size: Images a step.
        images: To train on.
        first: Seconds more that each of them takes when it is seen first.
    """
    seconds, step = 60 * minutes, max(seconds_a_step, 1e-6)
    # all are seen, or not all
    return max(1, math.floor(max((seconds - first * images) / step,
                                 seconds / (step + first * batch_size))))
