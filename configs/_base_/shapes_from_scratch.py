# What the examples on the embedded data set share: half a ResNet-18, and how it is trained.
_base_ = ['./default_runtime.py', './input.py', './shapes.py']

model = dict(
    # Half the usual width, no stage of stride 32 (the pictures have 128 px), and batch norm that is
    # trained: from scratch.
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        base_channels=32,
        stem_channels=32,
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch'))

# Small batches: the number of steps counts.
train_dataloader = dict(batch_size=8)
train_cfg = dict(type='IterBasedTrainLoop')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))

log_processor = dict(by_epoch=False)
default_hooks = dict(
    checkpoint=dict(interval=1000, by_epoch=False),
    logger=dict(interval=100))
