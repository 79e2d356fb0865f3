# Deformable convolutions: plain ones in stages 3 to 5 of the backbone, modulated in the head.
_base_ = './polarmask_r50-caffe_fpn_gn-head_1x_coco.py'

model = dict(
    backbone=dict(
        dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True)),
    bbox_head=dict(conv_cfg=dict(type='DCNv2')))

# 32 GPUs of 4 images each.
auto_scale_lr = dict(base_batch_size=128)
train_cfg = dict(max_epochs=14)
optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 24, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=14, milestones=[10, 13], gamma=0.1),
]
custom_hooks = [dict(type='DeformableOpsHook')]
