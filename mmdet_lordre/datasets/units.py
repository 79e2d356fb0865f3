"""Boxes and polygons in other units than COCO's, told by comparing them with each other."""
import numpy as np
from pycocotools import mask as mask_api

from ..errors import UserError
from .annotation_rules import encode_segmentation

#: Annotations that are compared.
_SAMPLE = 2000
#: Parts of an image are numbers up to 1; tools write a little more at the border.
_WHOLE = 1.01
#: Pixels by which a box may differ from its mask.
_CLOSE = 2


def refuse_other_units(data: dict, path: str) -> None:
    """Refuse boxes of corners, and coordinates as parts of the image.

    Args:
        data: COCO annotations with mended ids.
        path: Their file, for messages.

    Raises:
        UserError: Most of the boxes or polygons are of another kind than COCO's.
    """
    images = {image['id']: image for image in data['images']}
    polygons, boxes, compared = [], [], []
    for annotation in data.get('annotations', ())[:_SAMPLE]:
        image = images.get(annotation.get('image_id'), {})
        sides = image.get('width'), image.get('height')
        if not all(type(side) is int and side > 4 for side in sides):
            continue
        box, mask = annotation.get('bbox'), annotation.get('segmentation')
        encoded = encode_segmentation(mask, image)
        if encoded is not None and isinstance(mask, list):
            polygons.append(max(map(max, mask)))
        if (not isinstance(box, list) or len(box) != 4 or not set(map(type, box)) <= {int, float}
                or not max(map(abs, box)) < 1e9 or not min(box[2:]) > 0):
            continue
        boxes.append(max(box))
        if encoded is not None:
            compared.append((box, mask_api.toBbox(encoded)))
    for what, highest in (('polygons', polygons), ('boxes', boxes)):
        if highest and np.mean(np.array(highest, float) <= _WHOLE) > 0.9:
            raise UserError(f'{path}: its {what} lie between 0 and 1, as parts of the image; COCO '
                            'counts in pixels: multiply x by the width and y by the height of '
                            'each image')
    if compared and _are_corners(*(np.array(values, float) for values in zip(*compared))):
        raise UserError(f'{path}: its boxes are x1 y1 x2 y2, as their masks show; COCO writes x y '
                        'width height: subtract the first two numbers from the last two')


def _are_corners(boxes: np.ndarray, masks: np.ndarray) -> bool:
    """Whether most boxes (N, 4) are corners, by the boxes x y width height of the masks (N, 4)."""
    masks = np.concatenate([masks[:, :2], masks[:, :2] + masks[:, 2:]], axis=1)
    as_coco = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    # an object in the corner of the image has the same numbers in both ways
    tells = (boxes[:, :2] > _CLOSE).any(1)
    corners = (np.abs(boxes - masks) <= _CLOSE).all(1) & tells
    good = (np.abs(as_coco - masks) <= _CLOSE).all(1) & tells
    return bool(corners.sum() > 0.5 * max(tells.sum(), 1) and good.sum() <= 0.1 * tells.sum())
