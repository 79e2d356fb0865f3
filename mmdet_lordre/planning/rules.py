"""From the data to numbers: each rule a function, its reason in the text that it returns.

docs/planning.md says where each comes from. They look at the annotations of the training data, and
at no image; ``kept_*`` also at the free memory, ``workers`` at the cores. All of them cost less
than a second for a million objects.
"""
import itertools
import math
import os
from collections.abc import Sequence

import numpy as np

from .memory import Kept, room
from .objects import Objects
from .sample import Looks

#: Images seen in training that whole pictures must leave room for, else crops are taken.
LEAST_SEEN = 6000
#: Share of the objects that may share their cell with another.
SHARED = 0.005
#: Cells along a side of a grid, at least and at most.
CELLS = (6, 72)
#: Processes that load data for one GPU, at most.
MOST_WORKERS = 8
#: Times that an image of a rare class is drawn in a pass, at most.
_REPEATED = 5
#: Objects, about, whose cells are counted.
_LOOKED_AT = 20_000


def scaled_sides(objects: Objects, longer: int) -> np.ndarray:
    """Sides (N,) of the objects in pixels of the network input."""
    return objects.sides * objects.scale_to(longer, longer)[objects.images]


def collisions(objects: Objects, grid: int, chosen: np.ndarray | None = None) -> float:
    """Share of objects whose center lies in a cell with that of another one, already counted.

    Args:
        objects: Of a data set.
        grid: Cells along a side, over the longer side of each image.
        chosen: bool (N,), those that count.
    """
    chosen = slice(None) if chosen is None else chosen
    images, boxes = objects.images[chosen], objects.boxes[chosen]
    longer = objects.sizes.max(1)[images, None]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    cells = np.minimum(centers / longer * grid, grid - 1).astype(int)
    key = (images * grid + cells[:, 1]) * grid + cells[:, 0]
    return 1 - len(np.unique(key)) / len(key) if len(key) else 0.


def scale_ranges(sides: np.ndarray, levels: int = 3) -> tuple[tuple[int, int], ...]:
    """Ranges of object sides by level, each reaching a fifth into the next.

    Of three levels the finest takes the smaller 60 % of the objects, the coarsest the largest
    10 %; of four, 45 and 7 %.
    """
    edges = np.percentile(sides, {3: (60, 90), 4: (45, 75, 93)}[levels])
    for i in range(1, len(edges)):
        edges[i] = max(edges[i], 1.4 * edges[i - 1])
    # from 1 px on, as published, unless there are smaller ones
    lows = [int(sides.min() >= 1), *(math.floor(0.8 * edge) for edge in edges)]
    highs = [*(math.ceil(1.2 * edge) for edge in edges), math.ceil(max(2048, 2 * sides.max()))]
    return tuple(zip(lows, highs))


def grids(objects: Objects, sides: np.ndarray, longer: int,
          ranges: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Cells along a side for each level: three across an object, and no two in one cell.

    Args:
        objects: Of a data set.
        sides: Of the objects, in pixels of the network input.
        longer: Side of the network input.
        ranges: Of sides, by level.
    """
    found = []
    some = objects.images % (1 + len(objects) // _LOOKED_AT) == 0
    for low, high in ranges:
        chosen = some & (sides >= low) & (sides <= high)
        middle = float(np.median(sides[chosen])) if chosen.any() else (low + min(high, longer)) / 2
        grid = 3 * longer / middle
        while grid < CELLS[1] and collisions(objects, int(grid), chosen) > SHARED:
            grid *= 1.15
        grid = min(max(grid, CELLS[0]), CELLS[1], longer / 4)
        found.append(2 * round(grid / 2))
    return tuple(found)


def least_areas(sides: np.ndarray, areas: np.ndarray, ranges: Sequence[tuple[int, int]],
                stride: int = 4) -> tuple[int, ...]:
    """What grid heads call strides: pixels of the maps that a mask must exceed, by level.

    The published 8 to 32 drop objects of a few pixels. A quarter of the smallest masks'.

    Args:
        sides: Of the objects, in pixels of the network input.
        areas: Of their masks.
        ranges: Of sides, by level.
        stride: Of the maps.
    """
    found = []
    for low, high in ranges:
        chosen = areas[(sides >= low) & (sides <= high)]
        least = np.percentile(chosen, 1) if len(chosen) else low**2
        found.append(int(min(16, least / stride**2 / 4)))
    return tuple(found)


def num_queries(objects: Objects) -> int:
    """Instances that Lordre predicts: half as many again as nearly all images have."""
    counts = objects.counts
    most = np.percentile(counts, 99)
    return int(min(400, max(20, 10 * math.ceil(1.5 * most / 10))))


def peak(sides: np.ndarray) -> int:
    """Cells of stride 4 along the square in which Lordre takes one place: 5 where nearly all
    objects are three cells wide or more, so that places of two are no nearer."""
    return 5 if np.percentile(sides, 5) >= 12 else 3


def detections(objects: Objects) -> tuple[int, int]:
    """(nms_pre, max_per_img): candidates before suppression, and detections, an image."""
    most = int(objects.counts.max())
    return max(300, min(3000, 8 * most)), max(100, 10 * math.ceil(1.3 * most / 10))


def polar_levels(sides: np.ndarray, stages: int = 3
                 ) -> tuple[tuple[int, ...], tuple[tuple[float, float], ...]]:
    """Strides and ranges of the largest distance to a side of the box, for PolarMask.

    An object belongs where it is some six strides wide: published PolarMask and FCOS take 8 to 16
    strides on COCO, small networks from scratch see less far.

    Args:
        sides: Of the objects, in pixels of the network input.
        stages: Of the backbone, the last of stride 16 or 32.
    """
    strides = [4, 8, 16, 32][:stages]
    if np.percentile(sides, 25) >= 24:
        strides = strides[1:]
    edges = [4 * stride for stride in strides[:-1]]
    bounds = [-1, *edges, 1e8]
    return tuple(strides), tuple(itertools.pairwise(bounds))


def batch_size(images: int, device: str) -> int:
    """Images a step: two on a CPU, where more steps are worth more than surer ones; four on a
    GPU, which two do not fill."""
    return max(1, min(images, 2 if device == 'cpu' else 4))


def workers(device: str) -> int:
    """Processes that load data: none on a CPU, whose cores the network needs; on a GPU as many as
    keep it busy, where there are cores for them beside the one that feeds it."""
    if device == 'cpu':
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return min(MOST_WORKERS, max(0, (cores or 1) - 1))


def kept_whole(sizes: np.ndarray, longer: int) -> Kept | None:
    """Pictures of twice the side of the network input, kept in memory; None where files are not so
    much larger that reading them matters, or pictures too many.

    Args:
        sizes: (n, 2) of images in pixels.
        longer: Side of the network input.
    """
    side = 2 * longer
    # smaller pictures are enlarged, as they would be later
    pixels = (sizes * (side / sizes.max(1, keepdims=True))).prod(1)
    worth = np.median(sizes.prod(1)) >= 4 * np.median(pixels)
    return _where_there_is_room(Kept(3 * pixels.sum() / 2**30, side=side)) if worth else None


def kept_for_crops(sizes: np.ndarray, tile: int, crop: int) -> Kept | None:
    """Pictures that are kept in memory to cut crops from, as fine as the finest of these, which are
    a fifth finer than tiles, or as they are where that saves little; None where they are too many.

    Args:
        sizes: (n, 2) of images in pixels.
        tile: Side of the crops in pixels of the file.
        crop: Side of the network input.
    """
    scale = round(1.2 * crop / tile, 3)
    scale = scale if scale < 0.75 else 1.
    return _where_there_is_room(Kept(3 * scale**2 * sizes.prod(1).sum() / 2**30, scale=scale))


def _where_there_is_room(kept):
    return kept if kept.gib <= room() else None


def worth_drawing_holes(looks: Looks) -> bool:
    """Whether so many objects have holes that PolarMask's rays are to begin behind them."""
    return looks.holes >= 0.02


def may_vary_colors(images: int, looks: Looks) -> bool:
    """Whether there are few images to train on, whose colors do not tell the classes apart."""
    return images < 200 and not looks.colored


def worth_varying(seen: int, images: int) -> bool:
    """Whether images, or tiles of them, are seen so often in training that varying their colors is
    worth its time: in 16 rounds it was not, and other colors have to be learned first."""
    return seen >= 100 * images


def worth_transposing(sizes: np.ndarray, looks: Looks) -> bool:
    """Whether rows may become columns, and gain more than they cost: pictures longer than wide
    make batches of both kinds, which are padded to squares. Few pictures are worth that.

    Args:
        sizes: (n, 2) of images in pixels.
        looks: What a sample of them shows.
    """
    if looks.upright or looks.sided or looks.standing:
        return False
    return len(sizes) < 100 or bool(np.median(sizes.max(1) / sizes.min(1)) <= 1.1)


def oversampling(objects: Objects, empty: bool = True) -> tuple[float | None, str]:
    """Threshold of LVIS's repeat factor (mmengine's ``ClassBalancedDataset``), and why.

    Args:
        objects: Of the training data.
        empty: Whether images without objects are drawn as often as others.

    Returns:
        None where nothing is to be drawn more often.
    """
    classes = len(objects.classes)
    pairs = np.divmod(np.unique(objects.images * classes + objects.labels), classes)
    numbers = np.bincount(pairs[1])
    numbers = numbers[numbers > 0]
    uneven = None
    if len(numbers) and numbers.min() < 0.1 * numbers.max():
        # repeated by the root of the threshold by the share, rounded up
        most = 0.99 * _REPEATED**2 * numbers.min() / len(objects.files)
        uneven = min(0.1, float(f'{most:.3g}'))
    without = int((objects.counts == 0).sum())
    if not empty or 2 * without <= len(objects.files):
        return uneven, 'some classes are in less than a tenth of the images that others are in'
    # images are repeated by the root of the threshold: as many as there are without objects
    often = np.zeros(len(objects.files))
    np.maximum.at(often, pairs[0], np.sqrt(len(often) / np.bincount(pairs[1])[pairs[1]]))
    threshold = float(f'{(without / often.sum())**2:.3g}')
    return max(threshold, uneven or 0), (f'{without / len(often):.0%} of the images show no '
                                         'object: those that do are drawn more often, half of the '
                                         'time')


def shown(objects: Objects, oversampling: float | None) -> float:
    """Share of the images drawn that show objects.

    Args:
        objects: Of the training data.
        oversampling: Threshold of the repeat factor.
    """
    share = float((objects.counts > 0).mean())
    return max(share, 0.5) if oversampling else share


def averaging(steps: int) -> tuple[float | None, int]:
    """(momentum, gamma) of the exponential average of the weights, which looks back on a fiftieth
    of the training; None where that is fewer than 20 steps, in which nothing is averaged."""
    if steps < 1000:
        return None, 2000
    return round(50 / steps, 6), steps // 20


def validations(steps: int) -> int:
    """How often a training is judged: at its end, or evenly spread where it is long."""
    return 1 if steps < 4000 else 5 if steps < 20_000 else 10


def size_of(device: str, minutes: float, memory: float | None, images: int,
            limit: str) -> tuple[str, str]:
    """A step of the ladder of sizes, and why.

    Args:
        device: Where the training is to run.
        minutes: Of the training.
        memory: GiB that a step may take, None if that does not matter.
        images: To train on.
        limit: What sets the memory, in words.
    """
    memory = math.inf if memory is None else memory
    on_cpu = device == 'cpu'
    if memory < (0.5 if on_cpu else 2):
        return 'nano' if on_cpu else 'small', f'for {limit}'
    if on_cpu:
        size = 'nano' if minutes < 1 else 'medium' if minutes >= 600 else 'small'
        why = 'on a CPU nano is trained in seconds, small in minutes, medium in ten hours'
    else:
        size = 'small' if minutes < 10 else 'medium'
        if minutes >= 240 and images >= 500 and memory >= 12:
            size = 'large'
        why = 'on a GPU medium, and large for four hours, 500 images and 12 GiB'
    return size, f'{minutes:g} min: {why}'


def learning_rate(batch_size: int, family: str, from_scratch: bool) -> float:
    """By the square root of the batch size (docs/planning.md).

    Args:
        batch_size: Images a step.
        family: Its key.
        from_scratch: Whether Muon is the optimizer, AdamW otherwise.
    """
    # where nothing is matched early steps do no harm
    muon, adamw = (6e-3, 2.1e-3) if family == 'lordre' else (4e-3, 1e-3)
    return round((muon if from_scratch else adamw) * math.sqrt(batch_size / 2), 5)
