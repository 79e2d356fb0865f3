"""From the network's outputs to the detections of an image."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..grid import Detected, points_nms
from ..masks import MaskInstances, mask_boxes, to_original_size, upload


def cell_scores(cls_logits: list[Tensor]) -> Tensor:
    """Class scores after points NMS, (B, class cells, classes), float32."""
    return torch.cat([points_nms(logits.float().sigmoid()).flatten(2) for logits in cls_logits],
                     dim=2).transpose(1, 2)


def to_instances(found: Detected, meta: dict, mask_stride: int, cfg: dict,
                 rescale: bool) -> MaskInstances:
    """Detections of one image at the size that is asked for.

    Args:
        found: With probabilities (n, h, w).
        meta: ``img_shape``, ``ori_shape`` and, in place of that of ``cfg``, ``mask_format``.
        mask_stride: Pixels of the network input along a side of a map's pixel.
        cfg: Test settings.
        rescale: To the original size instead of the network input's.

    Returns:
        Scores, labels, masks and tight bboxes.
    """
    crop = tuple(meta['img_shape'][:2])
    masks = to_original_size(
        found.probs, up_size=tuple(side * mask_stride for side in found.probs.shape[1:]),
        crop_size=crop, out_size=tuple(meta['ori_shape'][:2]) if rescale else crop,
        threshold=cfg.mask_thr,
        mask_format=meta.get('mask_format') or cfg.get('mask_format', 'bitmap'))
    return MaskInstances(scores=found.scores, labels=found.labels, masks=masks,
                         bboxes=upload(mask_boxes(masks), found.scores.device))


def to_map_size(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (n, h, w) resized bilinearly to (n, *size); there may be none."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    if not len(maps):
        return maps.new_zeros(0, *size)
    return F.interpolate(maps[None], size=tuple(size), mode='bilinear', align_corners=False)[0]
