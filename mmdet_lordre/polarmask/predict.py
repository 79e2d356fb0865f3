"""From the best points of each image to its instances."""
from typing import NamedTuple

import torch
from mmcv.ops import batched_nms
from mmdet.structures.bbox import distance2bbox
from torch import Tensor

from ..compat import has_operators
from ..grid.heads import complete_test_cfg
from ..masks import MaskInstances, upload
from .polygons import FILLS, contours_to_bitmaps, contours_to_rle
from .rays import PolarRayCoder

DEFAULTS = dict(nms_pre=1000, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=100, nms_boxes='box', mask_format='bitmap', fill='opencv',
                hole_thr=0.1)
_CHOICES = dict(nms_boxes=('box', 'contour'), fill=FILLS)


def check_test_cfg(cfg: dict | None) -> dict:
    """``test_cfg`` with the published settings for what it leaves out.

    Raises:
        ValueError: A setting or a choice is unknown.
    """
    cfg = complete_test_cfg('PolarMaskHead', cfg, DEFAULTS)
    for key, choices in _CHOICES.items():
        if cfg[key] not in choices:
            raise ValueError(f'test_cfg.{key} must be one of {choices}, not {cfg[key]!r}')
    return cfg


class _Candidates(NamedTuple):
    """What passes the threshold in one image: (n,) each, boxes (n, 4) in pixels of the result."""
    points: Tensor
    labels: Tensor
    scores: Tensor
    boxes: Tensor


def predict_batch(probs: Tensor, distances: Tensor, rays: Tensor, centerness: Tensor,
                  points: Tensor, metas: list[dict], coder: PolarRayCoder, cfg: dict,
                  rescale: bool, with_nms: bool = True) -> list[MaskInstances]:
    """Instances of each image of a batch; contours and masks only of those that survive NMS.

    What a GPU has to be waited for comes to the CPU for the whole batch at once. Only mmcv's NMS,
    where it was compiled for the device, waits once an image.

    Args:
        probs: Class probabilities (B, P, num_classes).
        distances: (B, P, 4), to the left, top, right and bottom, in pixels of the input.
        rays: (B, P, num_rays) in pixels of the input; for holes followed by as many logits of
            shares.
        centerness: Probabilities (B, P).
        points: (B, P, 2), x, y in pixels of the input.
        metas: Meta information of the images; their ``mask_format`` takes the place of that of
            ``cfg``.
        coder: Decodes the rays.
        cfg: A complete ``test_cfg``; ``max_per_img`` takes all where it is not positive.
        rescale: Whether to return pixels of the original image.
        with_nms: Whether to suppress duplicates.

    Returns:
        See :meth:`PolarMaskHead.predict_by_feat`.
    """
    device = points.device
    shapes = [tuple(meta['img_shape'][:2]) for meta in metas]
    # mmcv gives arrays, of which torch takes a list only with a warning
    scales = torch.tensor([tuple(meta['scale_factor']) if rescale else (1.0, 1.0)
                           for meta in metas], dtype=points.dtype)
    scale_of = upload(scales, device)

    holes = rays.shape[2] > coder.num_rays

    def contours_of(image, chosen, inner=False):
        lengths = rays[image, chosen, :coder.num_rays]
        if inner:
            lengths = inner_lengths(lengths, rays[image, chosen, coder.num_rays:],
                                    cfg['hole_thr'])
        return coder.decode(points[image, chosen], lengths, shapes[image]) / scale_of[image]

    def boxes_of(image, chosen):
        if cfg['nms_boxes'] == 'contour':
            contours = contours_of(image, chosen)
            return torch.cat((contours.amin(dim=1), contours.amax(dim=1)), dim=1)
        boxes = distance2bbox(points[image, chosen], distances[image, chosen], shapes[image])
        return boxes / scale_of[image].repeat(2)

    candidates = _candidates(probs, centerness, cfg['score_thr'], boxes_of)
    if with_nms:
        survivors = _suppress(candidates, cfg['nms'])
    else:
        survivors = [found.scores.sort(descending=True) for found in candidates]
    results, most = [], cfg['max_per_img']
    for image, (found, (scores, keep)) in enumerate(zip(candidates, survivors, strict=True)):
        if most is not None and most > 0:
            keep, scores = keep[:most], scores[:most]
        chosen = found.points[keep]
        results.append(MaskInstances(
            scores=scores, labels=found.labels[keep], bboxes=found.boxes[keep],
            contours=contours_of(image, chosen), centers=points[image, chosen] / scale_of[image],
            **(dict(holes=contours_of(image, chosen, inner=True)) if holes else {})))

    # OpenCV fills contours on the CPU
    on_cpu = torch.cat([torch.stack((one.contours, one.holes), 1) if holes else
                        one.contours[:, None] for one in results]).cpu()
    for one, contours, meta, shape, scale in zip(
            results, on_cpu.split([len(one) for one in results]), metas, shapes, scales,
            strict=True):
        size = tuple(meta['ori_shape'][:2]) if rescale else shape
        contours, inner = contours[:, 0], contours[:, 1] if holes else None
        to_masks = contours_to_rle if meta.get('mask_format', cfg['mask_format']) == 'rle' else \
            contours_to_bitmaps
        masks = to_masks(contours, size, cfg['fill'], (0.5 / scale).tolist(), inner)
        one.masks = upload(masks, device) if isinstance(masks, Tensor) else masks
    return results


def inner_lengths(lengths: Tensor, logits: Tensor, threshold: float) -> Tensor:
    """How far each ray goes before it enters the mask.

    Args:
        lengths: (N, num_rays).
        logits: Of the shares of the lengths, (N, num_rays).
        threshold: All are 0 where they make up no greater part of the lengths.
    """
    inner = lengths * logits.sigmoid()
    part = inner.sum(dim=-1, keepdim=True) / lengths.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.where(part > threshold, inner, 0)


def _candidates(probs, centerness, threshold, boxes_of):
    """Of each image what is above the threshold."""
    images, points, labels = (probs > threshold).nonzero(as_tuple=True)
    scores = probs[images, points, labels] * (centerness[images, points] + 0.5)
    counts = images.cpu().bincount(minlength=len(probs)).tolist()
    return [_Candidates(*parts, boxes_of(image, parts[0])) for image, parts in enumerate(
        zip(points.split(counts), labels.split(counts), scores.split(counts), strict=True))]


def _suppress(candidates, cfg):
    """Scores, which soft NMS lowers, and indices of what mmcv's NMS keeps of each image."""
    device = candidates[0].scores.device
    if has_operators(device):
        return [_nms_of_classes(*found[1:], cfg) for found in candidates]
    # all images in one copy; float64 holds classes exactly as well
    table = torch.cat([torch.cat((torch.stack((found.labels, found.scores), dim=1),
                                  found.boxes), dim=1).double() for found in candidates]).cpu()
    kept = []
    for part in table.split([len(found.scores) for found in candidates]):
        scores, keep = _nms_of_classes(part[:, 0].long(), part[:, 1].float(), part[:, 2:].float(),
                                       cfg)
        kept.append((upload(scores, device), upload(keep, device)))
    return kept


def _nms_of_classes(labels, scores, boxes, cfg):
    if not len(boxes):
        return scores, labels
    kept, keep = batched_nms(boxes, scores, labels, cfg)
    return kept[:, 4], keep
