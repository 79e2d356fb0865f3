"""What is unusual about annotations that are learned all the same: masks are drawn for it."""
from collections.abc import Iterable, Iterator

import numpy as np
from pycocotools import mask as mask_api

from ..masks import bounds_of, mask_areas
from .annotation_rules import KEPT, Problem, encode_segmentation, place_of

#: Pixels of a mask up to which it is called tiny.
TINY = 4
#: Pixels, and parts of a box, by which a mask may reach out of it.
_REACH, _PART = 2.0, 0.03
#: Overlap of a box with that of its mask (IoU) below which they are no longer the same.
_OVERLAP = 0.5
#: Sides of a polygon beyond which crossings are not looked for.
_SIDES = 400
_PIECE = 4096
#: Pairs of sides that are compared at once.
_AT_ONCE = 1 << 20


def unusual_annotations(data: dict, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Go through the annotations that are learned, or are crowds.

    Args:
        data: COCO annotations.
        problems: All that :func:`~.annotation_rules.annotation_problems` finds in them.

    Yields:
        Problem: at most one for each annotation, in the order of the file.
    """
    images = {image.get('id'): image for image in data['images']}
    bad = {p.index for p in problems if not p.of_image and p.treatment != KEPT}
    annotations = data.get('annotations', ())
    for start in range(0, len(annotations), _PIECE):
        entries = [(annotation, images[annotation.get('image_id')], index) for index, annotation
                   in enumerate(annotations[start:start + _PIECE], start) if index not in bad]
        found = {index: ('crowd', 'it is a crowd region')
                 for annotation, _, index in entries if annotation.get('iscrowd')}
        _look([entry for entry in entries
               if entry[2] not in found and entry[0].get('segmentation')], found)
        for annotation, image, index in entries:
            if index in found:
                yield Problem(found[index][0], place_of(annotation, image), found[index][1], index)


def _look(entries, found):
    """Put what is unusual about annotations with masks into ``found``, by their index."""
    if not entries:
        return
    pixels, inside = _drawn(entries)
    boxes = np.array([annotation['bbox'] for annotation, _, _ in entries], float)
    boxes[:, 2:] += boxes[:, :2]
    sizes = np.array([(image['width'], image['height']) for _, image, _ in entries], float)
    clipped = np.concatenate([np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, 2:], sizes)], 1)
    reach = np.maximum(boxes[:, :2] - inside[:, :2], inside[:, 2:] - boxes[:, 2:])
    allowed = np.maximum(_REACH, _PART * (boxes[:, 2:] - boxes[:, :2]))
    out = (reach > allowed).any(1)
    beyond = ((_box_overlap(clipped, inside) < _OVERLAP)
              & (np.abs(clipped - inside) > _REACH).any(1))
    polygons = []
    for at, (annotation, _, index) in enumerate(entries):
        if pixels[at] <= TINY:
            found[index] = ('tiny' if pixels[at] else 'no pixels', f'its mask has {pixels[at]} px')
        elif out[at]:
            found[index] = ('mask outside box', f'its mask reaches {reach[at].max():.0f} px out of '
                            'its box')
        elif beyond[at]:
            w, h = inside[at, 2:] - inside[at, :2]
            found[index] = ('box beyond mask', f'its box is {annotation["bbox"][2]:.0f}x'
                            f'{annotation["bbox"][3]:.0f} px, its mask {w:.0f}x{h:.0f}')
        elif not isinstance(annotation['segmentation'], dict):
            for polygon in annotation['segmentation']:
                points = np.array(polygon, float).reshape(-1, 2)
                if points.min() < -1 or (points.max(0) > sizes[at] + 1).any():
                    found[index] = 'beyond the border', 'a polygon reaches out of the image'
                    break
                polygons.append((index, points))
    crossing = crossing_polygons([points for _, points in polygons])
    for (index, _), crosses in zip(polygons, crossing, strict=True):
        if crosses:
            found.setdefault(index, ('self-crossing', 'a polygon crosses itself'))


def _drawn(entries):
    """Pixels (N,) and boxes x1 y1 x2 y2 (N, 4) of the masks of annotations."""
    encoded, by_size = [None] * len(entries), {}
    for at, (annotation, image, _) in enumerate(entries):
        segmentation = annotation['segmentation']
        if isinstance(segmentation, dict) or len(segmentation) > 1:
            encoded[at] = encode_segmentation(segmentation, image)
        else:
            by_size.setdefault((image['height'], image['width']), []).append(at)
    for (height, width), places in by_size.items():
        # all of one size at once: each call costs as much as drawing a mask
        masks = mask_api.frPyObjects([list(map(float, entries[at][0]['segmentation'][0]))
                                      for at in places], height, width)
        for at, mask in zip(places, masks, strict=True):
            encoded[at] = mask
    boxes = bounds_of(encoded).astype(float)
    boxes[:, 2:] += boxes[:, :2]
    return mask_areas(encoded), boxes


def _box_overlap(a, b):
    """IoU of boxes x1 y1 x2 y2 (N, 4) with those beside them."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    both = np.maximum(sides, 0).prod(1)
    return both / np.maximum((a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both,
                             1e-9)


def crossing_polygons(polygons: list[np.ndarray]) -> np.ndarray:
    """Which closed polygons have two sides that cross.

    Args:
        polygons: N arrays (points, 2). Of more than 400 points it is not asked.

    Returns:
        ndarray: (N,) bool.
    """
    result = np.zeros(len(polygons), bool)
    counts = np.array([len(points) for points in polygons], int)
    for count in np.unique(counts[(counts >= 4) & (counts <= _SIDES)]).tolist():
        places = np.flatnonzero(counts == count)
        step = max(1, _AT_ONCE // count**2)
        for start in range(0, len(places), step):
            some = places[start:start + step]
            points = np.stack([polygons[at] for at in some])
            along = np.roll(points, -1, 1) - points
            # on which side of the line i the point j lies
            to = points[:, None] - points[:, :, None]
            side = np.sign(along[:, :, None, 0] * to[..., 1] - along[:, :, None, 1] * to[..., 0])
            parted = side * np.roll(side, -1, 2) < 0
            result[some] = (parted & parted.transpose(0, 2, 1)).any((1, 2))
    return result
