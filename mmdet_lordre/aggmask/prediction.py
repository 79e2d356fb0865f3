"""From the network's outputs to the detections of an image."""
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor

from ..grid import matrix_nms, points_nms
from ..masks import mask_boxes, to_original_size


def cell_scores(cls_logits: list[Tensor]) -> Tensor:
    """Class scores after points NMS, (B, class cells, classes), float32."""
    return torch.cat([points_nms(logits.float().sigmoid()).flatten(2) for logits in cls_logits],
                     dim=2).transpose(1, 2)


def mask_statistics(probs: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Pixels inside each mask of (n, H, W), and the sum of the probabilities there."""
    inside = probs > threshold
    return inside.sum((1, 2)), (probs * inside).sum((1, 2))


class Detections:
    """The candidates of one image: class cells, and (class, cell) pairs above the threshold.

    Args:
        scores: (class cells, classes) after points NMS.
        threshold: Pairs above it are candidates.
    """

    def __init__(self, scores: Tensor, threshold: float):
        cells, self.labels = (scores > threshold).nonzero(as_tuple=True)
        self.scores = scores[cells, self.labels]
        # A cell may be a candidate for several classes; its mask is computed once.
        self.cells, self.rows = cells.unique_consecutive(return_inverse=True)

    def select(self, index: Tensor) -> 'Detections':
        """Keep candidates by index, in that order, and the cells they need."""
        kept = object.__new__(Detections)
        kept.scores, kept.labels = self.scores[index], self.labels[index]
        used, kept.rows = self.rows[index].unique(return_inverse=True)
        kept.cells = self.cells[used]
        return kept


def predict_image(fused, scores: Tensor, strides: Tensor, meta: dict, map_size: tuple[int, int],
                  mask_stride: int, cfg, rescale: bool) -> InstanceData:
    """Detections of one image.

    The masks of all candidates are never held at once: a first pass takes their areas and sums
    chunk by chunk; only those of the best ``nms_pre`` are kept (or computed again).

    Args:
        fused: ``fused(cells)`` yields the probabilities (n, H, W) at ``map_size`` of chunks of
            class cells, in order.
        scores: (class cells, classes) after points NMS.
        strides: (class cells,), the area that each cell's mask must exceed.
        meta: ``img_shape``, ``ori_shape``.
        map_size: (H, W) of the maps.
        mask_stride: Pixels of the network input along a side of a map's pixel.
        cfg: Test settings.
        rescale: To the original size instead of the network input's.

    Returns:
        Scores, labels, masks, tight bboxes, and the class cells that they come from.
    """
    found = Detections(scores, cfg.score_thr)
    limit = cfg.nms_pre if cfg.get('nms_pre', -1) > 0 else len(found.scores)
    statistics, held = [], []
    for probs in fused(found.cells):
        statistics.append(mask_statistics(probs, cfg.mask_thr))
        if len(found.cells) <= limit:
            held.append(probs)
    if statistics:
        areas, sums = (torch.cat(parts) for parts in zip(*statistics, strict=True))
    else:
        areas, sums = found.scores.new_zeros(2, 0)
    keep = (areas > strides[found.cells])[found.rows]
    found.scores = found.scores * (sums / areas.clamp(min=1))[found.rows]
    order = found.scores.masked_fill(~keep, -1).sort(descending=True, stable=True).indices
    order = order[:min(int(keep.sum()), limit)]
    if held:
        probs = torch.cat(held)
        found.scores, found.labels, rows = (
            part[order] for part in (found.scores, found.labels, found.rows))
    else:
        found = found.select(order)
        rows, parts = found.rows, list(fused(found.cells))
        probs = torch.cat(parts) if parts else scores.new_zeros(0, *map_size)

    best, labels, index = matrix_nms(
        (probs > cfg.mask_thr)[rows], found.labels, found.scores,
        kernel=cfg.get('kernel', 'gaussian'), sigma=cfg.get('sigma', 2.0),
        filter_thr=cfg.get('filter_thr', -1), max_num=cfg.get('max_per_img', -1))
    crop = tuple(meta['img_shape'][:2])
    masks = to_original_size(
        probs[rows[index]], up_size=tuple(side * mask_stride for side in map_size),
        crop_size=crop,
        out_size=tuple(meta['ori_shape'][:2]) if rescale else crop, threshold=cfg.mask_thr,
        mask_format=cfg.get('mask_format', 'bitmap'))
    return InstanceData(scores=best, labels=labels, masks=masks,
                        bboxes=mask_boxes(masks).to(best.device),
                        cells=found.cells[rows[index]])


def to_map_size(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (n, h, w) resized bilinearly to (n, *size)."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    if not len(maps):
        return maps.new_zeros(0, *size)
    return F.interpolate(maps[None], size=tuple(size), mode='bilinear', align_corners=False)[0]
