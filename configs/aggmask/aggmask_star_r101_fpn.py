_base_ = './_base_/coco.py'

model = dict(mask_head=dict(type='AggMaskStarHead', stacked_convs=4, weight_kernel=1))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, 800), (1333, 768), (1333, 736), (1333, 704), (1333, 672), (1333, 640)],
        keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    # maps of one size for all levels: a quarter of the input's
    dict(type='GridMaskTargets', factors=4),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

train_cfg = dict(max_epochs=72)
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=72, milestones=[54, 66], gamma=0.1),
]
