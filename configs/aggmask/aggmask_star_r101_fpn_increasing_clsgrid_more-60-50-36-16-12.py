_base_ = './aggmask_star_r101_fpn.py'

model = dict(
    mask_head=dict(
        num_grids=[60, 50, 36, 16, 12],
        mask_grids=[40, 36, 24, 16, 12],
        interpolation_mode=4))
