_base_ = './lordre_pvt-b1_giam_8xb8-270k_coco.py'

model = dict(
    backbone=dict(
        linear=True,
        num_layers=[3, 4, 6, 3],
        init_cfg=dict(
            checkpoint='published://https://github.com/whai362/PVT/releases/download/v2/'
            'pvt_v2_b2_li.pth')))
