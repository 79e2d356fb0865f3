"""Pictures whose objects have a color of their own each, as the perfect model finds them."""
import cv2
import numpy as np


def scene(height, width, *boxes):
    """A picture with boxes (y, x, h, w)."""
    image = np.zeros((height, width, 3), np.uint8)
    for number, (y, x, h, w) in enumerate(boxes, 1):
        image[y:y + h, x:x + w] = (number, 20 * number, 0)
    return image


def blobs(height=90, width=120, seed=0, objects=5):
    """Objects with holes, in several parts, some at the border."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.uint8)
    for number in range(1, objects + 1):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), 3)
        inside = noise > 0.8 * noise.std()
        if number > 1:  # the first one reaches the border
            top, left = rng.integers(2, height // 2), rng.integers(2, width // 2)
            inside[:top] = inside[top + height // 3:] = False
            inside[:, :left] = inside[:, left + width // 3:] = False
        image[inside] = (number, 20 * number, 0)
    return image


def large_scene(size=400, seed=0, count=60):
    """Ellipses that do not touch, some over seams, one over nearly everything in one direction."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size + 40, 3), np.uint8)
    taken = np.zeros(image.shape[:2], np.uint8)
    shapes = [((size // 2, size // 2), (int(size * 0.45), 6), 30)]
    while len(shapes) < count:
        center = tuple(int(v) for v in rng.integers(0, size, 2))
        shapes.append((center, tuple(int(v) for v in rng.integers(3, 30, 2)),
                       int(rng.integers(180))))
    number = 0
    for center, axes, angle in shapes:
        mask = np.zeros(taken.shape, np.uint8)
        cv2.ellipse(mask, center, axes, angle, 0, 360, 1, -1)
        if (cv2.dilate(mask, np.ones((5, 5))) & taken).any():
            continue
        number += 1
        taken |= mask
        image[mask > 0] = (number, number * 2, 0)
    return image
