# Lordre (SparseInst) with a ResNet-50 and group activation maps, on COCO, by the authors' recipe.
_base_ = [
    'mmdet::_base_/datasets/coco_instance.py', '../../_base_/resnet50.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='Lordre',
    # Trained whole, but for the statistics and weights of batch norm.
    backbone=dict(
        out_indices=(1, 2, 3), frozen_stages=-1, norm_cfg=dict(requires_grad=False)),
    neck=dict(type='LordreEncoder', in_channels=(512, 1024, 2048), out_channels=256),
    mask_head=dict(
        type='LordreHead',
        num_classes=80,
        in_channels=256,
        channels=256,
        depth=4,
        num_queries=100,
        kernel_dim=128,
        groups=4,
        normalization='sigmoid'),
    test_cfg=dict(score_thr=0.005, mask_thr=0.45, mask_format='rle'))

# Pillow's bilinear resize is antialiased, as in the authors' training.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    # Polygons are drawn at the size of the network's input, as in the authors' training.
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True, transform_polygons=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoiceResize',
        scales=[(853, side) for side in range(416, 641, 32)],
        keep_ratio=True,
        backend='pillow'),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_box=True, by_mask=True,
         keep_empty=False),
    dict(type='ShrinkMasks', factor=4),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(853, 640), keep_ratio=True, backend='pillow'),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

# 8 GPUs of 8 images each.
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(filter_cfg=dict(filter_empty_gt=True, min_size=1), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMaskMetric', metric='segm')
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=270000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=1000, by_epoch=False),
    dict(
        type='MultiStepLR',
        begin=0,
        end=270000,
        milestones=[210000, 250000],
        gamma=0.1,
        by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)

log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
