"""AggMask's published algorithm, written plainly: all S^2 maps, then gather, stack and fuse.

It shares the head's layers and does everything its own way: all levels concatenated for the
context, every mask cell's map at full size, a copy of the context for each selected cell, one
grouped convolution for all of them, targets by a loop over ground truths.
"""
import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage


def resize(maps, size):
    """Maps (n, h, w) at another size."""
    return F.interpolate(maps[None], size=size, mode='bilinear')[0]


def network(head, x):
    """The outputs of the head's forward(), layer by layer."""
    kernels, cls_logits, weight_feats, mask_feats = [], [], [], []
    levels = [F.interpolate(x[0], size=x[1].shape[-2:], mode='bilinear'), *x[1:-1],
              F.interpolate(x[-1], size=x[-2].shape[-2:], mode='bilinear')]

    def tower(layers, feat, grid):
        for i, layer in enumerate(layers):
            if i == head.cls_down_index:
                feat = F.interpolate(feat, size=(grid, grid), mode='bilinear')
            feat = layer(feat)
        return feat

    for feat, grid, mask_grid in zip(levels, head.num_grids, head.mask_grids, strict=True):
        cls = tower(head.cate_convs, feat, grid)
        cls_logits.append(head.solo_cate(cls))
        feat = head.with_coordinates(feat)
        if hasattr(head, 'ins_convs'):
            weight_feats.append(cls)
            for layer in head.ins_convs:
                feat = layer(feat)
            mask_feats.append(feat)
        else:
            kernels.append(head.solo_kernel(tower(head.kernel_convs, feat, mask_grid)).flatten(2))
            weight_feats.append(tower(head.kernel_convs_convcomb, feat, grid))
    if hasattr(head, 'ins_convs'):
        kernels = torch.cat([torch.cat((conv.weight.flatten(1), conv.bias[:, None]), 1)
                             for conv in head.solo_ins_list])
    else:
        kernels = torch.cat(kernels, 2).transpose(1, 2)
        total, last = 0, len(head.feature_convs) - 1
        for level, layers in enumerate(head.feature_convs):
            feat = head.with_coordinates(x[level]) if level == last else x[level]
            for step, layer in enumerate(layers):
                feat = layer(feat)
                if level:
                    feat = F.interpolate(feat, size=x[level - 1 - step].shape[-2:],
                                         mode='bilinear')
            total = total + feat
        mask_feats.append(head.solo_mask(total))
    context = None
    if hasattr(head, 'context_fusion_convs'):
        context = torch.cat([F.interpolate(f, size=x[0].shape[-2:], mode='bilinear',
                                           align_corners=True) for f in x], dim=1)
        for module in head.context_fusion_convs:
            context = module(context)
    return cls_logits, mask_feats, kernels, head.tables.flatten(weight_feats), context


def all_maps(head, mask_feats, kernels):
    """By level, the maps (B, S^2, H, W) of all mask cells."""
    maps, starts = [], head.tables.mask_starts
    for group, feats in zip(head.map_groups(mask_feats), mask_feats, strict=True):
        feats = F.interpolate(feats, size=group.size, mode='bilinear')
        for level in range(group.first, group.stop):
            cells = slice(starts[level], starts[level + 1])
            images = []
            for image, feat in enumerate(feats):
                kernel = head.kernels_of(kernels, image)[cells]
                bias = kernel[:, feat.shape[0]] if kernel.shape[1] > feat.shape[0] else None
                images.append(F.conv2d(feat[None], kernel[:, :feat.shape[0], None, None], bias)[0])
            maps.append(torch.stack(images))
    return maps


def all_weights(head, table):
    """By level, the fusion weights (B, numbers, S * S) of all class cells."""
    weights, start = [], 0
    for grid in head.num_grids:
        side = grid + 2 * head.tables.padding
        feat = table[:, :, start:start + side * side].unflatten(2, (side, side))
        level = F.conv2d(feat, head.learned_weights.weight, head.learned_weights.bias)
        weights.append((level.tanh() if head.weight_activation == 'tanh' else level).flatten(2))
        start += side * side
    return weights


def fuse(head, maps, context, weights, cells, level):
    """Logits (n, H, W) of cells (n,) of one level of one image.

    maps (S^2, H, W), context (c, h, w) or None, weights (numbers, cells of the level).
    """
    side = head.mask_grids[level]
    index = head.tables.positions[head.tables.class_starts[level] + cells]
    count, size = len(cells), maps.shape[-2:]
    x = maps.view(side, side, *size)[index[..., 0], index[..., 1]]
    if context is not None:
        shared = F.interpolate(context[None], size=size, mode='bilinear', align_corners=True)
        x = torch.cat((x, shared.expand(count, -1, -1, -1)), dim=1)
    numbers, start = weights[:, cells].t(), 0
    x = x.reshape(1, -1, *size)
    for layer, (out, ins, *side) in enumerate(head.fusion.shapes):
        length = out * ins * side[0] * side[1]
        weight = numbers[:, start:start + length].reshape(count * out, ins, *side)
        bias = numbers[:, start + length:start + length + out].reshape(-1)
        x = F.conv2d(F.relu(x) if layer else x, weight, bias, padding=side[0] // 2, groups=count)
        start += length + out
    return x[0]


def targets(head, gts, level, size, input_size):
    """Of one image and level: classes (S, S), masks of positive cells {cell: (H, W)}."""
    grid = head.num_grids[level]
    low, high = head.scale_ranges[level]
    group = next(g for g in size if g.first <= level < g.stop)
    labels = np.full((grid, grid), head.num_classes)
    masks = {}
    cell = 1. / grid
    for box, label, mask in zip(gts.bboxes.numpy(), gts.labels.numpy(), gts.masks.masks,
                                strict=True):
        scale = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        if not low <= scale <= high or mask.sum() < 10:
            continue
        ys, xs = ndimage.center_of_mass(mask)
        spans = []
        for middle, side, extent in ((ys, box[3] - box[1], input_size[0]),
                                     (xs, box[2] - box[0], input_size[1])):
            half = np.float32(0.5 * side * head.pos_scale)
            own = int(middle / extent // cell)
            first = int(np.float32(middle - half) / np.float32(extent) // np.float32(cell))
            last = int(np.float32(middle + half) / np.float32(extent) // np.float32(cell))
            spans.append(range(max(0, first, own - 1), min(grid - 1, last, own + 1) + 1))
        f = group.factor
        padded = np.zeros((group.size[0] * f, group.size[1] * f), np.int64)
        padded[:mask.shape[0], :mask.shape[1]] = mask
        blocks = padded.reshape(group.size[0], f, group.size[1], f)[:, f // 2 - 1:f // 2 + 1]
        small = blocks[..., f // 2 - 1:f // 2 + 1].sum((1, 3)) >= 2
        for row in spans[0]:
            for column in spans[1]:
                labels[row, column] = label
                masks[row * grid + column] = small
    return labels, masks


def loss(head, feats, samples):
    """The head's losses, the published way."""
    cls_logits, mask_feats, kernels, table, context = network(head, feats)
    maps, weights = all_maps(head, mask_feats, kernels), all_weights(head, table)
    groups = head.map_groups(mask_feats)
    input_size = tuple(side * groups[0].factor for side in groups[0].size)
    dice, labels = [], []
    for level, level_maps in enumerate(maps):
        for image, sample in enumerate(samples):
            classes, masks = targets(head, sample.gt_instances, level, groups, input_size)
            labels.append(torch.from_numpy(classes).flatten())
            if not masks:
                continue
            cells = torch.tensor(sorted(masks))
            truth = torch.from_numpy(np.stack([masks[int(c)] for c in cells])).float().flatten(1)
            logits = fuse(head, level_maps[image], None if context is None else context[image],
                          weights[level][image], cells, level)
            probs = logits.sigmoid().flatten(1)
            dice.append(1 - 2 * (probs * truth).sum(1) / (
                (probs * probs).sum(1) + .001 + (truth * truth).sum(1) + .001))
    flat = torch.cat([logits.permute(0, 2, 3, 1).reshape(-1, head.num_classes)
                      for logits in cls_logits])
    labels = torch.cat(labels)
    positives = int((labels < head.num_classes).sum())
    onehot = F.one_hot(labels, head.num_classes + 1)[:, :-1].float()
    focal = F.binary_cross_entropy_with_logits(flat, onehot, reduction='none')
    right = torch.where(onehot > 0, flat.sigmoid(), 1 - flat.sigmoid())
    alpha = torch.where(onehot > 0, .25, .75)
    return dict(loss_mask=3 * torch.cat(dice).mean(),
                loss_cls=(alpha * (1 - right)**2 * focal).sum() / (positives + 1))
