"""A few objects whose masks are drawn by hand, for every format that can say them."""
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as mask_api

WIDTH, HEIGHT = 40, 30
#: (x, y) along the borders of pixels.
ANGLE = [(3, 2), (15, 2), (15, 8), (9, 8), (9, 14), (3, 14)]
PARTS = ([(20, 3), (26, 3), (26, 9), (20, 9)], [(30, 5), (37, 5), (37, 12), (30, 12)])
OUTER = [(18, 14), (36, 14), (36, 28), (18, 28)]
HOLE = [(23, 18), (30, 18), (30, 24), (23, 24)]


def _mask(*boxes):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x1, y1, x2, y2, value in boxes:
        mask[y1:y2, x1:x2] = value
    return mask


#: The same objects as pixels.
ANGLE_MASK = _mask((3, 2, 15, 8, 1), (3, 8, 9, 14, 1))
PARTS_MASK = _mask((20, 3, 26, 9, 1), (30, 5, 37, 12, 1))
RING_MASK = _mask((18, 14, 36, 28, 1), (23, 18, 30, 24, 0))
FULL_MASK = _mask((18, 14, 36, 28, 1))
#: What the pictures hold: two objects in a, one in b, none in c.
SCENE = {'a': [('cat', ANGLE_MASK), ('dog', PARTS_MASK), ('cat', RING_MASK)],
         'b': [('dog', ANGLE_MASK)], 'c': []}


def disc(cx, cy, rx, ry, angle=0.0):
    """Pixels whose centers lie in an ellipse, one after the other."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            dx, dy = x + 0.5 - cx, y + 0.5 - cy
            u = dx * np.cos(angle) + dy * np.sin(angle)
            v = dy * np.cos(angle) - dx * np.sin(angle)
            mask[y, x] = (u / rx) ** 2 + (v / ry) ** 2 <= 1
    return mask


def photo(path, width=WIDTH, height=HEIGHT):
    """Write an image; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(path)
    return path


def photos(root, pattern='{}.jpg'):
    for stem in 'abc':
        photo(root / pattern.format(stem))


def text(path, content):
    """Write a file: text, or JSON of anything else; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def labels(path, pixels, palette=None):
    """Write an image of numbers; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def drawn(segmentation, height=HEIGHT, width=WIDTH):
    """A mask as training draws it."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if isinstance(segmentation['counts'], list):
            segmentation = mask_api.frPyObjects(segmentation, height, width)
        return mask_api.decode(segmentation)
    return mask_api.decode(mask_api.merge(mask_api.frPyObjects(segmentation, height, width)))


def found(data):
    """``{stem of an image: sorted objects}`` of COCO annotations, as bytes that can be compared."""
    names = {category['id']: category['name'] for category in data['categories']}
    objects = {Path(image['file_name']).stem: [] for image in data['images']}
    images = {image['id']: image for image in data['images']}
    for annotation in data['annotations']:
        image = images[annotation['image_id']]
        mask = drawn(annotation['segmentation'], image['height'], image['width'])
        objects[Path(image['file_name']).stem].append(
            (names[annotation['category_id']], mask.tobytes()))
        # what training reads beside the mask agrees with it
        ys, xs = np.nonzero(mask)
        if len(xs):
            x, y, w, h = annotation['bbox']
            assert (x, y, x + w, y + h) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert annotation['area'] == mask.sum()
    return {stem: sorted(masks) for stem, masks in objects.items()}


def expected(scene=SCENE):
    """The same of a scene."""
    return {stem: sorted((name, mask.tobytes()) for name, mask in objects)
            for stem, objects in scene.items()}
