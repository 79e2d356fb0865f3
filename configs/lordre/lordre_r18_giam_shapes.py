# The embedded example: a small Lordre, from scratch, on two CPU cores in minutes.
_base_ = ['../_base_/default_runtime.py', '../_base_/shapes.py']

model = dict(
    type='Lordre',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=False,
        pad_size_divisor=32),
    # Half the usual width, no stage of stride 32 (the pictures have 128 px), and batch norm that is
    # trained: from scratch.
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        base_channels=32,
        stem_channels=32,
        deep_stem=True,
        out_indices=(1, 2),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch'),
    neck=dict(type='InstanceContextEncoder', in_channels=(64, 128), out_channels=64),
    mask_head=dict(
        type='LordreHead',
        num_classes=8,
        in_channels=64,
        channels=64,
        depth=3,
        num_queries=20,
        kernel_dim=32,
        groups=4,
        normalization='softmax',
        norm_cfg=dict(type='BN'),
        # Classes are what a network from scratch learns last.
        region_classifier=dict(hidden_channels=128),
        loss_matched_cls=dict(type='CrossEntropyLoss', loss_weight=1.0),
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=4.0),
        loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=10.0),
        loss_dice=dict(type='DiceLoss', eps=5e-5, loss_weight=4.0)),
    test_cfg=dict(score_thr=0.005, mask_thr=0.45))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=9000, val_interval=9000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=9000, eta_min=1e-5, by_epoch=False),
]

log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(interval=3000, by_epoch=False),
    logger=dict(interval=100))
# Small batches: the number of steps counts.
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler', shuffle=True))
custom_hooks = [dict(type='ChannelsLastHook')]
