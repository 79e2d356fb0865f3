# What all nine models of the paper share: COCO, multi-scale training, two evaluations in a row.
_base_ = [
    'mmdet::_base_/datasets/coco_instance.py', '../../_base_/resnet50_fpn.py',
    '../../_base_/default_runtime.py'
]

model = dict(
    type='SingleStageInstanceSegmentor',
    backbone=dict(
        depth=101,
        init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth')),
    mask_head=dict(
        num_classes=80,
        in_channels=256,
        feat_channels=256,
        strides=[8, 8, 16, 32, 32],
        scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
        pos_scale=0.2,
        num_grids=[40, 36, 24, 16, 12],
        num_neighbors=4,
        context_channels=16,
        context_layers=2,
        loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)),
    test_cfg=dict(
        nms_pre=500,
        score_thr=0.1,
        mask_thr=0.5,
        filter_thr=0.05,
        kernel='gaussian',
        sigma=2.0,
        max_per_img=300,
        # both evaluations take run lengths: encode once
        mask_format='rle'))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, 800), (1333, 768), (1333, 736), (1333, 704), (1333, 672), (1333, 640)],
        keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    # the workers shrink the masks; full-size ones do not reach the main process
    dict(type='GridMaskTargets', factors=(4, 8, 16)),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

coco_segm = dict(
    type='CocoMaskMetric',
    ann_file='data/coco/annotations/instances_val2017.json',
    metric='segm')
val_evaluator = dict(_delete_=True, **coco_segm)
# One pass over val2017, two protocols. The second file is made by
# tools/prepare_cocofied_lvis.py; without it COCO alone is reported.
test_evaluator = [
    coco_segm,
    dict(
        type='LVISMaskMetric',
        lvis_file='data/coco/annotations/lvis_v0.5_val_cocofied.json'),
]

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=35, norm_type=2))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=36, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=36, milestones=[27, 33], gamma=0.1),
]
# 8 GPUs x 2 images
auto_scale_lr = dict(enable=False, base_batch_size=16)
