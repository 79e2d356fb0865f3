# The embedded example with mmdet's own head in the place of ours, to compare the two.
_base_ = './solov2_r18_fpn_shapes.py'

model = dict(mask_head=dict(type='SOLOV2Head'))
