"""Colors, fillings and backgrounds. None of them knows the class of what it is drawn on."""
import cv2
import numpy as np


def random_color(rng: np.random.Generator, saturation: tuple[float, float] = (0.1, 1.0),
                  value: tuple[float, float] = (0.2, 1.0)) -> np.ndarray:
    """A BGR color, float32 (3,) in 0..255."""
    hue = rng.uniform(0, 6)
    s, v = rng.uniform(*saturation), rng.uniform(*value)
    channels = 1 - s * np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)[::-1]
    return (255 * v * channels).astype(np.float32)


def contrasting_color(rng: np.random.Generator, ground: np.ndarray,
                       distance: float = 110.0) -> np.ndarray:
    """A random color that can be told from ``ground`` (3,): the first far enough of a few tries,
    else the farthest."""
    tries = [random_color(rng) for _ in range(8)]
    far = [float(np.linalg.norm(color - ground)) for color in tries]
    for color, d in zip(tries, far, strict=True):
        if d >= distance:
            return color
    return tries[int(np.argmax(far))]


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int,
                 channels: int = 1) -> np.ndarray:
    """Noise in about -1..1 that varies over 1/cells of the longer side, float32 (H, W[, C])."""
    coarse = rng.uniform(-1, 1, (cells + 2, cells + 2, channels)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def ramp(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A linear ramp 0..1 in a random direction, float32 (H, W)."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.arange(width, dtype=np.float32) / max(width, height)
    y = np.arange(height, dtype=np.float32) / max(width, height)
    plane = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y[:, None]
    plane -= plane.min()
    return plane / max(float(plane.max()), 1e-6)


def stripes(rng: np.random.Generator, height: int, width: int, period: float) -> np.ndarray:
    """Soft stripes 0..1 in a random direction, ``period`` in pixels, float32 (H, W)."""
    waves = max(height, width) / period
    return 0.5 + 0.5 * np.sin(ramp(rng, height, width) * np.float32(2 * np.pi * waves))


def filling(rng: np.random.Generator, height: int, width: int, color: np.ndarray) -> np.ndarray:
    """A filling around ``color``: float32 (H, W, 3) or (1, 1, 3)."""
    kind = rng.integers(5)
    other = np.clip(color + rng.uniform(-30, 30, 3), 0, 255).astype(np.float32)
    if kind == 0:
        return color[None, None]
    if kind in (1, 2):
        weight = ramp(rng, height, width)
    elif kind == 3:
        weight = stripes(rng, height, width, rng.uniform(0.15, 0.4) * max(height, width))
    else:
        weight = 0.5 + 0.5 * smooth_noise(rng, height, width, int(rng.integers(3, 7)))
    return color + weight[..., None] * (other - color)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A background: gradient, clouds, weave, tiles or grain, float32 (size, size, 3)."""
    first = random_color(rng, saturation=(0.0, 0.6), value=(0.15, 0.95))
    second = np.clip(first + rng.uniform(-36, 36, 3), 0, 255).astype(np.float32)
    kind = rng.integers(5)
    if kind == 0:
        weight = ramp(rng, size, size)
    elif kind == 1:
        weight = 0.5 + sum(smooth_noise(rng, size, size, cells) / 2**i
                           for i, cells in enumerate((3, 7, 15, 31))) / 2
    elif kind == 2:
        period = size * rng.uniform(0.03, 0.12)
        weight = 0.3 * (stripes(rng, size, size, period) + stripes(rng, size, size, period))
        weight += 0.4 * ramp(rng, size, size)
    elif kind == 3:
        tiles = int(rng.integers(4, 12))
        weight = cv2.resize(rng.uniform(0, 0.6, (tiles, tiles)).astype(np.float32), (size, size),
                            interpolation=cv2.INTER_NEAREST)
        weight += 0.4 * ramp(rng, size, size)
    else:
        weight = 0.5 + 0.3 * smooth_noise(rng, size, size, max(size // 3, 8))
        weight += 0.3 * smooth_noise(rng, size, size, 4)
    picture = first + weight[..., None] * (second - first)
    _scratches(rng, picture)
    return picture


def _scratches(rng, picture):
    """A few thin curves of little contrast: edges that bound nothing."""
    size = len(picture)
    for _ in range(int(rng.integers(0, 3))):
        t = np.linspace(0, 1, 24)[:, None]
        a, b, c = rng.uniform(-0.1, 1.1, (3, 1, 2)) * size
        curve = (1 - t)**2 * a + 2 * t * (1 - t) * b + t**2 * c
        tone = picture[tuple(rng.integers(0, size, 2))] + rng.uniform(-25, 25, 3)
        cv2.polylines(picture, [np.round(curve * 8).astype(np.int32)], False,
                      np.clip(tone, 0, 255).tolist(), 1, cv2.LINE_AA, 3)


def finish(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """What a camera adds: a little blur, a little noise. Returns uint8 (H, W, 3)."""
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.3, 0.7))
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    grain *= np.float32(rng.uniform(0, 6))
    grain += picture
    return cv2.convertScaleAbs(np.clip(grain, 0, 255, out=grain))
