# The embedded example: a small AggMask*, with all but the head as in SOLOv2's example.
_base_ = '../solov2/solov2_r18_fpn_shapes.py'

model = dict(
    type='SingleStageInstanceSegmentor',
    mask_head=dict(
        _delete_=True,
        type='AggMaskStarHead',
        num_classes=8,
        in_channels=48,
        feat_channels=48,
        stacked_convs=2,
        strides=(4, 4, 8),
        scale_ranges=((1, 24), (16, 40), (32, 256)),
        num_grids=(24, 16, 10),
        # masks are learned within a few hundred steps, classes are not
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,
                      loss_weight=4.0),
        max_masks=12,
        plain_start=True,
        shared_tower=True,
        windows=True,
        foreground=True,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True)))

custom_hooks = [dict(type='ChannelsLastHook')]

optim_wrapper = dict(optimizer=dict(
    _delete_=True, type='MuonWithAdamW', lr=8e-3, weight_decay=0.05))
# A step costs more than SOLOv2's: fewer of them, for the same time.
train_cfg = dict(max_iters=2400, val_interval=2400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=100, end=2400, eta_min=1e-5, by_epoch=False),
]
