"""From the best points of an image to its instances."""
import torch
from mmcv.ops import batched_nms
from mmdet.structures.bbox import distance2bbox
from mmengine.structures import InstanceData
from torch import Tensor

from .polygons import FILLS, contours_to_bitmaps, contours_to_rle
from .rays import PolarRayCoder

DEFAULTS = dict(nms_pre=1000, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=100, nms_boxes='box', mask_format='bitmap', fill='opencv')
_CHOICES = dict(nms_boxes=('box', 'contour'), mask_format=('bitmap', 'rle'), fill=FILLS)


def check_test_cfg(cfg: dict | None) -> dict:
    """``test_cfg`` with the published settings for what it leaves out.

    Raises:
        ValueError: If a choice is unknown.
    """
    cfg = {**DEFAULTS, **(cfg or {})}
    for key, choices in _CHOICES.items():
        if cfg[key] not in choices:
            raise ValueError(f'test_cfg.{key} must be one of {choices}, not {cfg[key]!r}')
    return cfg


def nms_of_classes(boxes: Tensor, scores: Tensor, labels: Tensor,
                   cfg: dict) -> tuple[Tensor, Tensor]:
    """mmcv's NMS within classes, on the CPU where it was not compiled for the device.

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        labels: (N,).
        cfg: ``type`` and settings of the NMS.

    Returns:
        Boxes with scores (K, 5) and the indices (K,) of those that are kept, by score.
    """
    try:
        return batched_nms(boxes, scores, labels, cfg)
    except RuntimeError as error:
        if 'implementation for device' not in str(error):
            raise
    kept, keep = batched_nms(boxes.cpu(), scores.cpu(), labels.cpu(), cfg)
    return kept.to(boxes.device), keep.to(boxes.device)


def predict_image(probs: Tensor, distances: Tensor, rays: Tensor, centerness: Tensor,
                  points: Tensor, meta: dict, coder: PolarRayCoder, cfg: dict, rescale: bool,
                  with_nms: bool = True) -> InstanceData:
    """Instances of one image; contours and masks only of those that survive NMS.

    Args:
        probs: Class probabilities (P, num_classes).
        distances: (P, 4), to the left, top, right and bottom, in pixels of the input.
        rays: (P, num_rays) in pixels of the input.
        centerness: Probabilities (P,).
        points: (P, 2), x, y in pixels of the input.
        meta: Meta information of the image.
        coder: Decodes the rays.
        cfg: A complete ``test_cfg``.
        rescale: Whether to return pixels of the original image.
        with_nms: Whether to suppress duplicates.

    Returns:
        See :meth:`PolarMaskHead.predict_by_feat`.
    """
    shape = tuple(meta['img_shape'][:2])
    scale = points.new_tensor(meta['scale_factor'] if rescale else (1.0, 1.0))

    def contours_of(chosen):
        return coder.decode(points[chosen], rays[chosen], shape) / scale

    candidates, labels = (probs > cfg['score_thr']).nonzero(as_tuple=True)
    scores = probs[candidates, labels] * (centerness[candidates] + 0.5)
    if cfg['nms_boxes'] == 'contour':
        contours = contours_of(candidates)
        boxes = torch.cat((contours.amin(dim=1), contours.amax(dim=1)), dim=1)
    else:
        boxes = distance2bbox(points[candidates], distances[candidates], shape)
        boxes = boxes / scale.repeat(2)
    if with_nms and len(boxes):
        kept, keep = nms_of_classes(boxes, scores, labels, cfg['nms'])
        scores = kept[:, 4]  # soft NMS lowers them
    else:
        keep = scores.argsort(descending=True)
        scores = scores[keep]
    keep, scores = keep[:cfg['max_per_img']], scores[:cfg['max_per_img']]
    candidates = candidates[keep]
    contours = contours_of(candidates)
    size = tuple(meta['ori_shape'][:2]) if rescale else shape
    to_masks = contours_to_rle if cfg['mask_format'] == 'rle' else contours_to_bitmaps
    masks = to_masks(contours, size, cfg['fill'], (0.5 / scale).tolist())
    return InstanceData(scores=scores, labels=labels[keep], bboxes=boxes[keep],
                        masks=masks, contours=contours,
                        centers=points[candidates] / scale)
