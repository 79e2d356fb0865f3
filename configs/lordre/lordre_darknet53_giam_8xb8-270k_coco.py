_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

# From scratch, with trained norms.
model = dict(
    backbone=dict(_delete_=True, type='TimmDarknet', csp=False, out_indices=(2, 3, 4)),
    neck=dict(in_channels=(256, 512, 1024)))
