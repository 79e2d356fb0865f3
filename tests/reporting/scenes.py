"""Small data sets and results, drawn by hand or at random."""
import numpy as np
from pycocotools import mask as mask_api

from mmdet_lordre.reporting.inputs import make_table


def rle(mask):
    """Run lengths as results have them."""
    encoded = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=[int(v) for v in encoded['size']], counts=encoded['counts'].decode())


def box(x, y, w, h, size=(40, 60)):
    """A filled rectangle in an image of (height, width)."""
    mask = np.zeros(size, bool)
    mask[max(y, 0):max(y + h, 0), max(x, 0):max(x + w, 0)] = True
    return mask


class Scene:
    """Annotations and results that grow object by object."""

    def __init__(self, classes=('a', 'b'), size=(40, 60)):
        self.size = size
        self.data = dict(images=[], annotations=[], categories=[
            dict(id=10 * (k + 1), name=name) for k, name in enumerate(classes)])
        self.results = []

    def image(self, name=None):
        number = len(self.data['images']) + 1
        self.data['images'].append(dict(id=number, file_name=name or f'{number}.png',
                                        height=self.size[0], width=self.size[1]))
        return self

    def truth(self, mask, label=0, crowd=0, area=None):
        self.data['annotations'].append(dict(
            id=len(self.data['annotations']) + 1, image_id=len(self.data['images']),
            category_id=10 * (label + 1), iscrowd=crowd, segmentation=rle(mask),
            area=float(mask.sum()) if area is None else area, bbox=[0, 0, 1, 1]))
        return self

    def found(self, mask, score, label=0, image=None):
        self.results.append(dict(
            image_id=image or len(self.data['images']), category_id=10 * (label + 1),
            segmentation=rle(mask), score=score))
        return self

    def table(self, **options):
        from mmdet_lordre.reporting.inputs import annotated_of
        return make_table(annotated_of(self.data, 'truth.json'), list(self.results), 'results',
                          **options)


def random_scene(seed, images=6, classes=3, objects=6, found=12, size=(200, 240), crowds=0.1,
                 ties=True):
    """Rectangles of all of COCO's sizes; equal scores, crowds and empty images among them."""
    rng = np.random.default_rng(seed)
    scene = Scene([f'class {k}' for k in range(classes)], size)

    def random_box():
        h, w = (int(v) for v in np.exp(rng.uniform(np.log(6), np.log(180), 2)))
        return [int(rng.integers(-4, max(1, size[1] - w // 2))),
                int(rng.integers(-4, max(1, size[0] - h // 2))), w, h]
    for _ in range(images):
        scene.image()
        boxes = []
        for _ in range(int(rng.integers(0, objects + 1))):
            boxes.append((random_box(), int(rng.integers(classes))))
            mask = box(*boxes[-1][0], size=size)
            area = float(mask.sum() * rng.choice([1, 1, 0.5]))
            scene.truth(mask, boxes[-1][1], int(rng.random() < crowds), area)
        for _ in range(int(rng.integers(0, found + 1))):
            if boxes and rng.random() < 0.75:
                near, label = boxes[int(rng.integers(len(boxes)))]
                near = [v + int(rng.integers(-3, 4)) for v in near]
                label = label if rng.random() < 0.85 else int(rng.integers(classes))
            else:
                near, label = random_box(), int(rng.integers(classes))
            score = float(rng.integers(1, 10) / 10 if ties else rng.random())
            mask = box(near[0], near[1], max(1, near[2]), max(1, near[3]), size=size)
            scene.found(mask, score, label)
    return scene
