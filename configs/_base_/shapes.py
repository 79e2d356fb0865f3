# The embedded data set. Make it once: python tools/make_shapes.py data/shapes --size 128
# The pictures are used at the size they were made at: for another one, make the set again with
# another --size and --overwrite; nothing here changes.
data_root = 'data/shapes/'
metainfo = dict(
    classes=('disc', 'ring', 'triangle', 'square', 'star', 'crescent', 'bar', 'cross'),
    palette=[(230, 57, 70), (255, 159, 28), (255, 214, 10), (46, 196, 110), (46, 196, 230),
             (67, 97, 238), (181, 23, 158), (247, 130, 190)])

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
         direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # No change of size, but the scale factor that heads undo.
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=16,
    # Such small pictures take longer to send between processes than to read.
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        # Pictures without an instance stay: they teach what is background.
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMaskMetric',
    ann_file=data_root + 'annotations/val.json',
    metric='segm',
    format_only=False)
test_evaluator = val_evaluator
