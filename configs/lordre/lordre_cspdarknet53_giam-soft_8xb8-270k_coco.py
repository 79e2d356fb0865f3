_base_ = './lordre_darknet53_giam_8xb8-270k_coco.py'

model = dict(
    backbone=dict(
        csp=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='published://https://github.com/rwightman/pytorch-image-models/releases/'
            'download/v0.1-weights/cspdarknet53_ra_256-d05c7c21.pth')),
    mask_head=dict(normalization='softmax'))
