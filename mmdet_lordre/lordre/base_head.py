"""What the heads of Lordre share: targets, results, and how good a mask is."""
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads.base_mask_head import BaseMaskHead
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from torch import Tensor

from ..errors import UserError
from ..grid.heads import check_channels, complete_test_cfg
from ..masks import MaskInstances, central_sums, mask_boxes, maskness, to_original_size, upload
from ..masks.targets import InPlaceOfMasks
from .branches import activation_heatmaps


class LordreBaseHead(BaseMaskHead):
    """From N instances with class, objectness and mask logits to results.

    A subclass has ``decode``, ``in_index`` and ``in_channels`` of the map that it reads,
    ``groups`` and ``normalization`` of its activation maps, and ``mask_upsample``.
    """

    in_index, in_channels = 0, 256
    groups, normalization, mask_upsample = 1, 'sigmoid', 1

    def _set_test_cfg(self, test_cfg):
        self.test_cfg = complete_test_cfg(type(self).__name__, test_cfg, dict(
            score_thr=0.005, mask_thr=0.45, mask_format='bitmap', max_per_img=None,
            activation_maps=False))

    def level(self, x: tuple[Tensor, ...]) -> Tensor:
        """The map (B, in_channels, h, w) of the neck that the head reads.

        Raises:
            UserError: There is no such map, or it has other channels.
        """
        if not -len(x) <= self.in_index < len(x):
            raise UserError(f'the head reads map {self.in_index} (in_index) of the neck, which '
                            f'gives {len(x)}, counted from 0: set model.mask_head.in_index')
        check_channels(x[self.in_index], self.in_channels)
        return x[self.in_index]

    def scores(self, class_logits: Tensor, objectness: Tensor) -> Tensor:
        """Scores (B, N, num_classes) of instances before their masks are looked at."""
        return (class_logits.sigmoid() * objectness.sigmoid()[..., None]).sqrt()

    def upsample(self, mask_logits: Tensor) -> Tensor:
        """Mask logits (B, N, h, w) to the size that they are trained at."""
        if self.mask_upsample == 1:
            return mask_logits
        return F.interpolate(mask_logits, scale_factor=self.mask_upsample, mode='bilinear',
                             align_corners=False)

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As :meth:`decode`, with mask logits at the size that they are trained at."""
        class_logits, objectness, mask_logits, maps = self.decode(x)
        return class_logits, objectness, self.upsample(mask_logits), maps

    def _targets(self, gt, meta, size, device, also=()) -> Tensor:
        """Target masks (T, pixels) of one image in [0, 1], of a size; ``also`` are other sizes
        that the head needs."""
        return in_full(self._quarters(gt, meta, size, device, also))

    def _quarters(self, gt, meta, size, device, also=()) -> Tensor:
        """What :func:`in_full` makes target masks of, in a quarter of the memory where it can be.

        Raises:
            UserError: The pipeline has made targets of another head, or of another factor.
        """
        height, width = meta['batch_input_shape']
        factor, *others = (height // rows for rows, _ in (size, *also))
        if isinstance(gt.masks, InPlaceOfMasks) and not {factor, *others}.issubset(
                getattr(gt.masks, 'pieces', ())):
            factors = (factor, *others) if others else factor
            raise UserError(f'{gt.masks.made_by} makes other targets than the head learns: take '
                            f'ShrinkMasks(factor={factors}), or leave it out')
        if factor % 2 == 0 and (height, width) == (size[0] * factor, size[1] * factor):
            return central_sums(gt.masks, factor, size, device).flatten(1)
        if not len(gt.masks):
            return torch.zeros(0, size[0] * size[1], device=device)
        masks = upload(gt.masks.pad((height, width)).to_tensor(torch.float32, 'cpu'), device)
        return F.interpolate(masks[None], size=size, mode='bilinear',
                             align_corners=False)[0].flatten(1)

    def predict(self, x: tuple[Tensor, ...], batch_data_samples: SampleList, rescale: bool = False,
                results_list: InstanceList | None = None, **kwargs) -> list[MaskInstances]:
        """Results of each image.

        Args:
            x: Maps of the neck.
            batch_data_samples: With the sizes of the images.
            rescale: Masks at the size of the original image.
            results_list: Not used; mmdet passes it.

        Returns:
            One ``MaskInstances`` an image with ``scores``, ``labels``, ``masks`` (at the original
            size if ``rescale``, else at that of the network input without padding) and tight
            ``bboxes``.
        """
        outs = self.decode(x)
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*outs, batch_img_metas=metas, rescale=rescale)

    def predict_by_feat(self, class_logits: Tensor, objectness: Tensor, mask_logits: Tensor,
                        maps: Tensor, batch_img_metas: list[dict], rescale: bool = False,
                        **kwargs) -> list[MaskInstances]:
        """Turn what :meth:`decode` gave into results (see :meth:`predict`).

        Args:
            class_logits, objectness, mask_logits, maps: What :meth:`decode` returns.
            batch_img_metas: With ``img_shape``, ``ori_shape``, ``batch_input_shape`` and, in place
                of that of ``test_cfg``, ``mask_format``.
            rescale: Masks at the size of the original image.
        """
        with torch.autocast(class_logits.device.type, enabled=False):
            scores, labels = self.scores(class_logits.float(), objectness.float()).max(dim=-1)
            # Only kept instances cost anything from here on; which they are is read once a batch.
            kept = (scores > self.test_cfg['score_thr']).cpu()
            return [self._predict_single(*one, rescale)
                    for one in zip(kept, scores, labels, mask_logits, maps, batch_img_metas)]

    def _predict_single(self, kept, scores, labels, mask_logits, maps, meta,
                        rescale) -> MaskInstances:
        cfg = self.test_cfg
        keep = upload(kept.nonzero().flatten(), scores.device)
        # kept instances on the batch axis: there may be none, which channels may not
        probs = self.upsample(mask_logits[keep].float()[:, None])[:, 0].sigmoid()
        scores = scores[keep] * maskness(probs, cfg['mask_thr'])
        # not positive takes all, as in the grid heads
        if cfg['max_per_img'] is not None and 0 < cfg['max_per_img'] < len(keep):
            scores, top = scores.topk(cfg['max_per_img'])
            keep, probs = keep[top], probs[top]
        up_size = tuple(meta.get('batch_input_shape', meta['img_shape'])[:2])
        crop_size = tuple(meta['img_shape'][:2])
        out_size = tuple(meta['ori_shape'][:2]) if rescale else crop_size
        masks = to_original_size(probs, up_size, crop_size, out_size, cfg['mask_thr'],
                                 meta.get('mask_format', cfg['mask_format']))
        results = MaskInstances(scores=scores, labels=labels[keep], masks=masks,
                                bboxes=upload(mask_boxes(masks), scores.device))
        if cfg['activation_maps']:
            heat = activation_heatmaps(maps, self.groups, self.normalization)
            results.activation_maps = heat[keep]
        return results


def in_full(masks: Tensor) -> Tensor:
    """Masks in [0, 1]: of quarters, which are uint8, or as they are."""
    return masks if masks.is_floating_point() else masks.float() / 4


@torch.no_grad()
def mask_iou(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """IoU of predicted and target masks, pair by pair: what objectness learns.

    Args:
        logits: Mask logits (M, pixels); a pixel is predicted where the probability is >= 0.4.
        targets: Target masks (M, pixels) in [0, 1]; a pixel is true where it is > 0.5.
        weights: What each pixel counts, (M, pixels).

    Returns:
        FloatTensor (M,).
    """
    predicted, true = logits.sigmoid() >= 0.4, targets > 0.5
    inter, union = predicted & true, predicted | true
    if weights is not None:
        inter, union = inter * weights, union * weights
    return inter.sum(dim=1) / (union.sum(dim=1) + 1e-6)
