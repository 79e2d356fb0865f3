"""Visible masks to COCO annotations that decode to exactly these masks."""
import cv2
import numpy as np
from pycocotools import mask as mask_api

from .outlines import CLASSES
from .scene import Scene


def categories() -> list[dict]:
    """The COCO categories: ids from 1 in the order of ``CLASSES``."""
    return [dict(id=i, name=name, supercategory='shape') for i, name in enumerate(CLASSES, 1)]


def annotations(scene: Scene, image_id: int, first_id: int) -> list[dict]:
    """The COCO annotations of a scene.

    Args:
        scene: What ``make_scene`` returns.
        image_id: id of its image.
        first_id: id of the first annotation; the following count up.

    Returns:
        list[dict]: area is the number of visible pixels; bbox (x, y, w, h) encloses them tightly.
        The segmentation is polygons along the pixel edges, one for each part, where there are
        no holes; run lengths for crowd regions and masks with holes.
    """
    found = []
    for i, (label, crowd) in enumerate(zip(scene.labels, scene.crowd, strict=True)):
        mask = (scene.owner == i).astype(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        found.append(dict(
            id=first_id + i, image_id=image_id, category_id=label + 1, iscrowd=int(crowd),
            area=int(np.count_nonzero(mask)), bbox=[left, top, width, height],
            segmentation=_run_lengths(mask) if crowd else segmentation(mask)))
    return found


def segmentation(mask: np.ndarray) -> list | dict:
    """Polygons where they give back exactly ``mask``, compressed run lengths otherwise.

    Args:
        mask: uint8 (H, W) of 0 and 1, not empty.
    """
    polygons = _polygons(mask)
    if polygons is not None:
        runs = mask_api.merge(mask_api.frPyObjects(polygons, *mask.shape))
        if np.array_equal(mask_api.decode(runs), mask):
            return polygons
    return _run_lengths(mask)


def _polygons(mask):
    """The pixel edges around each part of a mask as flat COCO polygons; None if it has holes."""
    left, top, width, height = cv2.boundingRect(mask)
    # With every pixel doubled, the first and the second of a pair stand for the two edges of
    # a pixel, so that an outline through pixel centers becomes one along pixel edges.
    doubled = mask[top:top + height, left:left + width].repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if (hierarchy[0, :, 3] >= 0).any():
        return None
    found = []
    for contour in contours:
        points = (contour[:, 0] + 1) // 2 + (left, top)
        points = points[(points != np.roll(points, 1, 0)).any(1)]
        straight = np.roll(points, -1, 0) - np.roll(points, 1, 0)
        points = points[(straight != 0).all(1)]  # corners only
        found.append(points.ravel().tolist())
    return found


def _run_lengths(mask):
    runs = mask_api.encode(np.asfortranarray(mask))
    return dict(size=[int(v) for v in runs['size']], counts=runs['counts'].decode('ascii'))
