# The embedded example: a small PolarMask, from scratch, on two CPU cores in ten minutes.
_base_ = '../_base_/shapes_from_scratch.py'

model = dict(
    type='PolarMask',
    # Instances are at most 64 px wide here: levels of strides 8 and 16 in place of 8 to 128.
    neck=dict(
        type='FPN', in_channels=[32, 64, 128], out_channels=48, start_level=1, num_outs=2),
    bbox_head=dict(
        type='PolarMaskHead',
        num_classes=8,
        in_channels=48,
        feat_channels=48,
        stacked_convs=2,
        strides=(8, 16),
        regress_ranges=((-1, 20), (20, 1e8)),
        # Rings have their center in a hole. Rays are exact then: contours of 40 pixels leave many
        # of the published ones empty, above all those of points beside the center.
        holes=True,
        norm_cfg=dict(type='GN', num_groups=8)),
    test_cfg=dict(
        nms_pre=500,
        score_thr=0.02,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
        fill='rounded'))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
         direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='ExtractContours', holes=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(optimizer=dict(
    _delete_=True, type='MuonWithAdamW', lr=8e-3, weight_decay=0.05))
train_cfg = dict(max_iters=5000, val_interval=5000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=5000, eta_min=1e-5, by_epoch=False),
]
custom_hooks = [dict(type='ChannelsLastHook')]
