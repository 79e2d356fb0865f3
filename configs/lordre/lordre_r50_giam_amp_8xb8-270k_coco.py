_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

# Automatic mixed precision; matching and losses stay in float32.
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
