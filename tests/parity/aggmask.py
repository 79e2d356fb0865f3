"""AggMask cases: the published heads on redrawn weights and pyramids."""
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401
from mmdet_lordre.aggmask.fusion import mask_maps
from tests.parity.case import assert_close, assert_detections, assert_loss
from tests.parity.fill import ellipse_instances, fill_input

# Published setting -> ours, where only the name differs.
_SETTINGS = {
    'in_channels': 'in_channels', 'stacked_convs': 'stacked_convs',
    'seg_feat_channels': 'feat_channels', 'strides': 'strides', 'scale_ranges': 'scale_ranges',
    'sigma': 'pos_scale', 'cls_grid_number': 'num_grids', 'mask_grid_number': 'mask_grids',
    'mask_interp_neighbor': 'num_neighbors', 'interpolation_mode': 'interpolation_mode',
    'context_feature_channel': 'context_channels', 'context_agg_layer': 'context_layers',
    'conv_layer_for_comb': 'fusion_layers', 'conv_kernel_for_comb': 'fusion_kernel',
    'conv_intermediate_channel_number_for_comb': 'fusion_channels',
    'learned_weight_activation': 'weight_activation', 'cate_down_pos': 'cls_down_index'}
# Published settings that change nothing: both grids are given anyhow, nothing deforms.
_IDLE = {'num_classes', 'num_grids', 'with_deform', 'lw_kernel'}


def build_head(case):
    """The head that a case's settings describe, with the case's weights."""
    settings = case.meta['head']
    unknown = set(settings) - set(_SETTINGS) - _IDLE
    assert not unknown, f'{case.name}: settings nobody translates: {sorted(unknown)}'
    star = 'star' in case.meta['source']
    config = {ours: settings[name] for name, ours in _SETTINGS.items() if name in settings}
    # the published head counts the background among its classes
    config.update(type='AggMaskStarHead' if star else 'AggMaskHead',
                  num_classes=settings['num_classes'] - 1,
                  weight_kernel=int(settings.get('lw_kernel', '3x3')[0]),
                  test_cfg=dict(score_thr=0.1, mask_thr=0.5, nms_pre=500, kernel='gaussian',
                                sigma=2.0, filter_thr=0.05,
                                max_per_img=case.meta['max_per_img']))
    head = MODELS.build(config)
    state = {name.removeprefix('mask_head.'): value for name, value in case.converted().items()}
    head.load_state_dict(state)
    return head.eval()


def pyramid(case, device):
    """The five levels of the case's batch."""
    sizes = [(case.meta['H'] // 4, case.meta['W'] // 4)]
    while len(sizes) < 5:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    shape = (case.meta['batch'], case.meta['head']['in_channels'])
    return [torch.from_numpy(fill_input(f'{case.name}/p{level + 2}', (*shape, *size))).to(device)
            for level, size in enumerate(sizes)]


def samples(case):
    """The batch's ground truth and sizes as data samples."""
    height, width = case.meta['H'], case.meta['W']
    result = []
    for image in range(case.meta['batch']):
        boxes, labels, masks = ellipse_instances(
            f'{case.name}/{image}', height, width, case.meta['n_gt'][image],
            case.meta['head']['num_classes'] - 1)
        sample = DetDataSample(metainfo=dict(
            img_shape=tuple(case.meta['img_shape']), ori_shape=tuple(case.meta['ori_shape']),
            batch_input_shape=(height, width)))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
            masks=BitmapMasks(masks, height, width))
        result.append(sample)
    return result


def raw_outputs(head, feats):
    """Everything the case samples, by its names."""
    cls_logits, mask_feats, kernels, table, context = head(feats)
    out, starts = {}, head.tables.mask_starts
    for group, source in zip(head.map_groups(mask_feats), mask_feats, strict=True):
        for level in range(group.first, group.stop):
            cells = slice(starts[level], starts[level + 1])
            out[f'ins{level}_sample'] = torch.stack([
                mask_maps(source[image], head.kernels_of(kernels, image)[cells],
                          group.size)[::37, ::4, ::4] for image in range(len(source))])
    for level, logits in enumerate(cls_logits):
        out[f'cate{level}_sample'] = logits[:, ::8]
        cells = torch.arange(*head.tables.class_starts[level:level + 2])
        weights = torch.stack([head.fusion_numbers(one, cells).weights.t() for one in table])
        out[f'comb_weights{level}_sample'] = weights.unflatten(2, logits.shape[2:])[:, ::31]
        out[f'spatial_index{level}'] = head.tables.positions[cells]
    if context is not None:
        out['context_sample'] = context[:, ::2, ::2, ::2]
    return out


def _published_index(case, name, head):
    """The published code gathers more than it uses for one neighbor and for none."""
    index = case.arrays[name]
    wanted = head.tables.num_neighbors
    if wanted == 1 and index.shape[1] > 1:
        return index[:, 2:3]
    return index[:, :0] if wanted == 0 else index


def check(case, device='cpu'):
    """Compare neighbors, raw outputs, losses and detections."""
    head = build_head(case).to(device)
    feats = pyramid(case, device)
    batch = [sample.to(device) for sample in samples(case)]
    with torch.no_grad():
        ours = raw_outputs(head, feats)
        results = head.predict(feats, batch, rescale=True)
        losses = head.loss(feats, batch)
    compared = set()
    for name, value in ours.items():
        if name.startswith('spatial_index'):
            assert np.array_equal(value.cpu().numpy(), _published_index(case, name, head)), name
        elif name in case.arrays:
            assert_close(f'{case.name}: {name}', value, case.arrays[name])
        compared.add(name)
    rest = {name for name in case.arrays if not name.startswith(('res', 'loss_'))} - compared
    assert not rest, f'{case.name}: not compared: {sorted(rest)}'
    assert_loss(f'{case.name}: mask loss', losses['loss_mask'], case.arrays['loss_ins'])
    assert_loss(f'{case.name}: class loss', losses['loss_cls'], case.arrays['loss_cate'])
    for image, result in enumerate(results):
        assert_detections(case, image, result.scores, result.labels, result.masks)
