# 1333x800, 128 images a batch.
_base_ = './polarmask_r50-caffe_fpn_gn-head_1x_coco.py'

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(type='FilterTinyInstances'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ExtractContours'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(1333, 800), keep_ratio=False),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# 32 GPUs of 4 images each.
auto_scale_lr = dict(base_batch_size=128)
train_cfg = dict(max_epochs=14)
optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 24, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=14, milestones=[10, 13], gamma=0.1),
]
