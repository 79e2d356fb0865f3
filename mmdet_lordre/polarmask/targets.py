"""Which points of the feature pyramid learn which instance, and what."""
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ..masks import constant, upload
from .contours import InstanceContours
from .rays import PolarRayCoder


@dataclass
class PolarTargets:
    """Targets of a batch of B images with P points each.

    Attributes:
        labels: int64 (B * P,), class of each point; ``num_classes`` where it is background.
        positives: int64 (M,), increasing indices into the B * P points.
        instances: int64 (M,), the instance of each, counted through the batch.
        points: float32 (M, 2), x, y of each in pixels of the input.
        boxes: float32 (M, 4), x1, y1, x2, y2 of its instance in pixels of the input.
        rays: float32 (M, num_rays), in pixels of the input.
        shares: float32 (M, num_rays), see
            :meth:`PolarRayCoder.encode_with_holes`; None without holes.
    """
    labels: Tensor
    positives: Tensor
    instances: Tensor
    points: Tensor
    boxes: Tensor
    rays: Tensor
    shares: Tensor | None = None


# at 1536 px the finest level has 2.4 MB, on a GPU, and training may draw its sizes at random
@lru_cache(maxsize=32)
def level_points(size: tuple[int, int], stride: int,
                 device: torch.device | str | None = None) -> Tensor:
    """Points of a level in pixels of the input, int64 (height * width, 2): x, y, row by row.

    Row i and column j of a level of stride s stand for (j * s + s // 2, i * s + s // 2). The
    tensor is kept for the next call: do not write into it.
    """
    ys, xs = (torch.arange(n, device=device) * stride + stride // 2 for n in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing='xy'), dim=-1).flatten(0, 1)


def _axis_candidates(centers, low, high, strides, lengths, radius):
    """Grid lines near the centroids along one axis.

    At most ceil(2 * radius) lines lie strictly within ``radius`` strides of a centroid, so no
    other point of the level needs to be looked at. One more absorbs rounding.

    Args:
        centers, low, high: (N,), centroid and box edges along the axis.
        strides, lengths: (L, 1, 1), stride and number of lines of each level.

    Returns:
        index, position (L, N, K), whether the line is positive along this axis, and the larger
        distance to the two box edges.
    """
    reach = radius * strides
    count = int(-(-2 * radius // 1)) + 1
    first = torch.floor((centers[:, None] - reach - strides // 2) / strides).long()
    index = first + torch.arange(count, device=centers.device)
    position = index * strides + strides // 2
    before, after = position - low[:, None], high[:, None] - position
    inside = (position - centers[:, None]).abs() < reach
    inside &= (before > 0) & (after > 0) & (index >= 0) & (index < lengths)
    return index, inside, torch.maximum(before, after)


def positive_points(centroids: Tensor, boxes: Tensor, images: Tensor,
                    sizes: Sequence[tuple[int, int]], strides: Sequence[int],
                    ranges: Sequence[tuple[float, float]], radius: float = 1.5) -> Tensor:
    """Points that learn an instance.

    A point learns an instance whose centroid lies strictly within ``radius`` strides in x and y
    and whose box it lies strictly inside, if the largest distance to a side of the box is within
    the level's range, both ends included; of several instances, that with the smallest box.

    Args:
        centroids: (N, 2), x, y in pixels of the input.
        boxes: float (N, 4), x1, y1, x2, y2 in pixels of the input.
        images: int64 (N,), image of each instance.
        sizes: (height, width) of each level.
        strides: Stride of each level in pixels.
        ranges: (lowest, highest) of each level in pixels.
        radius: In strides.

    Returns:
        int64 (2, M) on the CPU, for M decides how much there is to do: indices of points, counted
        level by level and image by image, increasing, and the instance of each. A GPU is waited
        for once.
    """
    device = boxes.device
    if not len(boxes):
        return torch.zeros(2, 0, dtype=torch.long)
    areas = [height * width for height, width in sizes]
    column = constant(tuple((height, width, stride, sum(areas[:level])) for level, (
        (height, width), stride) in enumerate(zip(sizes, strides))), torch.long, device)
    heights, widths, steps, offsets = (c[:, None, None] for c in column.unbind(1))
    centroids = centroids.to(boxes.dtype)
    jx, inside_x, far_x = _axis_candidates(centroids[:, 0], boxes[:, 0], boxes[:, 2], steps,
                                           widths, radius)
    jy, inside_y, far_y = _axis_candidates(centroids[:, 1], boxes[:, 1], boxes[:, 3], steps,
                                           heights, radius)
    far = torch.maximum(far_x[:, :, None, :], far_y[:, :, :, None])
    limits = constant(tuple(map(tuple, ranges)), far.dtype, device)[:, :, None, None, None]
    good = inside_x[:, :, None, :] & inside_y[:, :, :, None]
    good &= (far >= limits[:, 0]) & (far <= limits[:, 1])
    point = (offsets + jy * widths)[..., :, None] + jx[..., None, :]
    point = point + (images * sum(areas))[:, None, None]
    point = torch.where(good, point, -1)
    # rank of each instance by box area; equal areas in the order of the annotations
    order = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=device)
    point, rank, order = torch.cat((point.flatten(), rank, order)).cpu().split(
        [point.numel(), len(rank), len(order)])
    point = point.view(good.shape)
    _, instance, _, _ = where = (point >= 0).nonzero(as_tuple=True)
    point = point[where]
    wanted = rank[instance]
    point, group = point.unique(return_inverse=True)
    best = wanted.new_full((len(point),), len(order))
    best.scatter_reduce_(0, group, wanted, 'amin')
    return torch.stack((point, order[best]))


def _contours_of(instances: InstanceData, holes: bool) -> InstanceContours:
    if 'masks' not in instances:
        raise KeyError("PolarMaskHead finds no 'masks' in gt_instances: set with_mask=True in "
                       'LoadAnnotations of train_pipeline')
    contours = InstanceContours.from_masks(instances.masks, holes)
    return contours.to(instances.bboxes.device)


@torch.no_grad()
def polar_targets(batch_gt_instances: list[InstanceData], sizes: Sequence[tuple[int, int]],
                  strides: Sequence[int], ranges: Sequence[tuple[float, float]], num_classes: int,
                  coder: PolarRayCoder, radius: float = 1.5,
                  holes: bool = False) -> PolarTargets:
    """Targets of a whole batch, on the device of the boxes.

    No step loops over points, instances or angles. Instances without a contour (their mask has
    left the image) are not learned.

    Args:
        batch_gt_instances: For each image ``bboxes``, ``labels`` and ``masks`` (any mmdet masks,
            or :class:`InstanceContours`).
        sizes: (height, width) of each level.
        strides: Stride of each level in pixels.
        ranges: (lowest, highest) of each level in pixels of the input.
        num_classes: The label of background points.
        coder: Encodes the rays.
        radius: In strides; see :func:`positive_points`.
        holes: Whether to make targets of holes, too.

    Raises:
        KeyError: If instances have no masks.
        UserError: If holes were left out where contours were extracted.
    """
    contours = [_contours_of(gt, holes) for gt in batch_gt_instances]
    boxes = torch.cat([getattr(gt.bboxes, 'tensor', gt.bboxes)
                       for gt in batch_gt_instances]).float()
    labels = torch.cat([gt.labels for gt in batch_gt_instances])
    counts = torch.cat([c.sizes for c in contours])
    centroids = torch.cat([c.centroids for c in contours])
    pixels = torch.cat([c.points for c in contours])
    device = boxes.device
    images = torch.arange(len(contours)).repeat_interleave(
        torch.tensor([len(c) for c in contours]))
    if not bool(counts.all()):
        # a NaN centroid is near no point
        centroids = centroids.float().masked_fill(
            upload(counts == 0, device)[:, None], torch.nan)
    points = torch.cat([level_points(tuple(size), stride, device)
                        for size, stride in zip(sizes, strides)])
    on_cpu = positive_points(centroids, boxes, upload(images, device), sizes, strides, ranges,
                             radius)
    positives, instances = upload(on_cpu, device)
    all_labels = labels.new_full((len(points) * len(contours),), num_classes)
    all_labels[positives] = labels[instances]
    at = points[positives % len(points)]
    reach = max([max(c.height, c.width) for c in contours]
                + [max(size) * stride for size, stride in zip(sizes, strides)])
    if holes:
        rays, shares = coder.encode_with_holes(at, on_cpu[1], InstanceContours.cat(contours), reach)
    else:
        rays, shares = coder.encode(at, on_cpu[1], pixels, counts, reach), None
    return PolarTargets(all_labels, positives, instances, at.float(), boxes[instances], rays,
                        shares)
