# PolarMask with a ResNet-50 on COCO, by the authors' recipe: 1280x768, 12 epochs.
_base_ = [
    'mmdet::_base_/datasets/coco_instance.py', 'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/resnet50_fpn.py', '../_base_/default_runtime.py'
]

model = dict(
    type='PolarMask',
    data_preprocessor=dict(
        _delete_=True,
        type='DetDataPreprocessor',
        non_blocking=True,  # the next batch goes to a GPU while it is at work
        mean=[102.9801, 115.9465, 122.7717],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=128),
    backbone=dict(
        norm_cfg=dict(requires_grad=False),
        style='caffe',
        init_cfg=dict(checkpoint='open-mmlab://detectron/resnet50_caffe')),
    neck=dict(start_level=1, add_extra_convs='on_output', relu_before_extra_convs=True),
    bbox_head=dict(
        type='PolarMaskHead',
        num_classes=80,
        in_channels=256,
        feat_channels=256,
        stacked_convs=4,
        strides=(8, 16, 32, 64, 128),
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
        num_rays=36,
        center_radius=1.5,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True)),
    test_cfg=dict(
        nms_pre=1000,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
        mask_format='rle'))

# Images are resized without keeping their aspect ratio, training and testing: the width is the
# long side, even of a portrait.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(type='FilterTinyInstances'),
    dict(type='Resize', scale=(1280, 768), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ExtractContours'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(1280, 768), keep_ratio=False),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(batch_size=4, num_workers=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMaskMetric')
test_evaluator = val_evaluator

# 4 GPUs of 4 images each.
auto_scale_lr = dict(enable=False, base_batch_size=16)
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=35, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
