# What the configs that `lordre plan` writes have in common; what was fitted stands in them.
_base_ = ['./default_runtime.py', './input.py']

model = dict(
    backbone=dict(
        type='ResNet',
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        style='pytorch'))

train_dataloader = dict(
    # the number of steps counts, not that of passes over the data
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='CocoDataset', filter_cfg=dict(filter_empty_gt=False)))
val_dataloader = dict(
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CocoDataset', test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMaskMetric', metric='segm')
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
log_processor = dict(by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, max_keep_ckpts=1))
