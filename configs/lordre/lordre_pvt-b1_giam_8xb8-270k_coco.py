_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='LordrePVTv2',
        embed_dims=64,
        num_layers=[2, 2, 2, 2],
        drop_path_rate=0.1,
        out_indices=(1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='published://https://github.com/whai362/PVT/releases/download/v2/'
            'pvt_v2_b1.pth')),
    neck=dict(in_channels=(128, 320, 512)))

# No decay for norms and patch embeddings; those of stage k are layers.k.0 and layers.k.2.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            f'backbone.layers.{stage}.{part}.': dict(decay_mult=0.)
            for stage in range(4) for part in (0, 2)
        }))
