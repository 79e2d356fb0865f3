# The embedded example: a small PolarMask, from scratch, on two CPU cores in ten minutes.
_base_ = ['../_base_/default_runtime.py', '../_base_/shapes.py']

model = dict(
    type='PolarMask',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32),
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        base_channels=32,
        stem_channels=32,
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch'),
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
        # Contours of 40 pixels leave a third of the rays empty with the published 3 degrees, above
        # all those of points beside the centre.
        ray_search=8,
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
    dict(type='ExtractContours'),
    dict(type='PackDetInputs'),
]
# Small batches: in ten minutes, the number of steps counts.
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=5000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=5000, eta_min=1e-5, by_epoch=False),
]

log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(interval=1000, by_epoch=False),
    logger=dict(interval=100))
