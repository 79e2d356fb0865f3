"""From the head's outputs to instances, in bounded memory."""
import torch
import torch.nn.functional as F
from torch import Tensor

from ..grid import detect, find_candidates
from ..masks import MaskInstances, RLEMasks, chunk_size, mask_boxes, to_original_size, upload


def dynamic_masks(kernels: Tensor, features: Tensor, size: int = 1) -> Tensor:
    """Mask logits (n, h, w) of kernels (n, channels * size * size) on features (channels, h, w),
    in float32."""
    with torch.autocast(features.device.type, enabled=False):
        kernels, features = kernels.float(), features.float()
        if size == 1:
            return (kernels @ features.flatten(1)).view(-1, *features.shape[1:])
        kernels = kernels.view(len(kernels), -1, size, size)
        return F.conv2d(features[None], kernels, padding=size // 2)[0]


def predict_batch(kernels: Tensor, class_scores: Tensor, features: Tensor, strides: Tensor,
                  kernel_size: int, img_metas: list[dict], mask_stride: int, cfg: dict,
                  rescale: bool = True) -> list[MaskInstances]:
    """Instances of each image of a batch.

    A cell's mask is computed once, whatever its classes; the best ``nms_pre`` masks (a byte a
    pixel) and a chunk of probabilities are held at most; only surviving masks are brought to the
    size of the image.

    Args:
        kernels: (B, cells, channels * kernel_size ** 2) dynamic kernels of all levels.
        class_scores: (B, cells, classes) probabilities after points NMS.
        features: (B, channels, h, w) mask features.
        strides: (cells,) stride of each cell's level: a mask of fewer pixels is dropped.
        kernel_size: Side of the dynamic kernels.
        img_metas: ``img_shape`` and ``ori_shape`` of each image and, in place of that of ``cfg``,
            ``mask_format``.
        mask_stride: Stride of the mask features in pixels of the network input.
        cfg: ``score_thr``, ``mask_thr``, ``nms_pre``, ``kernel``, ``sigma``, ``filter_thr``,
            ``max_per_img``, and optionally ``mask_format``.
        rescale: Masks at ``ori_shape``, else at ``img_shape``.

    Returns:
        MaskInstances with scores, labels, masks (BoolTensor (n, H, W) or RLEMasks) and tight
        bboxes, by falling score.
    """
    size = tuple(features.shape[2:])
    step = chunk_size(size[0] * size[1], device=features.device)

    def masks_of(image, cells):
        for part in upload(cells, features.device).split(step):
            if len(part):
                yield dynamic_masks(kernels[image][part], features[image], kernel_size).sigmoid_()

    found = detect(find_candidates(class_scores, cfg.score_thr), masks_of, strides, size, cfg)
    results = []
    for one, meta in zip(found, img_metas, strict=True):
        masks = _full_size(one.probs, meta, mask_stride, cfg, rescale)
        results.append(MaskInstances(scores=one.scores, labels=one.labels, masks=masks,
                                     bboxes=upload(mask_boxes(masks), one.scores.device)))
    return results


def _full_size(probs: Tensor, img_meta: dict, mask_stride: int, cfg,
               rescale: bool) -> Tensor | RLEMasks:
    up_size = tuple(side * mask_stride for side in probs.shape[1:])
    crop = tuple(img_meta['img_shape'][:2])
    out = tuple(img_meta['ori_shape'][:2]) if rescale else crop
    return to_original_size(probs, up_size, crop, out, cfg.mask_thr,
                            img_meta.get('mask_format') or cfg.get('mask_format', 'bitmap'))
