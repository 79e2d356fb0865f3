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
