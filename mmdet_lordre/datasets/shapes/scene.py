"""One picture: shapes laid over one another, and which pixel shows which of them."""
from dataclasses import dataclass

import cv2
import numpy as np

from .outlines import CLASSES, random_outline
from .textures import background, contrasting_color, filling, finish

SMALLEST, LARGEST = 0.05, 0.5  # longer side of a shape, as part of the picture's side
MOST_INSTANCES = 8
EMPTY_PART = 0.03  # pictures without any instance
CROWD_PART = 0.06  # pictures with a cluster of tiny shapes, annotated as one crowd region
LEAST_VISIBLE = 0.5  # of a shape, else its class could not be told
LEAST_PIXELS = 6
_SUPERSAMPLING = 8
_TRIES = 12


@dataclass
class Scene:
    """A picture and what is in it.

    Attributes:
        image: uint8 (S, S, 3), BGR.
        owner: int16 (S, S), which instance a pixel shows: an index into ``labels``, -1 for
            background. The visible masks are ``owner == i``: disjoint, none of them empty.
        labels: Class index of each instance.
        crowd: Whether it is a crowd region.
    """
    image: np.ndarray
    owner: np.ndarray
    labels: list
    crowd: list


def make_scene(size: int, seed: int, split: int, index: int) -> Scene:
    """Picture number ``index`` of a split: the same for the same arguments, whatever else is made.

    Args:
        size: Side of the picture in pixels.
        seed: Seed of the data set, not negative.
        split: Number of the split (0 train, 1 val).
        index: Number of the picture in its split.

    Returns:
        Scene: the picture with its visible masks.
    """
    rng = np.random.default_rng([seed, split, index])
    canvas = _Canvas(size, rng)
    if rng.random() >= EMPTY_PART:
        if rng.random() < CROWD_PART:
            canvas.add_crowd()
        for _ in range(int(rng.integers(1, MOST_INSTANCES + 1))):
            canvas.add_instance()
    return Scene(finish(rng, canvas.image), canvas.owner, canvas.labels, canvas.crowd)


class _Canvas:
    """A picture being drawn, back to front."""

    def __init__(self, size, rng):
        self.size, self.rng = size, rng
        self.image = background(rng, size)
        self.owner = np.full((size, size), -1, np.int16)
        self.labels, self.crowd, self.areas = [], [], []

    def add_instance(self):
        """Draw one shape, if a place is found where everything below stays recognizable."""
        rng = self.rng
        label = int(rng.integers(len(CLASSES)))
        # drawn so that areas are spread evenly, not sides: else most shapes would be tiny
        extent = self.size * np.sqrt(rng.uniform(SMALLEST**2, LARGEST**2))
        cover = _coverage(random_outline(CLASSES[label], extent, rng))
        area = int((cover >= 0.5).sum())
        # A bar laid across another shape cuts it in two.
        target = None
        if CLASSES[label] == 'bar' and self.labels and rng.random() < 0.5:
            target = int(rng.integers(len(self.labels)))
        for _ in range(_TRIES):
            x, y = self._place(cover.shape, target)
            window = self._clip(cover, x, y)
            if window is not None and self._fits(window, area):
                self._mark(window, len(self.labels))
                self._note(label, False, area)
                self._shadow(window)
                self._paint(window)
                return

    def add_crowd(self):
        """Draw a cluster of tiny shapes of one class, to be annotated as one region."""
        rng, size = self.rng, self.size
        label = int(rng.integers(len(CLASSES)))
        center, spread = rng.uniform(0.25, 0.75, 2) * size, rng.uniform(0.06, 0.11) * size
        color = contrasting_color(rng, self.image.mean((0, 1)))
        drawn = []
        for _ in range(int(rng.integers(15, 40))):
            extent = max(size * rng.uniform(0.025, 0.045), 3)
            cover = _coverage(random_outline(CLASSES[label], extent, rng))
            x, y = np.round(center + rng.standard_normal(2) * spread - extent / 2).astype(int)
            window = self._clip(cover, x, y)
            if window is not None and window[2].max() >= 0.5:
                drawn.append(window)
        for window in drawn:
            self._mark(window, len(self.labels))
            self._paint(window, np.clip(color + rng.uniform(-30, 30, 3), 0, 255))
        if drawn:
            self._note(label, True, int((self.owner == len(self.labels)).sum()))

    def _place(self, shape, target):
        """Top left corner (x, y) for a shape (h, w); around instance ``target`` if given."""
        height, width = shape
        if target is None:
            # Up to a fifth may stick out of the picture.
            x = self.rng.uniform(-0.2 * width, self.size - 0.8 * width)
            y = self.rng.uniform(-0.2 * height, self.size - 0.8 * height)
        else:
            ys, xs = np.nonzero(self.owner == target)
            x, y = self.rng.normal([xs.mean(), ys.mean()], 0.03 * self.size) - [
                width / 2, height / 2]
        return round(float(x)), round(float(y))

    def _clip(self, cover, x, y):
        """The part of ``cover`` inside the picture: (row slice, column slice, cover) or None."""
        height, width = cover.shape
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + height, self.size), min(x + width, self.size)
        if top >= bottom or left >= right:
            return None
        return (slice(top, bottom), slice(left, right),
                cover[top - y:bottom - y, left - x:right - x])

    def _fits(self, window, area):
        """Whether the shape, and every one that it covers, still shows enough of itself."""
        rows, columns, cover = window
        inside = cover >= 0.5
        shown = int(inside.sum())
        if shown < max(LEAST_PIXELS, LEAST_VISIBLE * area):
            return False
        hit = self.owner[rows, columns][inside]
        lost = np.bincount(hit[hit >= 0], minlength=len(self.labels))
        left = np.bincount(self.owner[self.owner >= 0], minlength=len(self.labels)) - lost
        return all(left[i] >= max(LEAST_PIXELS, LEAST_VISIBLE * self.areas[i])
                   for i in np.nonzero(lost)[0])

    def _note(self, label, crowd, area):
        self.labels.append(label)
        self.crowd.append(crowd)
        self.areas.append(area)

    def _mark(self, window, number):
        rows, columns, cover = window
        self.owner[rows, columns][cover >= 0.5] = number

    def _shadow(self, window):
        """A soft shadow to one side, for some shapes: a hint of what lies above what."""
        rng = self.rng
        if rng.random() < 0.5:
            return
        rows, columns, cover = window
        reach = max(round(0.015 * self.size), 1)
        dx, dy = (int(v) for v in rng.integers(-reach, reach + 1, 2))
        shade = np.pad(cover, 2 * reach)
        shade = cv2.GaussianBlur(shade, (0, 0), 0.6 * reach) * np.float32(rng.uniform(0.2, 0.45))
        placed = self._clip(shade, columns.start + dx - 2 * reach, rows.start + dy - 2 * reach)
        self.image[placed[0], placed[1]] *= 1 - placed[2][..., None]

    def _paint(self, window, color=None):
        rows, columns, cover = window
        rng, region = self.rng, self.image[rows, columns]
        if color is None:
            ground = (region * cover[..., None]).sum((0, 1)) / cover.sum()
            color = contrasting_color(rng, ground)
            paint = filling(rng, *cover.shape, color)
            if rng.random() < 0.25:  # a darker or lighter rim
                width = max(round(0.035 * max(cover.shape)), 1)
                kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
                core = cv2.erode(cover, kernel, borderType=cv2.BORDER_CONSTANT,
                                 borderValue=1.0)[..., None]
                paint = paint * core + (1 - core) * np.clip(
                    color * rng.uniform(0.5, 1.5), 0, 255)
        else:
            paint = color
        region += cover[..., None] * (paint - region)


def _coverage(contours):
    """How much of each pixel lies inside the contours: float32 (h, w) in 0..1.

    With a margin of one empty pixel, so that the shape ends inside the array.
    """
    width, height = (int(v) + 2 for v in np.ceil(np.concatenate(contours).max(0)))
    k = _SUPERSAMPLING
    fine = np.zeros((height * k, width * k), np.uint8)
    # Pixel centers are whole numbers in OpenCV; 4 more bits for the contour's fraction.
    scaled = [np.round(((c + 1) * k - 0.5) * 16).astype(np.int32) for c in contours]
    cv2.fillPoly(fine, scaled, 255, cv2.LINE_8, 4)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
