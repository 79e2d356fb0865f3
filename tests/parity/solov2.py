"""SOLOv2 cases: the published heads on redrawn weights and pyramids."""
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401
from tests.parity.case import assert_close, assert_detections, assert_loss
from tests.parity.fill import ellipse_instances, fill_input

# Published setting -> ours.
_SETTINGS = {
    'in_channels': 'in_channels', 'num_classes': 'num_classes', 'strides': 'strides',
    'seg_feat_channels': 'feat_channels', 'stacked_convs': 'stacked_convs',
    'scale_ranges': 'scale_ranges', 'num_grids': 'num_grids', 'sigma': 'pos_scale',
    'dcn_cfg': 'dcn_cfg', 'dcn_apply_to_all_conv': 'dcn_apply_to_all_conv'}
_BRANCH_SETTINGS = {'mask_feat_out_channels': 'feat_channels', 'ins_out_channels': 'out_channels'}
_PREFIX = 'mask_head.'


def build_head(case):
    """The head that a case's settings describe, with the case's weights."""
    settings = case.meta['head']
    unknown = set(settings) - set(_SETTINGS) - set(_BRANCH_SETTINGS)
    assert not unknown, f'{case.name}: settings nobody translates: {sorted(unknown)}'
    state = {name.removeprefix(_PREFIX): value for name, value in case.converted().items()}
    first = state['cls_convs.0.conv.weight']
    config = dict(type='SOLOv2KernelHead', num_classes=len(state['conv_cls.bias']),
                  in_channels=first.shape[1])
    config.update((ours, settings[name]) for name, ours in _SETTINGS.items()
                  if name in settings and name != 'num_classes')
    levels = sum(f'mask_feature_head.convs_all_levels.{level}.conv0.conv.weight' in state
                 for level in range(8))
    published = state['mask_feature_head.conv_pred.conv.weight']
    branch = dict(feat_channels=published.shape[1], out_channels=len(published),
                  end_level=levels - 1)
    branch.update((ours, settings[name]) for name, ours in _BRANCH_SETTINGS.items()
                  if name in settings)
    config['mask_feature_head'] = branch
    config['test_cfg'] = dict(score_thr=0.1, mask_thr=0.5, nms_pre=500, kernel='gaussian',
                              sigma=2.0, filter_thr=0.05,
                              max_per_img=case.meta.get('max_per_img', 100))
    head = MODELS.build(config)
    head.load_state_dict(state, strict=True)
    return head.eval()


def pyramid(case, head, device):
    """The levels of the case's batch."""
    sizes = [(case.meta['H'] // 4, case.meta['W'] // 4)]
    while len(sizes) < head.num_levels:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    shape = (case.meta['batch'], head.in_channels)
    return [torch.from_numpy(fill_input(f'{case.name}/p{level + 2}', (*shape, *size))).to(device)
            for level, size in enumerate(sizes)]


def samples(case, head):
    """The batch's ground truth and sizes as data samples."""
    height, width = case.meta['H'], case.meta['W']
    result = []
    for image, count in enumerate(case.meta['n_gt']):
        boxes, labels, masks = ellipse_instances(f'{case.name}/{image}', height, width, count,
                                                 head.num_classes)
        sample = DetDataSample(metainfo=dict(
            img_shape=tuple(case.meta['img_shape']), ori_shape=tuple(case.meta['ori_shape']),
            batch_input_shape=(height, width)))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
            masks=BitmapMasks(masks, height, width))
        result.append(sample)
    return result


def check_outputs(case, outputs):
    kernels, logits, mask_features = outputs
    for level, (kernel, cls) in enumerate(zip(kernels, logits, strict=True)):
        assert_close(f'kernel{level}', kernel[:, ::16], case.arrays[f'kernel{level}_sample'])
        assert_close(f'cate{level}', cls[:, ::8], case.arrays[f'cate{level}_sample'])
    assert_close('mask_feat', mask_features[:, ::16], case.arrays['mask_feat_sample'])


def check_targets(case, head, batch, size):
    truths, targets = head.targets([sample.gt_instances for sample in batch], size,
                                   batch[0].gt_instances.bboxes.device)
    labels = targets.labels.where(targets.labels < head.num_classes, -1).cpu()
    start = 0
    for level, grid in enumerate(head.num_grids):
        for image in range(len(batch)):
            name = f'target{image}_{level}'
            wanted = case.arrays[f'{name}_labels']
            ours = labels[start:start + grid**2].view(grid, grid)
            assert np.array_equal(ours.numpy(), wanted), f'{name}_labels'
            start += grid**2
            pairs = (targets.levels == level) & (targets.images == image)
            assert np.array_equal(targets.positions[pairs].cpu(),
                                  case.arrays[f'{name}_order']), (
                f'{name}_order')
            masks = np.unpackbits(case.arrays[f'{name}_masks'], axis=-1)[..., :size[1]]
            ours = truths.masks[head.mask_stride][targets.gts[pairs]]
            assert np.array_equal(ours.cpu().numpy(), masks.astype(bool)), f'{name}_masks'


def check(case, device='cpu'):
    """Outputs, targets, losses and final detections."""
    head = build_head(case).to(device)
    feats = pyramid(case, head, device)
    batch = [sample.to(device) for sample in samples(case, head)]
    with torch.no_grad():
        outputs = head(feats)
        check_outputs(case, outputs)
        check_targets(case, head, batch, tuple(outputs[2].shape[-2:]))
        losses = head.loss_by_feat(*outputs, [sample.gt_instances for sample in batch])
        assert_loss('loss_ins', losses['loss_mask'], case.arrays['loss_ins'])
        assert_loss('loss_cate', losses['loss_cls'], case.arrays['loss_cate'])
        results = head.predict_by_feat(*outputs, [sample.metainfo for sample in batch])
    for image, result in enumerate(results):
        assert_detections(case, image, result.scores, result.labels, result.masks)
