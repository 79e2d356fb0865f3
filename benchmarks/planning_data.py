"""Kinds of data for ``planning.py``, drawn from a seed with the shapes' own pencil."""
import contextlib
import json
import os
from dataclasses import dataclass

import cv2
import numpy as np
from pycocotools import mask as mask_api

from mmdet_lordre.datasets.shapes import scene
from mmdet_lordre.datasets.shapes.outlines import CLASSES


@dataclass(frozen=True)
class Kind:
    """What the pictures show.

    Attributes:
        size: Side of a picture in pixels.
        extent: Smallest and largest side of an object, as parts of the picture's.
        count: Least and most objects.
        forms: Outlines.
        hues: Colors that are classes of their own, each rarer than the one before; 0 for none.
        named: Whether forms are classes, or all are one.
    """
    size: int
    extent: tuple[float, float]
    count: tuple[int, int]
    forms: tuple[str, ...] = CLASSES
    hues: int = 0
    named: bool = True


KINDS = dict(
    tiny_many=Kind(256, (0.03, 0.06), (40, 80), named=False),
    few_large=Kind(256, (0.3, 0.6), (1, 3)),
    mixed=Kind(256, (0.03, 0.6), (5, 15)),
    thin=Kind(256, (0.2, 0.5), (3, 8), ('bar', 'cross')),
    holes=Kind(256, (0.1, 0.4), (3, 8), ('ring', 'disc')),
    crowded=Kind(192, (0.1, 0.2), (25, 45), ('disc', 'square')),
    one_class=Kind(256, (0.1, 0.3), (1, 8), ('star',), named=False),
    forty_classes=Kind(256, (0.1, 0.3), (3, 8), hues=5),
    large_pictures=Kind(1024, (0.015, 0.025), (20, 60), ('disc', 'triangle', 'square')))


def make(name: str, folder: str, train: int, val: int, seed: int = 0) -> str:
    """Draw a kind, unless it is there; returns its folder, with train.json and val.json."""
    kind, folder = KINDS[name], os.path.join(folder, f'{name}-{train}-{val}-{seed}')
    if os.path.exists(os.path.join(folder, 'val.json')):
        return folder
    os.makedirs(folder, exist_ok=True)
    names = list(kind.forms) if kind.named else ['object']
    if kind.hues:
        names = [f'{form} {hue}' for form in kind.forms for hue in range(kind.hues)]
    for number, (split, count) in enumerate((('train', train), ('val', val))):
        images, annotations = [], []
        for index in range(count):
            file = f'{split}-{index:05d}.jpg'
            picture, found = _draw(kind, np.random.default_rng([seed, number, index]))
            cv2.imwrite(os.path.join(folder, file), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
            images.append(dict(id=index + 1, file_name=file, width=kind.size, height=kind.size))
            for mask, label in found:
                rle = mask_api.encode(np.asfortranarray(mask))
                annotations.append(dict(
                    id=len(annotations) + 1, image_id=index + 1, category_id=label + 1, iscrowd=0,
                    area=float(mask_api.area(rle)), bbox=mask_api.toBbox(rle).tolist(),
                    segmentation=dict(size=rle['size'], counts=rle['counts'].decode())))
        with open(os.path.join(folder, f'{split}.json'), 'w') as file:
            json.dump(dict(images=images, annotations=annotations, categories=[
                dict(id=i, name=n) for i, n in enumerate(names, 1)]), file)
    return folder


def _draw(kind, rng):
    """A picture (BGR), and (mask, label) of each object that can be seen."""
    hues = []
    with _pencil(kind):
        canvas = scene._Canvas(kind.size, rng)
        for _ in range(int(rng.integers(kind.count[0], kind.count[1] + 1))):
            hue = min(int(rng.geometric(0.6)) - 1, kind.hues - 1) if kind.hues else 0
            before = len(canvas.labels)
            scene_hue[0] = hue if kind.hues else None
            canvas.add_instance()
            hues += [hue] * (len(canvas.labels) - before)
        picture = scene.finish(rng, canvas.image)
    found = []
    for number, form in enumerate(canvas.labels):
        label = form * kind.hues + hues[number] if kind.hues else form if kind.named else 0
        mask = (canvas.owner == number).astype(np.uint8)
        if mask.sum() >= scene.LEAST_PIXELS:
            found.append((mask, label))
    return picture, found


#: The hue that the pencil has at the moment, None for any.
scene_hue = [None]


@contextlib.contextmanager
def _pencil(kind):
    """The shapes' own settings, changed for a picture."""
    kept = {name: getattr(scene, name) for name in ('SMALLEST', 'LARGEST', 'CLASSES',
                                                    'contrasting_color')}

    def color(rng, ground):
        if scene_hue[0] is None:
            return kept['contrasting_color'](rng, ground)
        hsv = np.uint8([[[36 * scene_hue[0], 200, int(rng.integers(150, 250))]]])
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)

    scene.SMALLEST, scene.LARGEST = kind.extent
    scene.CLASSES, scene.contrasting_color = kind.forms, color
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(scene, name, value)
        scene_hue[0] = None
