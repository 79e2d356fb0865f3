# Modulated deformable convolutions in the backbone too, 74 epochs.
_base_ = './polarmask_r101-dcn-caffe_fpn_gn-head-dcn_ms-640-800-2x_coco.py'

model = dict(backbone=dict(dcn=dict(type='DCNv2')))

train_cfg = dict(max_epochs=74)
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 6, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=74, milestones=[50, 68], gamma=0.1),
]
