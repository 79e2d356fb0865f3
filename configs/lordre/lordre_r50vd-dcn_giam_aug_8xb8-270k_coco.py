_base_ = './lordre_r50vd_giam_aug_8xb8-270k_coco.py'

model = dict(
    backbone=dict(
        # Deformable convolution (v1) in the last two stages.
        dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, False, True, True)))
custom_hooks = [dict(type='DeformableOpsHook')]
