"""Films of moving shapes that hide each other: the truth, and detections as of a model."""
from dataclasses import dataclass, field

import cv2
import numpy as np

from mmdet_lordre.masks.runs import Crop

#: What is moved: how many shapes, their sides, how they move, and what stands in their way.
SCENES = {
    'crossing': dict(count=14, sides=(28, 70), speed=(1.0, 4.0), turn=0.02, bars=2),
    'erratic': dict(count=14, sides=(28, 70), speed=(1.0, 3.5), turn=0.25, bars=2),
    'crowd': dict(count=45, sides=(14, 30), speed=(0.5, 2.5), turn=0.08, bars=1),
    'alike': dict(count=16, sides=(40, 44), speed=(1.0, 3.5), turn=0.05, bars=3, kinds=1),
}


@dataclass
class Shape:
    """One that moves: the first ones lie behind the others."""
    number: int
    outline: np.ndarray
    color: tuple
    place: np.ndarray
    velocity: np.ndarray
    angle: float
    spin: float
    gone: bool = False
    area: int = 0


@dataclass
class Moment:
    """One frame.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        numbers: Identities of the shapes that are to be seen.
        masks: What is to be seen of each, inside its bounds.
        shares: Of each shape what is to be seen of it.
    """
    image: np.ndarray
    numbers: list = field(default_factory=list)
    masks: list = field(default_factory=list)
    shares: list = field(default_factory=list)


def film(scene, frames, size, seed):
    """Moments, one by one.

    Args:
        scene: Name in :data:`SCENES`.
        frames: How many.
        size: (height, width).
        seed: Of everything that is random.
    """
    how, rng = SCENES[scene], np.random.default_rng(seed)
    height, width = size
    ground = cv2.GaussianBlur(rng.uniform(30, 110, (height // 8, width // 8, 3)), (0, 0), 2)
    ground = cv2.resize(ground, (width, height)).astype(np.uint8)
    bars = []
    for k in range(how['bars']):
        x = int(width * (k + 0.7) / (how['bars'] + 0.4))
        bars.append((x, x + int(rng.integers(24, 60))))
    shapes = [_shape(rng, how, size, n + 1, inside=True) for n in range(how['count'])]
    last = len(shapes)
    for _ in range(frames):
        yield _seen(shapes, ground, bars, size)
        for place, shape in enumerate(shapes):
            turn = rng.normal(0, how['turn'])
            c, s = np.cos(turn), np.sin(turn)
            shape.velocity = np.array([[c, -s], [s, c]]) @ shape.velocity
            shape.place = shape.place + shape.velocity
            shape.angle += shape.spin
            reach = 1.2 * np.abs(shape.outline).max()
            if (shape.place < -reach).any() or (shape.place > (width + reach,
                                                               height + reach)).any():
                last += 1  # another one comes
                shapes[place] = _shape(rng, how, size, last, inside=False)


def _shape(rng, how, size, number, inside):
    side = rng.uniform(*how['sides'])
    kind = int(rng.integers(how.get('kinds', 4)))
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    if kind == 0:
        radius = 1 / np.hypot(np.cos(angles), np.sin(angles) / rng.uniform(0.5, 0.9))
    elif kind == 1:
        radius = 1 + 0.35 * np.cos(int(rng.integers(3, 6)) * angles)
    elif kind == 2:
        radius = 1 / np.maximum(np.abs(np.cos(angles)), np.abs(np.sin(angles)) * 1.6)
    else:
        radius = 1 + 0.25 * sum(np.cos(k * angles + rng.uniform(0, 6)) for k in (1, 2, 3)) / 2
    if how.get('kinds') == 1:
        radius = np.ones(40)
    outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None] * side / 2
    speed, way = rng.uniform(*how['speed']), rng.uniform(0, 2 * np.pi)
    height, width = size
    place = rng.uniform((0, 0), (width, height))
    if not inside:
        edge = int(rng.integers(4))
        reach = side / 2
        place = np.array([(-reach, place[1]), (width + reach, place[1]), (place[0], -reach),
                          (place[0], height + reach)][edge])
        way = (0, np.pi, np.pi / 2, -np.pi / 2)[edge] + rng.uniform(-1, 1)
    color = (120, 190, 70) if how.get('kinds') == 1 else tuple(
        int(v) for v in rng.integers(60, 255, 3))
    return Shape(number, outline, color, place, speed * np.array([np.cos(way), np.sin(way)]),
                 rng.uniform(0, 6), rng.normal(0, 0.02))


def _seen(shapes, ground, bars, size):
    image, owner = ground.copy(), np.zeros(size, np.int16)
    for order, shape in enumerate(shapes, 1):
        c, s = np.cos(shape.angle), np.sin(shape.angle)
        points = shape.outline @ np.array([[c, s], [-s, c]]) + shape.place
        points = np.round(points * 16).astype(np.int32)
        if not shape.area:
            whole = np.zeros((200, 200), np.uint8)
            cv2.fillPoly(whole, [points - points.mean(axis=0).astype(np.int32) + 1600], 1, shift=4)
            shape.area = int(whole.sum())
        cv2.fillPoly(owner, [points], order, shift=4)
        cv2.fillPoly(image, [points], shape.color, shift=4)
    for left, right in bars:
        owner[:, left:right] = 0
        image[:, left:right] = (40, 45, 52)
    moment = Moment(image)
    for order, shape in enumerate(shapes, 1):
        reach = np.abs(shape.outline).max() * 1.5 + 2
        (x1, y1), (x2, y2) = (np.clip(np.round(shape.place + side * reach), 0, size[::-1]).astype(
            int) for side in (-1, 1))
        mask = owner[y1:y2, x1:x2] == order
        seen = int(np.count_nonzero(mask))
        if seen >= max(25, 0.12 * shape.area):
            moment.masks.append(Crop(int(y1), int(x1), mask.astype(np.uint8)))
            moment.numbers.append(shape.number)
            moment.shares.append(min(1.0, seen / shape.area))
    return moment


def detections(moment, rng, drop=0.06, false=0.6):
    """What a model would give of a moment: masks that are not exact, some missing, some of nothing.

    Returns:
        Masks inside their bounds and scores, the surest first.
    """
    height, width = moment.image.shape[:2]
    found = []
    for (y, x, mask), share in zip(moment.masks, moment.shares):
        if rng.random() < drop + 0.3 * (1 - share):
            continue
        noise = cv2.resize(rng.normal(0, 1, (mask.shape[0] // 12 + 2, mask.shape[1] // 12 + 2)),
                           mask.shape[::-1])
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2)
        one = (soft + 0.12 * noise > rng.uniform(0.4, 0.6)).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(one)
        if count > 1:
            one = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
            score = float(np.clip(0.95 * share ** 0.7 + rng.normal(0, 0.08), 0.05, 0.99))
            found.append((Crop(y, x, one.astype(np.uint8)), score))
    for _ in range(rng.poisson(false)):
        axes = int(rng.integers(6, 24)), int(rng.integers(6, 24))
        mask = np.zeros((2 * axes[1] + 1, 2 * axes[0] + 1), np.uint8)
        cv2.ellipse(mask, axes, axes, 0, 0, 360, 1, -1)
        y, x = (int(rng.integers(side - part)) for side, part in zip((height, width), mask.shape))
        found.append((Crop(y, x, mask), float(rng.uniform(0.1, 0.65))))
    found.sort(key=lambda one: -one[1])
    return [one for one, _ in found], np.array([score for _, score in found])
