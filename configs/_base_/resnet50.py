# The trunk of the R-50 models: a ResNet-50 from ImageNet weights, and how its input is prepared.
model = dict(
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        non_blocking=True,  # the next batch goes to a GPU while it is at work
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # the heads read masks as they are; what lies in the padding counts as empty
        pad_mask=False,
        pad_size_divisor=32),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth')))
