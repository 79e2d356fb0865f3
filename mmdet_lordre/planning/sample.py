"""A part of the images, looked at pixel by pixel: forms, overlap, colors."""
import math
import os
from dataclasses import dataclass

import cv2
import numpy as np

from ..masks.drawing import draw_segment
from ..visualization.seen import decoded
from .objects import Objects

#: Side of the picture that the masks of a class are averaged in.
_FORM = 24
#: Pixels of an image on which neighbors are looked for, every second row or fewer of a larger one;
#: of a mask for its parts and holes, and for its mean color.
_MOST_PIXELS, _FORM_PIXELS, _COLOR_PIXELS = 2**22, 2**20, 2**14
#: Pixels that are decoded for colors at most: some seconds of one core.
_DECODED = 2e8
#: Mean binary logarithm of height by width from which on the objects of a class stand, or lie.
_TALL = 0.2
#: Overlap of the mean mask with its mirror image (IoU) below which it is another one.
_ALIKE = 0.85
#: Objects whose mean mask says how they are turned.
_ENOUGH = 20
#: Pixels within which objects count as touching.
_NEAR = 2


@dataclass
class Looks:
    """What a sample of the images shows; shares are of the objects in it.

    Attributes:
        images: How many images were looked at.
        objects: How many objects.
        holes: Share with a hole.
        parts: Share in several parts.
        overlap: Share of whose pixels another object has some, too.
        touching: Share that comes within two pixels of another object.
        elongated: Share more than three times as long as wide.
        fill: Median share of the box that the mask fills.
        upright: Whether turning the images upside down makes other objects of them.
        sided: Whether mirroring them left to right does.
        standing: Whether laying them on their side does, by a quarter of a turn.
        enough: Whether there were enough objects to tell these three; else they count as upright.
        colored: Whether colors tell the classes apart.
    """
    images: int = 0
    objects: int = 0
    holes: float = 0.
    parts: float = 0.
    overlap: float = 0.
    touching: float = 0.
    elongated: float = 0.
    fill: float = 0.
    upright: bool = False
    sided: bool = False
    standing: bool = False
    enough: bool = True
    colored: bool = False


def choose_images(objects: Objects, images: int, most: int, seed: int = 0) -> np.ndarray:
    """Images with objects, drawn at random until there are enough of either.

    Args:
        objects: To choose from.
        images: How many images at most.
        most: How many objects, about; at least one image is chosen.
        seed: Of the choice.

    Returns:
        Indices of images, in rising order.
    """
    counts = objects.counts
    order = np.random.default_rng(seed).permutation(np.flatnonzero(counts))
    enough = np.searchsorted(np.cumsum(counts[order]), most) + 1
    return np.sort(order[:min(images, enough)])


def objects_of(objects: Objects, image: int) -> range:
    """The objects of an image, which stand together."""
    start, stop = np.searchsorted(objects.images, (image, image + 1))
    return range(start, stop)


def look(objects: Objects, images: int = 60, most: int = 2000, seed: int = 0,
         with_pixels: bool = True) -> Looks:
    """Look at a sample.

    Args:
        objects: Of a data set.
        images: How many images at most.
        most: How many objects, about.
        seed: Of the choice.
        with_pixels: Whether the image files are read too, for colors.
    """
    chosen = choose_images(objects, images, most, seed)
    looks = Looks(images=len(chosen))
    found = dict(holes=[], parts=[], overlap=[], touching=[], elongated=[], fill=[])
    forms = np.zeros((len(objects.classes), _FORM, _FORM))
    seen, tall, squares = np.zeros((3, len(objects.classes)))
    colors, labels, decoded = [], [], 0
    for image in chosen:
        size = objects.sizes[image]
        decoded += size.prod()
        picture = _picture(objects, image) if with_pixels and decoded <= _DECODED else None
        every, small = _step(size, _MOST_PIXELS), []
        for i in objects_of(objects, image):
            (top, left), mask = draw_segment(objects.segments[i], *size.tolist())
            small.append(_thinned(top, left, mask, every))
            if not mask.any():
                continue
            label = objects.labels[i]
            step = _step(mask.shape, _FORM_PIXELS)
            thinned = np.ascontiguousarray(mask[::step, ::step])
            _form(thinned if thinned.any() else mask, found)
            forms[label] += cv2.resize(mask.astype(np.float32), (_FORM, _FORM),
                                       interpolation=cv2.INTER_AREA)
            seen[label] += 1
            taller = math.log2(mask.shape[0] / mask.shape[1])
            tall[label] += taller
            squares[label] += taller**2
            if picture is not None:
                window = picture[top:top + mask.shape[0], left:left + mask.shape[1]]
                step = _step(mask.shape, _COLOR_PIXELS)
                seen_there = mask[::step, ::step] > 0
                if window.shape[:2] == mask.shape and seen_there.any():
                    colors.append(window[::step, ::step][seen_there].mean(0))
                    labels.append(label)
        _crossings(small, -(-size // every), found)
    for key, values in found.items():
        setattr(looks, key, float((np.median if key == 'fill' else np.mean)(values))
                if values else 0.)
    looks.objects = int(seen.sum())
    looks.enough = looks.objects >= _ENOUGH
    looks.upright, looks.sided, looks.standing = _orientation(
        forms, seen, tall, squares) if looks.enough else (True, False, True)
    looks.colored = _color_tells(np.array(colors), np.array(labels))
    return looks


def _step(size, pixels):
    """Every how many rows and columns leave no more pixels than that, about."""
    return math.ceil(math.sqrt(size[0] * size[1] / pixels))


def _thinned(top, left, mask, step):
    """(top, left, mask) of every so many rows and columns of the image."""
    if step == 1:
        return top, left, mask
    return -(-top // step), -(-left // step), np.ascontiguousarray(
        mask[-top % step::step, -left % step::step])


def _picture(objects, image):
    path = os.path.join(objects.folder, objects.files[image])
    picture = decoded(path, cv2.IMREAD_COLOR | (
        0 if objects.upright else cv2.IMREAD_IGNORE_ORIENTATION))
    return picture if picture is not None and \
        picture.shape[:2] == tuple(objects.sizes[image]) else None


def _form(mask, found):
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [c for c, node in zip(contours, tree[0]) if node[3] < 0]
    # a hole or a part of a pixel is how a tool rounds, not what an object is
    least = max(2, 0.01 * mask.sum())
    found['holes'].append(any(node[3] >= 0 and cv2.contourArea(c) >= least
                              for c, node in zip(contours, tree[0])))
    found['parts'].append(sum(cv2.contourArea(c) >= least for c in outer) > 1)
    longest = max(outer, key=len)
    sides = np.array(cv2.minAreaRect(longest)[1]) + 1
    found['elongated'].append(sides.max() > 3 * sides.min())
    found['fill'].append(mask.mean())


def _crossings(drawn, size, found):
    """Which objects share pixels, or nearly touch."""
    owners = np.zeros(size, np.int32)
    for top, left, mask in drawn:
        owners[top:top + mask.shape[0], left:left + mask.shape[1]] += mask
    last = np.zeros(size, np.int32)
    for number, (top, left, mask) in enumerate(drawn, 1):
        view = last[top:top + mask.shape[0], left:left + mask.shape[1]]
        view[mask > 0] = number
    kernel = np.ones((2 * _NEAR + 1,) * 2, np.uint8)
    for number, (top, left, mask) in enumerate(drawn, 1):
        if not mask.any():
            continue
        view = owners[top:top + mask.shape[0], left:left + mask.shape[1]]
        found['overlap'].append(bool((view[mask > 0] > 1).any()))
        padded = cv2.dilate(np.pad(mask, _NEAR), kernel)
        y, x = max(0, top - _NEAR), max(0, left - _NEAR)
        around = last[y:top + mask.shape[0] + _NEAR, x:left + mask.shape[1] + _NEAR]
        cut = padded[y - top + _NEAR:, x - left + _NEAR:][:around.shape[0], :around.shape[1]]
        others = around[cut > 0]
        found['touching'].append(bool(((others > 0) & (others != number)).any()))


def _orientation(forms, seen, tall, squares):
    """Whether the classes' average forms change when they are turned over, mirrored or laid on
    their side, or change places.

    ``forms`` are squares: how much taller than wide the objects of a class are is ``tall``, the sum
    of the logarithms, and ``squares`` that of their squares."""
    enough = seen >= _ENOUGH
    if not enough.any():  # what most of them are subject to, as things that stand on the ground
        forms, seen, tall, squares = (one.sum(0, keepdims=True)
                                      for one in (forms, seen, tall, squares))
        enough = np.array([True])
    count = seen[enough]
    mean = forms[enough] / count[:, None, None]
    # of few objects of many classes some stand by chance
    taller = tall[enough] / count
    error = np.sqrt(np.maximum(squares[enough] / count - taller**2, 0) / count)
    standing = (np.abs(taller) > np.maximum(_TALL, 3 * error)).any()
    return (_changes(mean, np.flip(mean, 1), count), _changes(mean, np.flip(mean, 2), count),
            bool(standing) or _changes(mean, mean.swapaxes(1, 2), count))


def _changes(mean, flipped, count):
    def alike(a, b):
        return np.minimum(a, b).sum((-1, -2)) / np.maximum(a, b).sum((-1, -2))
    # how alike means of so few objects would be if nothing but chance told them apart
    spread = 4 * np.clip(mean * (1 - mean), 0, 1) / (math.pi * count[:, None, None])
    chance = np.sqrt(spread).sum((1, 2))
    total = mean.sum((1, 2))
    expected = (total - chance / 2) / (total + chance / 2)
    own = alike(mean, flipped)
    if (own < _ALIKE * expected).any():
        return True
    # a class whose mirror image is another class, more than it is itself
    plain, others = alike(mean[:, None], mean[None]), alike(mean[:, None], flipped[None])
    np.fill_diagonal(others, 0)
    margin = 0.05 + 1 - np.minimum(expected[:, None], expected[None])
    return bool((others > np.maximum(own[:, None], plain) + margin).any())


def _color_tells(colors, labels):
    """Whether the variance of the mean colors lies between the classes, by a fifth or more."""
    classes, counts = np.unique(labels, return_counts=True) if len(labels) else ((), ())
    classes = [c for c, n in zip(classes, counts) if n >= 5]
    if len(classes) < 2:
        return False
    keep = np.isin(labels, classes)
    colors, labels = colors[keep], labels[keep]
    total = ((colors - colors.mean(0)) ** 2).sum()
    within = sum(((colors[labels == c] - colors[labels == c].mean(0)) ** 2).sum()
                 for c in classes)
    return bool(total > 0 and 1 - within / total > 0.2)
