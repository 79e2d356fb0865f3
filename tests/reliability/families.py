"""The embedded examples' models of every family, small enough for a step in milliseconds."""
from pathlib import Path

from mmengine.config import Config

from ..cli.tiny import ROOT
from ..on_device import DEVICE

EXAMPLES = dict(
    lordre='lordre/lordre_r18_giam_shapes.py',
    lordre_places='lordre/lordre-places_r18_shapes.py',
    solov2='solov2/solov2_r18_fpn_shapes.py',
    aggmask='aggmask/aggmask_r18_fpn_shapes.py',
    aggmask_star='aggmask/aggmask_star_r18_fpn_shapes.py',
    polarmask='polarmask/polarmask_r18_fpn_shapes.py')
FAMILIES = tuple(EXAMPLES)


def family_config(family):
    """The example's config with an eighth of the channels, for images of about 64 px."""
    cfg = Config.fromfile(ROOT / 'configs' / EXAMPLES[family])
    model = cfg.model
    model.backbone.update(base_channels=8, stem_channels=8)
    if family == 'lordre':
        model.neck.update(in_channels=(16, 32), out_channels=16)
        model.mask_head.update(in_channels=16, channels=16, depth=1, num_queries=6, kernel_dim=8,
                               groups=2)
    elif family == 'lordre_places':
        model.neck.update(in_channels=(8, 16, 32), out_channels=16)
        model.mask_head.update(in_channels=16, channels=16, depth=1, num_queries=6, kernel_dim=8)
    else:
        head = model.bbox_head if family == 'polarmask' else model.mask_head
        model.neck.update(in_channels=[8, 16, 32], out_channels=16)
        head.update(in_channels=16, feat_channels=16, stacked_convs=1)
        if 'num_grids' in head:
            head.update(num_grids=(8, 6, 4))
        if 'mask_feature_head' in head:
            head.mask_feature_head.update(feat_channels=16, out_channels=16)
    model.test_cfg.score_thr = 0.0
    cfg.custom_hooks = []
    if DEVICE == 'cuda':  # what is compared bit for bit needs it there
        cfg.randomness = dict(deterministic=True)
    return cfg


def write_family(path, family, augment=False, ema=False, epochs=None, best=False,
                 patience=None, **options):
    """Write a family's small config for training by ``tools/train.py --train-ann``.

    Args:
        path: of the file to write.
        family (str): one of ``FAMILIES``.
        augment (bool): draw many random numbers for every image.
        ema (bool): average the weights.
        epochs (int, optional): train in epochs; otherwise by iterations, eight of them.
        best (bool): validate at every checkpoint, or epoch, and keep the best of a made-up score.
        patience (int, optional): of early stopping by that score.
        options: values by dotted key, with ``__`` for each dot.

    Returns:
        str: the path.
    """
    cfg = family_config(family)
    if augment:
        pipeline = cfg.train_dataloader.dataset.pipeline
        pipeline.insert(2, dict(type='PhotoMetricDistortion'))
    cfg.train_dataloader.update(batch_size=4, num_workers=0)
    for split in ('val', 'test'):
        cfg[f'{split}_dataloader'].update(batch_size=2)
    if ema:
        cfg.custom_hooks.append(dict(type='EMAHook', momentum=0.1))
    if epochs:
        cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
        cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1)
        cfg.log_processor.by_epoch = True
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
        steps = epochs * 3
    else:
        steps = 8
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=steps)
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', interval=2, by_epoch=False, max_keep_ckpts=2)
    if best:
        cfg.train_cfg.val_interval = 1 if epochs else 2
        cfg.default_hooks.checkpoint.update(save_best='drift', rule='greater')
        cfg.custom_hooks.append(dict(type='ScoreHook'))
    if patience:
        cfg.custom_hooks.append(dict(type='EarlyStoppingHook', monitor='drift', rule='greater',
                                     patience=patience))
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=3, by_epoch=False),
        dict(type='CosineAnnealingLR', begin=3, end=steps, by_epoch=False)]
    cfg.default_hooks.logger.interval = 1
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    Path(path).write_text(cfg.pretty_text)
    return str(path)
