_base_ = './aggmask_r101_fpn.py'

model = dict(
    mask_head=dict(num_grids=[50, 40, 24, 16, 12], mask_grids=[40, 36, 24, 16, 12]),
    test_cfg=dict(max_per_img=300))
