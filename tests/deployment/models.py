"""Small models of every family, with random weights that detect something everywhere."""
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

import mmdet_lordre  # noqa: F401 - registers everything

NORM = dict(type='GN', num_groups=4)
GRID_TEST = dict(nms_pre=60, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                 sigma=2.0, max_per_img=20)
GRID = dict(num_classes=3, in_channels=16, feat_channels=16, strides=(4, 4, 8),
            scale_ranges=((1, 24), (16, 40), (32, 256)), num_grids=(10, 8, 6), norm_cfg=NORM)


def backbone(**kwargs):
    return dict(dict(type='ResNet', depth=18, num_stages=3, strides=(1, 2, 2),
                     dilations=(1, 1, 1), base_channels=8, stem_channels=8,
                     out_indices=(0, 1, 2), style='pytorch'), **kwargs)


def neck(**kwargs):
    return dict(dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3), **kwargs)


def lordre(**head):
    return dict(
        type='Lordre', backbone=backbone(),
        neck=dict(type='LordreEncoder', in_channels=(8, 16, 32), out_channels=16),
        mask_head=dict(dict(type='LordreHead', num_classes=3, in_channels=16, channels=16,
                            depth=1, num_queries=12, kernel_dim=8, groups=2), **head),
        test_cfg=dict(score_thr=0.2))


def lordre_places(**head):
    return lordre() | dict(mask_head=dict(dict(
        type='LordrePlaceHead', num_classes=3, in_channels=16, channels=16, depth=1,
        num_queries=12, kernel_dim=8, norm_cfg=NORM), **head))


def solov2(**head):
    return dict(
        type='SingleStageInstanceSegmentor', backbone=backbone(), neck=neck(),
        mask_head=dict(GRID, type='SOLOv2KernelHead', stacked_convs=1, mask_feature_head=dict(
            feat_channels=16, out_channels=16, start_level=0, end_level=2, mask_stride=4,
            norm_cfg=NORM), **head),
        test_cfg=GRID_TEST)


def solov2_windows(**head):
    config = solov2(**head)
    config['mask_head']['type'] = 'SOLOv2WindowHead'
    return config


def aggmask(**head):
    return dict(type='SingleStageInstanceSegmentor', backbone=backbone(), neck=neck(),
                mask_head=dict(GRID, type='AggMaskHead', stacked_convs=1, **head),
                test_cfg=GRID_TEST)


def aggmask_star(**head):
    return aggmask(**head) | dict(mask_head=dict(GRID, type='AggMaskStarHead', stacked_convs=1,
                                                 **head))


def aggmask_star_windows(**head):
    return aggmask_star(windows=True, foreground=True, **head)


def polarmask(**head):
    return dict(
        type='PolarMask', backbone=backbone(),
        neck=neck(start_level=1, num_outs=3, add_extra_convs='on_output'),
        bbox_head=dict(dict(type='PolarMaskHead', num_classes=3, in_channels=16,
                            feat_channels=16, stacked_convs=1, strides=(8, 16, 32),
                            regress_ranges=((-1, 20), (20, 40), (40, 1e8)), norm_cfg=NORM),
                       **head),
        test_cfg=dict(nms_pre=40, score_thr=0.3, nms=dict(type='nms', iou_threshold=0.5),
                      max_per_img=15))


FAMILIES = dict(lordre=lordre, lordre_places=lordre_places, solov2=solov2,
                solov2_windows=solov2_windows, aggmask=aggmask,
                aggmask_star=aggmask_star, aggmask_star_windows=aggmask_star_windows,
                polarmask=polarmask)


def build(config, seed=0):
    """The model in ``eval`` mode. Weights are far from zero: scores spread, masks have shapes."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    config = ConfigDict(config)
    model = MODELS.build(config)
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if not value.is_floating_point() or 'offset' in name:
            continue
        if name.endswith('mask_kernel.bias'):
            value.normal_(0, 1, generator=generator)
        elif name.endswith('running_var'):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.dim() > 1:
            std = 1.3 / value[0].numel()**0.5
            if name.endswith(('objectness.weight', 'cls_score.weight')):
                std *= 0.2  # scores that differ
            value.normal_(0, std, generator=generator)
        elif not name.endswith(('running_mean', 'scale')):
            value.add_(torch.rand(value.shape, generator=generator) * 0.2)
    bias(model, 'conv_cls', -1.0)
    bias(model, 'solo_cate', -1.0)
    bias(model, 'polar_cls', -0.5)
    bias(model, 'cls_score', 0.0)
    bias(model, 'place', 2.0)
    bias(model, 'polar_reg', 2.5)
    bias(model, 'polar_mask', 2.5)
    return model.eval()


def bias(model, name, value):
    """Set the bias of the layer of that name, if there is one."""
    for path, module in model.named_modules():
        if path.endswith('.' + name):
            torch.nn.init.constant_(module.bias, value)


def picture(height, width, batch=1, seed=0):
    """Smooth random images (batch, 3, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 6, 8, generator=generator) * 2
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode='bicubic')
