"""Small data sets for planning, made by hand."""
import json
from pathlib import Path

import cv2
import numpy as np

from mmdet_lordre.planning.objects import read_objects

from ..polygons import square as square  # for the tests beside this file


def annotation(number, image, segmentation, category=1, crowd=0):
    """A COCO annotation of polygons."""
    points = np.concatenate([np.reshape(p, (-1, 2)) for p in segmentation])
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return dict(id=number, image_id=image, category_id=category, iscrowd=crowd,
                segmentation=segmentation, area=float((right - left) * (bottom - top)),
                bbox=[float(left), float(top), float(right - left), float(bottom - top)])


def coco(images, names=('thing',), size=(128, 128)):
    """COCO annotations.

    Args:
        images: For each image a list of (polygons, label).
        names: Of the classes.
        size: (height, width) of all images.
    """
    annotations = []
    for number, objects in enumerate(images, 1):
        for segmentation, label in objects:
            annotations.append(annotation(len(annotations) + 1, number, segmentation, label + 1))
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', height=size[0], width=size[1])
                for i in range(1, len(images) + 1)],
        annotations=annotations, categories=[dict(id=i, name=n) for i, n in enumerate(names, 1)])


def objects(images, names=('thing',), size=(128, 128)):
    """What planning reads of such a file."""
    return read_objects(coco(images, names, size), 'hand.json', None)


def write(folder, data, name='train.json', draw=True):
    """Write annotations and pictures of their objects; returns the annotation file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for image in data['images'] if draw else ():
        picture = np.full((image['height'], image['width'], 3), 40, np.uint8)
        for one in data['annotations']:
            if one['image_id'] == image['id']:
                points = [np.reshape(p, (-1, 2)).astype(np.int32) for p in one['segmentation']]
                cv2.fillPoly(picture, points, (90, 160, 60 + 40 * one['category_id']))
        cv2.imwrite(str(folder / image['file_name']), picture)
    path = folder / name
    path.write_text(json.dumps(data))
    return str(path)
