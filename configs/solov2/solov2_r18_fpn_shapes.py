# The embedded example: a small SOLOv2, from scratch, on two CPU cores in ten minutes.
_base_ = '../_base_/shapes_from_scratch.py'

model = dict(
    type='SOLOv2',
    data_preprocessor=dict(pad_mask=True),
    backbone=dict(deep_stem=True),
    # Instances are at most 64 px wide here: levels of strides 4, 8, 16 and finer grids.
    neck=dict(type='FPN', in_channels=[32, 64, 128], out_channels=48, num_outs=3),
    mask_head=dict(
        type='SOLOv2KernelHead',
        num_classes=8,
        in_channels=48,
        feat_channels=64,
        stacked_convs=2,
        strides=(4, 4, 8),
        scale_ranges=((1, 24), (16, 40), (32, 256)),
        num_grids=(24, 16, 10),
        # more positive cells: from scratch, classes want all the examples there are
        pos_scale=0.4,
        mask_feature_head=dict(
            feat_channels=48,
            start_level=0,
            end_level=2,
            out_channels=48,
            mask_stride=4,
            norm_cfg=dict(type='GN', num_groups=8, requires_grad=True)),
        loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
                      loss_weight=2.0),
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True)),
    test_cfg=dict(
        nms_pre=300,
        score_thr=0.05,
        mask_thr=0.5,
        filter_thr=0.02,
        kernel='gaussian',
        sigma=2.0,
        max_per_img=100))

train_cfg = dict(max_iters=4400, val_interval=4400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=4400, eta_min=1e-5, by_epoch=False),
]
