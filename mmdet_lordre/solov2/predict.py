"""From the head's outputs for one image to its instances, in bounded memory."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor

from ..grid import matrix_nms
from ..masks import RLEMasks, chunk_size, mask_boxes, maskness, to_original_size


def dynamic_masks(kernels: Tensor, features: Tensor, size: int = 1) -> Tensor:
    """Mask logits (n, h, w) of kernels (n, channels * size * size) on features (channels, h, w),
    in float32."""
    with torch.autocast(features.device.type, enabled=False):
        kernels, features = kernels.float(), features.float()
        if size == 1:
            return (kernels @ features.flatten(1)).view(-1, *features.shape[1:])
        kernels = kernels.view(len(kernels), -1, size, size)
        return F.conv2d(features[None], kernels, padding=size // 2)[0]


@dataclass
class _Candidates:
    """(cell, class) candidates; ``rows`` index the masks, one for each cell."""
    scores: Tensor
    labels: Tensor
    rows: Tensor
    cells: Tensor
    masks: Tensor

    def best(self, count: int) -> '_Candidates':
        """The best ``count`` by score, all if not positive, and only the masks that they use."""
        order = self.scores.sort(descending=True, stable=True)[1]
        top = (order[:count] if count > 0 else order).sort()[0]
        used, rows = self.rows[top].unique(return_inverse=True)
        return _Candidates(self.scores[top], self.labels[top], rows, self.cells[used],
                           self.masks[used])


def _join(parts: list[_Candidates]) -> _Candidates:
    if len(parts) == 1:
        return parts[0]
    joined = {name: torch.cat([getattr(part, name) for part in parts])
              for name in ('scores', 'labels', 'cells', 'masks')}
    rows, first = [], 0
    for part in parts:
        rows.append(part.rows + first)
        first += len(part.cells)
    return _Candidates(rows=torch.cat(rows), **joined)


def _read_chunk(probs, cells, class_scores, strides, cfg):
    """Candidates of a few cells from their probabilities (n, h, w)."""
    masks = probs > cfg.mask_thr
    large = masks.flatten(1).sum(1) > strides[cells]
    quality = maskness(probs, cfg.mask_thr)
    scores = class_scores[cells]
    rows, labels = ((scores > cfg.score_thr) & large[:, None]).nonzero(as_tuple=True)
    return _Candidates(scores[rows, labels] * quality[rows], labels, rows, cells, masks)


def predict_image(kernels: Tensor, class_scores: Tensor, features: Tensor, strides: Tensor,
                  kernel_size: int, img_meta: dict, mask_stride: int, cfg,
                  rescale: bool = True) -> InstanceData:
    """Instances of one image.

    A cell's mask is computed once, whatever its classes; about twice the best ``nms_pre`` masks (a
    byte a pixel) and a chunk of probabilities are held at most; only surviving masks are brought
    to the size of the image.

    Args:
        kernels: (cells, channels * kernel_size ** 2) dynamic kernels of all levels.
        class_scores: (cells, classes) probabilities after points NMS.
        features: (channels, h, w) mask features.
        strides: (cells,) stride of each cell's level: a mask of fewer pixels is dropped.
        kernel_size: Side of the dynamic kernels.
        img_meta: ``img_shape`` and ``ori_shape``.
        mask_stride: Stride of the mask features in pixels of the network input.
        cfg: ``score_thr``, ``mask_thr``, ``nms_pre``, ``kernel``, ``sigma``, ``filter_thr``,
            ``max_per_img``, and optionally ``mask_format``.
        rescale: Masks at ``ori_shape``, else at ``img_shape``.

    Returns:
        InstanceData with scores, labels, masks (BoolTensor (n, H, W) or RLEMasks) and tight
        bboxes, by falling score.
    """
    cells = (class_scores > cfg.score_thr).any(1).nonzero().flatten()
    step = chunk_size(features[0].numel(), device=features.device)
    parts, held = [], 0
    for part in cells.split(step):
        probs = dynamic_masks(kernels[part], features, kernel_size).sigmoid_()
        parts.append(_read_chunk(probs, part, class_scores, strides, cfg))
        held += len(part)
        if held >= 2 * cfg.nms_pre > 0:
            parts = [_join(parts).best(cfg.nms_pre)]
            held = len(parts[0].cells)
    if not len(cells):
        scores, labels = class_scores.new_zeros(0), cells.new_zeros(0)
        probs = features.new_zeros(0, *features.shape[1:])
    else:
        found = _join(parts).best(cfg.nms_pre)
        scores, labels, keep = matrix_nms(
            found.masks[found.rows], found.labels, found.scores,
            kernel=cfg.get('kernel', 'gaussian'), sigma=cfg.get('sigma', 2.0),
            filter_thr=cfg.get('filter_thr', -1), max_num=cfg.get('max_per_img', -1))
        chosen = found.cells[found.rows[keep]]
        if len(cells) <= step:
            # all probabilities are at hand
            probs = probs[torch.searchsorted(cells, chosen)]
        else:
            probs = dynamic_masks(kernels[chosen], features, kernel_size).sigmoid_()
    masks = _full_size(probs, img_meta, mask_stride, cfg, rescale)
    boxes = mask_boxes(masks).to(scores.device)
    return InstanceData(scores=scores, labels=labels, masks=masks, bboxes=boxes)


def _full_size(probs: Tensor, img_meta: dict, mask_stride: int, cfg,
               rescale: bool) -> Tensor | RLEMasks:
    up_size = tuple(side * mask_stride for side in probs.shape[1:])
    crop = tuple(img_meta['img_shape'][:2])
    out = tuple(img_meta['ori_shape'][:2]) if rescale else crop
    return to_original_size(probs, up_size, crop, out, cfg.mask_thr,
                            cfg.get('mask_format', 'bitmap'))
