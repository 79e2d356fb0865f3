"""What perfect rays would reach on a data set: the ceiling of the representation."""
import contextlib
import io

import numpy as np
import torch
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .contours import contour_centroids, largest_contour
from .polygons import contours_to_rle
from .rays import PolarRayCoder


class PolarUpperBound:
    """Rays from the centroid to the contour of every instance of a COCO file.

    Each instance is drawn back from its rays and evaluated against itself with score 1. No
    network does better with that number of rays from the centroid; a ring or a crescent is lost
    to any number of them.

    Args:
        coco: The annotations.

    Raises:
        ValueError: If the file has no instance with a mask.
    """

    def __init__(self, coco: COCO) -> None:
        self.coco = coco
        self.anns, self.truth, contours = [], [], []
        for ann in coco.anns.values():
            if ann.get('iscrowd') or not ann.get('segmentation'):
                continue
            rle = coco.annToRLE(ann)
            x, y, width, height = mask_api.toBbox(rle).astype(int)
            if not width or not height:
                continue
            mask = mask_api.decode(rle)[y:y + height, x:x + width]
            contours.append(largest_contour(np.ascontiguousarray(mask), (int(x), int(y))))
            self.anns.append(ann)
            self.truth.append(rle)
        if not self.anns:
            raise ValueError('the file has no instance with a segmentation mask')
        self.sizes = torch.tensor([len(contour) for contour in contours])
        self.points = torch.from_numpy(np.concatenate(contours))
        self.centroids = torch.from_numpy(
            contour_centroids(self.points.numpy(), self.sizes.numpy()))

    def masks(self, coder: PolarRayCoder, fill: str = 'opencv') -> list[dict]:
        """The mask of each instance, drawn from its perfect rays."""
        reach = int(self.points.max()) + 1
        rays = coder.encode(self.centroids, torch.arange(len(self.anns)), self.points,
                            self.sizes, reach)
        contours = coder.decode(self.centroids, rays)
        encoded = []
        for ann, contour in zip(self.anns, contours):
            image = self.coco.imgs[ann['image_id']]
            size = (image['height'], image['width'])
            limit = contour.new_tensor([size[1] - 1, size[0] - 1])
            encoded += contours_to_rle(contour.clamp(min=0).minimum(limit)[None], size, fill)
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
