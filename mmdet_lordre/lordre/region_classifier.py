"""Classes read off the true regions: what teaches a backbone from scratch to tell classes."""
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class RegionClassifier(BaseModule):
    """An auxiliary task of training: the class of every ground truth from the features under it.

    Matched predictions are a thin signal for classes: few an image, and read through activation
    maps that are themselves still moving. Here every ground truth is classified twice, by softmax
    cross entropy: as a whole, from mean and maximum of the features under its mask, and at each
    of its pixels. Nothing of it is left in inference. It is an addition to the published method.

    Memory is that of the feature map, whatever the number of ground truths: a pixel belongs to
    one of them, the one that covers it most (the smaller one of equals).

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes.
        hidden_channels: Width of the layer between pooled features and classes.
        pooled_weight: Weight of the loss of whole regions.
        dense_weight: Weight of the loss of their pixels.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden_channels: int = 128,
                 pooled_weight: float = 1.0, dense_weight: float = 1.0,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.pooled = nn.Sequential(nn.Linear(2 * in_channels, hidden_channels), nn.ReLU(),
                                    nn.Linear(hidden_channels, num_classes))
        self.dense = nn.Linear(in_channels, num_classes)
        self.pooled_weight, self.dense_weight = pooled_weight, dense_weight

    def forward(self, features: Tensor, coverage: list[Tensor], labels: list[Tensor]) -> dict:
        """Losses of a batch, in float32.

        Args:
            features: (B, in_channels, h, w).
            coverage: By image, the part of each pixel that each ground truth covers, (T_i, h, w).
            labels: By image, (T_i,).

        Returns:
            ``loss_region``, a mean over ground truths, and ``loss_region_dense``, where every
            ground truth weighs as much, whatever its size; and ``acc_region`` in percent.
        """
        with torch.autocast(features.device.type, enabled=False):
            return self._losses(features.float().permute(0, 2, 3, 1), coverage,
                                torch.cat(labels))

    def _losses(self, features, coverage, labels):
        owner = region_owners(coverage).flatten()
        # how many there are is asked once; the rest is left to the device
        owned = (owner >= 0).nonzero().flatten()
        pixels, owner = features.flatten(0, 2)[owned], owner[owned]
        sizes = owner.new_zeros(len(labels)).index_add(0, owner, torch.ones_like(owner))
        seen = sizes > 0
        # an average over all processes, so that every one has the same scale
        count = reduce_mean(seen.sum().float()).clamp(min=1 / get_world_size())

        shape = (len(labels), pixels.shape[1])
        mean = pixels.new_zeros(shape).index_add(0, owner, pixels)
        mean = mean / sizes.clamp(min=1)[:, None]
        peak = pixels.new_zeros(shape).scatter_reduce(
            0, owner[:, None].expand_as(pixels), pixels, 'amax', include_self=False)
        logits = self.pooled(torch.cat([mean, peak], dim=1))
        loss = (F.cross_entropy(logits, labels, reduction='none') * seen).sum() / count
        dense = F.cross_entropy(self.dense(pixels), labels[owner], reduction='none')
        dense = (dense / sizes[owner]).sum() / count
        right = (logits.detach().argmax(1) == labels) & seen
        return dict(loss_region=self.pooled_weight * loss,
                    loss_region_dense=self.dense_weight * dense,
                    acc_region=100 * right.sum() / seen.sum().clamp(min=1))


@torch.no_grad()
def region_owners(coverage: list[Tensor]) -> Tensor:
    """Which ground truth of the batch each pixel belongs to.

    Args:
        coverage: By image, the part of each pixel that each ground truth covers, (T_i, h, w).

    Returns:
        LongTensor (B, h, w), counting ground truths over the batch; -1 where there is none.
    """
    owners, first = [], 0
    for part in coverage:
        if len(part):
            # the smaller one of equals: an object in front of a larger one
            areas = part.flatten(1).sum(1)
            order = areas.argsort(stable=True)
            most, index = part[order].max(dim=0)
            owners.append(torch.where(most > 0, order[index] + first, -1))
        else:
            owners.append(torch.full(part.shape[1:], -1, device=part.device))
        first += len(part)
    return torch.stack(owners)
