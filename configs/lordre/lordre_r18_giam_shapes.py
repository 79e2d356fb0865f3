# The embedded example: a small Lordre, from scratch, on two CPU cores in minutes.
_base_ = '../_base_/shapes_from_scratch.py'

model = dict(
    type='Lordre',
    data_preprocessor=dict(pad_mask=False),
    backbone=dict(deep_stem=True, out_indices=(1, 2)),
    neck=dict(type='LordreEncoder', in_channels=(64, 128), out_channels=64),
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

train_cfg = dict(max_iters=9000, val_interval=9000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=9000, eta_min=1e-5, by_epoch=False),
]

default_hooks = dict(checkpoint=dict(interval=3000))
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
custom_hooks = [dict(type='ChannelsLastHook')]
