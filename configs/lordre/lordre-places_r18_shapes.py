# The embedded example with queries that come from places, from scratch, on the CPU in minutes.
_base_ = '../_base_/shapes_from_scratch.py'

model = dict(
    type='Lordre',
    data_preprocessor=dict(pad_mask=False),
    backbone=dict(deep_stem=True),
    neck=dict(type='LordreEncoder', in_channels=(32, 64, 128), out_channels=64),
    mask_head=dict(
        type='LordrePlaceHead',
        num_classes=8,
        in_channels=64,
        channels=64,
        depth=2,
        num_queries=40,
        kernel_dim=16,
        norm_cfg=dict(type='BN'),
        # objects are four cells wide and more: places of two are not side by side
        peak=5,
        # masks of stride 2; their losses look at points around the objects
        mask_upsample=2,
        crop_size=32,
        region_classifier=dict(hidden_channels=128),
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=2.0)),
    test_cfg=dict(score_thr=0.005, mask_thr=0.45))

# nothing is matched, so early steps do no harm: twice the rate of the other examples
optim_wrapper = dict(optimizer=dict(
    _delete_=True, type='MuonWithAdamW', lr=1.2e-2, weight_decay=0.05))
train_cfg = dict(max_iters=4500, val_interval=4500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=4500, eta_min=1e-5, by_epoch=False),
]
train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
custom_hooks = [dict(type='ChannelsLastHook')]
