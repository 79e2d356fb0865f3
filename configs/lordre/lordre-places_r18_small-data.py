# Your own small data set with many or small objects, without a GPU and without pretrained weights:
#   python tools/train.py configs/lordre/lordre-places_r18_small-data.py --amp \
#       --train-ann my/train.json --val-ann my/val.json
# `lordre plan` fits these numbers to the data, and says what can be reached.
# About 20 minutes on one CPU core. Larger pictures or more of them: `scale` and `max_iters`.
_base_ = './lordre-places_r18_shapes.py'

model = dict(mask_head=dict(num_queries=150, peak=3))

scale = (320, 320)
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
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 3200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=6e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=max_iters, eta_min=1e-5, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=800), logger=dict(interval=50))
