# 1333x640 to 1333x800 at random, 26 epochs.
_base_ = './polarmask_r50-caffe_fpn_gn-head_800-1x_coco.py'

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(type='FilterTinyInstances'),
    dict(type='RandomResize', scale=[(1333, 640), (1333, 800)], keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ExtractContours'),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# 8 GPUs of 4 images each.
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=26)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 6, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=26, milestones=[18, 24], gamma=0.1),
]
