"""PolarMask from image to contours as one graph."""
import torch
from torch import Tensor, nn

from ...polarmask.predict import inner_lengths
from .graph import at_most, best, mark_empty, number, take
from .operators import non_max_suppression

#: More boxes than there are points.
_ALL = 2**31 - 1


class PolarMaskInstances(nn.Module):
    """What ``PolarMaskHead.predict_by_feat`` does, for a batch and in pixels of the input.

    Filling contours is left to whoever draws them: it takes OpenCV a line, and another to clear
    what lies inside the holes.

    Args:
        head: A ``PolarMaskHead``.
        binary: Not used: there are no masks.

    Raises:
        ValueError: ``test_cfg.nms`` is of another type than ``nms``, or for all classes together.
    """

    def __init__(self, head: nn.Module, binary: bool = True):
        super().__init__()
        self.head = head
        self.names = ('scores', 'labels', 'boxes', 'contours', *(('holes',) * head.holes))
        kind = head.test_cfg['nms'].get('type', 'nms')
        if kind != 'nms':
            raise ValueError(f"test_cfg.nms.type is {kind!r}, for which ONNX has no operator: "
                             "set it to 'nms'")
        if head.test_cfg['nms'].get('class_agnostic'):
            raise ValueError('test_cfg.nms.class_agnostic is set, and the operator of ONNX '
                             'suppresses within each class: leave it out')
        # as PolarRayCoder.decode has them: ends that are integers are cut to the same pixel
        angles = torch.arange(0, 360, 360 // head.coder.num_rays, dtype=torch.float32).deg2rad()
        self.register_buffer('directions', torch.stack((angles.sin(), angles.cos()), dim=-1))
        self.num_rays = head.coder.num_rays
        self.raw_names = tuple(
            f'{name}_{i}' for name in ('class_logits', 'distances', 'rays', 'centerness')
            for i in range(len(head.strides)))

    def forward(self, outputs: tuple, size: tuple) -> tuple[Tensor, ...]:
        """From the outputs of the head, in float32, to instances.

        Args:
            outputs: Class logits, distances, rays and centerness, each by level.
            size: (height, width) of the input.

        Returns:
            Scores (B, n), labels (B, n), boxes (B, n, 4) and contours (B, n, rays, 2), x and y,
            by falling score. A head with holes has theirs, too, like the contours: all points of
            one are the same where a mask has none.
        """
        cfg = self.head.test_cfg
        levels = [self._top_points(*level) for level in zip(*outputs, self.head.strides)]
        probs, distances, rays, centerness, points = (
            torch.cat(parts, dim=1) for parts in zip(*levels))
        rays, *shares = rays.split(self.num_rays, dim=2) if self.head.holes else (rays,)
        probs = probs.transpose(1, 2)                                     # (B, classes, N)
        scores = probs * (probs > cfg['score_thr']) * (centerness[:, None] + 0.5)
        boxes = self._boxes(points, distances, rays, size)
        limit = cfg['nms_pre'] * len(levels) if cfg['nms_pre'] > 0 else _ALL
        kept = non_max_suppression(boxes, scores, limit, cfg['nms']['iou_threshold'])
        count = number(boxes.shape[1])
        classes = scores.shape[1]
        places = (kept[:, 0] * classes + kept[:, 1]) * count + kept[:, 2]
        flat = torch.zeros_like(scores).flatten()
        flat = flat.scatter(0, places, torch.ones_like(places, dtype=flat.dtype))
        scores = scores.flatten(1) * flat.reshape(-1, count * classes)
        scores, index = best(scores, cfg['max_per_img'])
        labels = torch.div(index, count, rounding_mode='floor')
        index = index - labels * count
        points, rays = take(points, index), take(rays, index)
        found = (scores, mark_empty(labels, scores > 0), take(boxes, index),
                 self._contours(points, rays, size))
        if not self.head.holes:
            return found
        inner = inner_lengths(rays, take(shares[0], index), cfg['hole_thr'])
        return (*found, self._contours(points, inner, size))

    def _top_points(self, logits, distances, rays, centerness, stride):
        """The best points of a level: probabilities (B, k, classes), distances (B, k, 4), rays
        (B, k, n), centerness (B, k) and points (B, k, 2)."""
        batch, _, height, width = logits.shape
        xs = torch.arange(width, device=logits.device) * stride + stride // 2
        ys = torch.arange(height, device=logits.device) * stride + stride // 2
        points = torch.stack((xs.expand(height, -1), ys[:, None].expand(-1, width)), dim=-1)
        points = points.flatten(0, 1).float().expand(batch, -1, -1)
        logits, distances, rays = (maps.flatten(2).transpose(1, 2)
                                   for maps in (logits, distances, rays))
        centerness = centerness.flatten(1).sigmoid()
        ranks = logits.amax(dim=2).sigmoid() * centerness
        count = at_most(points.shape[1], self.head.test_cfg['nms_pre'])
        index = ranks.topk(count, dim=1)[1]
        return (take(logits, index).sigmoid(), take(distances, index), take(rays, index),
                take(centerness, index), take(points, index))

    def _boxes(self, points, distances, rays, size):
        """(B, N, 4), clipped to the input."""
        if self.head.test_cfg['nms_boxes'] == 'contour':
            contours = self._contours(points, rays, size)
            return torch.cat((contours.amin(dim=2), contours.amax(dim=2)), dim=2)
        corners = torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=2)
        height, width = (number(side).float() for side in size)
        return corners.clamp(min=0).minimum(torch.stack((width, height, width, height)))

    def _contours(self, points, rays, size):
        """(B, n, rays, 2), clamped to the pixels of the input."""
        # an infinite ray along an axis is 0 * inf in the other coordinate
        ends = points[:, :, None] + rays.clamp(max=1e8)[..., None] * self.directions
        height, width = (number(side).float() - 1 for side in size)
        return ends.clamp(min=0).minimum(torch.stack((width, height)))
