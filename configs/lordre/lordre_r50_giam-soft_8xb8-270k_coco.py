_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

model = dict(mask_head=dict(normalization='softmax'))
