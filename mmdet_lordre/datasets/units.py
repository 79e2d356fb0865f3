"""Boxes and polygons in other units than COCO's, told by comparing them with each other."""
import numpy as np

from ..errors import UserError
from ..masks import bounds_of
from ..text import printable
from .annotation_rules import encode_segmentation

#: Annotations that are compared.
_SAMPLE = 2000
#: Parts of an image are numbers up to 1; tools write a little more at the border.
_WHOLE = 1.01
#: Pixels by which a box may differ from its mask.
_CLOSE = 2
#: Share of boxes that may lie elsewhere than their masks before it is said.
_MOST_APART = 0.1


def refuse_other_units(data: dict, path: str) -> str | None:
    """Refuse boxes of corners or centers, and coordinates as parts of the image.

    Args:
        data: COCO annotations with mended ids.
        path: Their file, for messages.

    Returns:
        A line where many boxes have little to do with their masks, and nothing says why.

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
            compared.append((box, bounds_of([encoded])[0]))
    for what, highest in (('polygons', polygons), ('boxes', boxes)):
        if highest and np.mean(np.array(highest, float) <= _WHOLE) > 0.9:
            raise UserError(f'{path}: its {what} lie between 0 and 1, as parts of the image; COCO '
                            'counts in pixels: multiply x by the width and y by the height of '
                            'each image')
    found = compared and _other_boxes(*(np.array(values, float) for values in zip(*compared)))
    if found:
        raise UserError(f'{path}: its boxes are {found[0]}, as their masks show; COCO writes x y '
                        f'width height: {found[1]}')
    apart = _apart(*(np.array(values, float) for values in zip(*compared))) if compared else 0
    if apart <= _MOST_APART:
        return None
    return (f'{printable(path)}: {apart:.0%} of the boxes lie elsewhere than their masks, so one '
            'of the two is wrong: look at them with lordre browse; lordre check names them')


def _apart(boxes: np.ndarray, masks: np.ndarray) -> float:
    """Share of boxes (N, 4) whose IoU with those of the masks (N, 4) is less than a half."""
    low = np.maximum(boxes[:, :2], masks[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], masks[:, :2] + masks[:, 2:])
    common = np.maximum(high - low, 0).prod(1)
    overlaps = common / (boxes[:, 2:].prod(1) + masks[:, 2:].prod(1) - common)
    return float((overlaps < 0.5).mean())


def _other_boxes(boxes: np.ndarray, masks: np.ndarray) -> tuple[str, str] | None:
    """What most boxes (N, 4) are in place of COCO's, by those of the masks (N, 4), and a remedy."""
    good = _close(boxes, masks)
    swapped = boxes[:, [1, 0, 3, 2]]
    for name, remedy, read in (
            ('x1 y1 x2 y2', 'subtract the first two numbers from the last two', _of_corners(boxes)),
            ('center x, center y, width and height', 'subtract half of the last two numbers from '
             'the first two', _of_centers(boxes)),
            ('y x height width', 'swap each pair of numbers', swapped),
            ('y1 x1 y2 x2', 'swap each pair of numbers, and subtract the first two from the last '
             'two', _of_corners(swapped))):
        # an object in the corner of the image, say, has the same numbers in both ways
        tells = (np.abs(read - boxes) > _CLOSE).any(1)
        if (_close(read, masks) & tells).sum() > 0.5 * max(tells.sum(), 1) \
                and (good & tells).sum() <= 0.1 * tells.sum():
            return name, remedy
    return None


def _of_corners(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _of_centers(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _close(boxes, masks):
    """Whether boxes x y width height have the same corners."""
    return (np.abs(boxes[:, :2] - masks[:, :2]) <= _CLOSE).all(1) & (
        np.abs(boxes[:, :2] + boxes[:, 2:] - masks[:, :2] - masks[:, 2:]) <= _CLOSE).all(1)
