_base_ = './aggmask_r101_fpn.py'

model = dict(mask_head=dict(mask_grids=[20, 18, 12, 8, 6]))
