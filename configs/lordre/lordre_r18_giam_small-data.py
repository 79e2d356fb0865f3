# Your own small data set, without a GPU and without pretrained weights:
#   python tools/train.py configs/lordre/lordre_r18_giam_small-data.py --amp \
#       --train-ann my/train.json --val-ann my/val.json
# The published method. `lordre plan` fits one to the data that learns several times faster.
# About 20 minutes on one CPU core. Larger pictures or more of them: `scale` and `max_iters`.
_base_ = './lordre_r18_giam_shapes.py'

model = dict(
    backbone=dict(base_channels=64, stem_channels=64),
    neck=dict(in_channels=(128, 256), out_channels=96),
    mask_head=dict(
        in_channels=96,
        channels=96,
        num_queries=40,
        loss_mask=dict(loss_weight=5.0),
        loss_dice=dict(loss_weight=2.0)))

scale = (320, 240)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=scale, ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
         direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 900
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=max_iters, eta_min=1e-5, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(interval=50))
