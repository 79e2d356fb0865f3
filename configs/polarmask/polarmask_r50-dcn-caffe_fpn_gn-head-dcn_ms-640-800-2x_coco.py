_base_ = './polarmask_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py'

model = dict(
    backbone=dict(
        dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True)),
    bbox_head=dict(conv_cfg=dict(type='DCNv2')))
custom_hooks = [dict(type='DeformableOpsHook')]
