"""What perfect rays would reach on a data set: the ceiling of the representation."""
import contextlib
import io

import numpy as np
import torch
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..masks import bounds_of
from .contours import InstanceContours, contour_and_hole
from .polygons import contours_to_rle
from .rays import PolarRayCoder


class PolarUpperBound:
    """Rays from the centroid to the contour of every instance of a COCO file.

    Each instance is drawn back from its rays and evaluated against itself with score 1. No
    network does better with that number of rays from the centroid; a ring or a crescent is lost
    to any number of them, unless the rays have an inner end.

    Args:
        coco: The annotations.
        holes: Whether they have; see :class:`PolarMaskHead`.

    Raises:
        ValueError: If the file has no instance with a mask.
    """

    def __init__(self, coco: COCO, holes: bool = False) -> None:
        self.coco, self.holes = coco, holes
        self.anns, self.truth, found = [], [], []
        for ann in coco.anns.values():
            if ann.get('iscrowd') or not ann.get('segmentation'):
                continue
            rle = coco.annToRLE(ann)
            x, y, width, height = bounds_of([rle])[0].tolist()
            if not width or not height:
                continue
            mask = mask_api.decode(rle)[y:y + height, x:x + width]
            found.append(contour_and_hole(np.ascontiguousarray(mask), (x, y)))
            self.anns.append(ann)
            self.truth.append(rle)
        if not self.anns:
            raise ValueError('the file has no instance with a segmentation mask')
        images = coco.imgs.values()
        self.contours = InstanceContours.from_contours(
            [outer for outer, _ in found], max(image['height'] for image in images),
            max(image['width'] for image in images), [hole for _, hole in found])

    def masks(self, coder: PolarRayCoder, fill: str = 'opencv') -> list[dict]:
        """The mask of each instance, drawn from its perfect rays."""
        true, owners = self.contours, torch.arange(len(self.anns))
        reach = int(true.points.max()) + 1
        if self.holes:
            rays, shares = coder.encode_with_holes(true.centroids, owners, true, reach)
            lengths = [rays, rays * shares]
        else:
            lengths = [coder.encode(true.centroids, owners, true.points, true.sizes, reach)]
        encoded = []
        for ann, center, *lines in zip(self.anns, true.centroids, *lengths):
            image = self.coco.imgs[ann['image_id']]
            size = (image['height'], image['width'])
            contour, *hole = (coder.decode(center[None], line[None], size) for line in lines)
            encoded += contours_to_rle(contour, size, fill, holes=hole[0] if hole else None)
        return encoded

    def evaluate(self, coder: PolarRayCoder, fill: str = 'opencv') -> dict:
        """AP as COCO defines it, of each class too, and mean IoU.

        Args:
            coder: Of the rays.
            fill: How contours become masks, see :func:`contours_to_rle`.

        Returns:
            ``AP``, ``AP50``, ``AP75``, ``mIoU`` (mean over instances), and ``classes``: a list
            of (name, AP, mean IoU), all in [0, 1].
        """
        masks = self.masks(coder, fill)
        ious = np.array([mask_api.iou([mask], [truth], [0])[0, 0]
                         for mask, truth in zip(masks, self.truth)])
        results = [dict(image_id=ann['image_id'], category_id=ann['category_id'], score=1.0,
                        segmentation=mask) for ann, mask in zip(self.anns, masks)]
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            evaluation = COCOeval(self.coco, self.coco.loadRes(results), 'segm')
            evaluation.params.maxDets = [1, 10, max(100, len(results))]
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval['precision'][:, :, :, 0, -1]
        categories = np.array([ann['category_id'] for ann in self.anns])
        classes = []
        for index, category in enumerate(evaluation.params.catIds):
            mine = categories == category
            if mine.any():
                classes.append((self.coco.cats[category]['name'], _mean(precision[:, :, index]),
                                float(ious[mine].mean())))
        return dict(AP=_mean(precision), AP50=_mean(precision[0]), AP75=_mean(precision[5]),
                    mIoU=float(ious.mean()), classes=classes)


def _mean(precision: np.ndarray) -> float:
    """Mean precision of what is there; -1 marks what is not."""
    return float(precision[precision > -1].mean())
