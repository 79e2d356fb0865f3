_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

model = dict(
    backbone=dict(
        type='ResNetV1d',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='published://https://github.com/rwightman/pytorch-image-models/releases/'
            'download/v0.1-weights/resnet50d_ra2-464e36ba.pth')))
