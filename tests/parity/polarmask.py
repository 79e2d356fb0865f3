"""PolarMask's head against the published one: outputs, targets, losses, final contours."""
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps, distance2bbox
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmdet_lordre.polarmask import InstanceContours, polar_centerness, polar_targets

from .case import BEST, SCORE_TOLERANCE, ParityCase, assert_close, assert_loss
from .fill import ellipse_instances, fill_input

# The published final detections suppress with v1 boxes (widths plus one): of the best ones,
# so many may come from another decision of NMS.
BORDERLINE = 0.1


def build_head(case: ParityCase):
    """Our head with the settings of the case and the converted checkpoint."""
    state = {name.removeprefix('bbox_head.'): value for name, value in case.converted().items()}
    settings = dict(case.meta.get('head', {}))
    settings.setdefault('num_rays', len(state['polar_mask.bias']))
    strides = settings.setdefault(
        'strides', tuple(8 << level for level in range(sum('scales_bbox' in n for n in state))))
    settings['strides'] = tuple(strides)
    head = MODELS.build(dict(
        type='PolarMaskHead', num_classes=len(state['polar_cls.bias']),
        in_channels=state['cls_convs.0.conv.weight'].shape[1], **settings))
    head.load_state_dict(state, strict=True)
    return head.eval()


def build_inputs(case: ParityCase, device):
    """Pyramid levels, and for each image its boxes, labels and masks."""
    height, width, batch = (case.meta[key] for key in ('H', 'W', 'batch'))
    levels = []
    level = 0
    while f'bbox{level}' in case.arrays:
        shape = (batch, 256, height // 8 >> level, width // 8 >> level)
        levels.append(torch.from_numpy(fill_input(f'{case.name}/p{level + 3}', shape)).to(device))
        level += 1
    truth = [ellipse_instances(f'{case.name}/{image}', height, width, count, 80)
             for image, count in enumerate(case.meta['n_gt'])]
    instances = [InstanceData(bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
                              masks=BitmapMasks(masks, height, width)).to(device)
                 for boxes, labels, masks in truth]
    return levels, instances


def check_outputs(case: ParityCase, outputs) -> None:
    for level, (logits, distances, rays, centerness) in enumerate(zip(*outputs)):
        assert_close(f'cls{level}', logits[:, ::8], case.arrays[f'cls{level}_sample'])
        assert_close(f'bbox{level}', distances, case.arrays[f'bbox{level}'])
        assert_close(f'rays{level}', rays, case.arrays[f'rays{level}'])
        assert_close(f'centerness{level}', centerness, case.arrays[f'centerness{level}'])


def check_targets(case: ParityCase, head, sizes, instances):
    """Compare the targets, and return them."""
    targets = polar_targets(instances, sizes, head.strides, head.regress_ranges,
                            head.num_classes, head.coder, head.center_radius)
    count = len(targets.labels) // len(instances)
    for image, truth in enumerate(instances):
        centroids = InstanceContours.from_masks(truth.masks).centroids
        np.testing.assert_array_equal(centroids, case.arrays[f'target{image}_centroids'])
        labels = targets.labels[image * count:(image + 1) * count]
        published = case.arrays[f'target{image}_labels']
        np.testing.assert_array_equal(
            labels.masked_fill(labels == head.num_classes, -1).cpu(), published)
        here = targets.positives // count == image
        np.testing.assert_array_equal((targets.positives[here] % count).cpu(),
                                      case.arrays[f'target{image}_pos'])
        assert_close('rays', targets.rays[here], case.arrays[f'target{image}_rays'])
        points, boxes = targets.points[here], targets.boxes[here]
        sides = torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1)
        assert_close('boxes', sides, case.arrays[f'target{image}_boxes'])
    return targets


def check_losses(case: ParityCase, head, outputs, targets, instances) -> None:
    losses = head.loss_by_feat(*outputs, instances, [{}] * len(instances))
    for name in ('loss_cls', 'loss_mask', 'loss_centerness'):
        assert_loss(name, losses[name].detach(), case.arrays[name])
    distances = torch.cat([level.flatten(2) for level in outputs[1]], dim=2)
    distances = distances.transpose(1, 2).flatten(0, 1)[targets.positives]
    boxes = distance2bbox(targets.points, distances)
    weights = polar_centerness(targets.rays)

    def box_loss(extra):
        grown = [b + b.new_tensor([0, 0, extra, extra]) for b in (boxes, targets.boxes)]
        return (-bbox_overlaps(*grown, is_aligned=True).log() * weights).sum() / weights.sum()

    # the published boxes count pixels (a width is x2 - x1 + 1), ours are those of mmdet 3
    assert_loss('loss_bbox in v1 arithmetic', box_loss(1).detach(), case.arrays['loss_bbox'])
    assert_loss('loss_bbox', losses['loss_bbox'].detach(), box_loss(0).detach())


def check_detections(case: ParityCase, head, outputs) -> None:
    scale = float(case.meta['scale_factor'])
    shape = tuple(case.meta['img_shape'])
    original = case.meta.get('ori_shape') or [round(side / scale) for side in shape]
    meta = dict(img_shape=shape, scale_factor=(scale, scale), ori_shape=tuple(original))
    results = head.predict_by_feat(*outputs, [meta] * case.meta['batch'], rescale=True)
    for image, result in enumerate(results):
        result = result.to('cpu')
        scores = case.arrays[f'res{image}_scores']
        best = np.argsort(-scores, kind='stable')[:BEST]
        contours = case.arrays[f'res{image}_contours'][best].transpose(0, 2, 1)
        boxes = case.arrays[f'res{image}_bboxes'][best]
        labels = case.arrays[f'res{image}_labels'][best]
        same = np.abs(result.scores.numpy()[None] - scores[best, None]) <= SCORE_TOLERANCE
        same &= result.labels.numpy()[None] == labels[:, None]
        for row, column in np.argwhere(same):
            # v1 clips boxes one pixel earlier
            same[row, column] = (
                np.allclose(result.contours[column], contours[row], atol=1e-3, rtol=1e-4)
                and np.allclose(result.bboxes[column], boxes[row], atol=1.01 / scale + 1e-3))
        missing = np.flatnonzero(~same.any(1))
        assert len(missing) <= BORDERLINE * len(best), (
            f'{case.name}, image {image}: {len(missing)} of the {len(best)} best published '
            f'detections have no equal among ours: {missing.tolist()}')


@torch.no_grad()
def check(case: ParityCase, device: str = 'cpu') -> None:
    """Compare everything that a PolarMask case holds."""
    head = build_head(case).to(device)
    levels, instances = build_inputs(case, device)
    outputs = head(tuple(levels))
    check_outputs(case, outputs)
    sizes = [tuple(level.shape[-2:]) for level in levels]
    targets = check_targets(case, head, sizes, instances)
    check_losses(case, head, outputs, targets, instances)
    check_detections(case, head, outputs)
