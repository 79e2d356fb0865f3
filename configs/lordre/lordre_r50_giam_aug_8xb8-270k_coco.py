_base_ = './lordre_r50_giam_8xb8-270k_coco.py'

# Half of the images are cropped at another size first.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True, transform_polygons=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        prob=[0.5, 0.5],
        transforms=[
            [],
            [
                dict(
                    type='RandomChoiceResize',
                    # The short side; the long one has no limit.
                    scales=[(100000, side) for side in (400, 500, 600)],
                    keep_ratio=True,
                    backend='pillow'),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(384, 600),
                    recompute_bbox=True,
                    allow_negative_crop=True),
            ],
        ]),
    dict(
        type='RandomChoiceResize',
        scales=[(853, side) for side in range(416, 641, 32)],
        keep_ratio=True,
        backend='pillow'),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-5, 1e-5), by_box=True, by_mask=True,
         keep_empty=False),
    dict(type='ShrinkMasks', factor=4),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
