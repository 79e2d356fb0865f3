_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

# One activation map an instance.
model = dict(mask_head=dict(groups=1))
