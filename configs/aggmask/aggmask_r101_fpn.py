_base_ = './_base_/coco.py'

model = dict(
    mask_head=dict(type='AggMaskHead', stacked_convs=7),
    test_cfg=dict(max_per_img=100))
