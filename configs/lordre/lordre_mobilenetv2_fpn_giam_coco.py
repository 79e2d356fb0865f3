# LordreHead on parts of mmdet's own: a MobileNetV2 and an FPN of which it reads the finest map.
# An example of the head in somebody's own config; no weights are published for it.
_base_ = ['./lordre_r50_giam_8xb8-270k_coco.py']

model = dict(
    type='SingleStageInstanceSegmentor',
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(2, 4, 6),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')),
    neck=dict(_delete_=True, type='FPN', in_channels=[32, 96, 320], out_channels=256,
              num_outs=3),
    mask_head=dict(in_index=0))
