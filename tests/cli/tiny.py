"""A tiny COCO data set and a tiny model, for tests of the tools."""
import json
import socket
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_api

from ..on_device import SAME_BITS

ROOT = Path(__file__).resolve().parents[2]
NAMES = ('dot', 'box', 'bar')
IDS = (3, 7, 20)  # with gaps, as anyone's file may have
HEIGHT, WIDTH = 48, 64

MODEL = f'''
_base_ = ['{ROOT}/configs/_base_/default_runtime.py']
model = dict(
    type='Lordre',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3,
                           bgr_to_rgb=True, pad_mask=False, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, num_stages=3, strides=(1, 2, 2),
                  dilations=(1, 1, 1), base_channels=8, stem_channels=8, out_indices=(0, 1, 2),
                  norm_eval=False, style='pytorch'),
    neck=dict(type='LordreEncoder', in_channels=(8, 16, 32), out_channels=16),
    mask_head=dict(type='LordreHead', num_classes=80, in_channels=16, channels=16, depth=1,
                   num_queries=6, kernel_dim=8, groups=2, normalization='softmax'),
    test_cfg=dict(score_thr=0.0, mask_thr=0.45))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='RepeatDataset', times=1, dataset=dict(
        type='CocoDataset', data_root='nowhere/', ann_file='train.json',
        data_prefix=dict(img='train/'), filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CocoDataset', data_root='nowhere/', ann_file='val.json',
                 data_prefix=dict(img='val/'), test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMaskMetric', ann_file='nowhere/val.json', metric='segm')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)]
default_hooks = dict(logger=dict(interval=1))
'''


def write_config(path, extra=''):
    """Write the config of the tiny model, followed by more lines."""
    Path(path).write_text(MODEL + SAME_BITS + extra)
    return str(path)


def make_coco(folder, images='images', ann='annotations.json', count=12, seed=0, names=NAMES,
              ids=IDS):
    """Write ``count`` small images and their annotations; returns the annotation file.

    Polygons and run lengths, a crowd region, and one image without any instance.
    """
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    (folder / images).mkdir(parents=True, exist_ok=True)
    entries, annotations = [], []
    for i in range(count):
        picture = rng.integers(0, 80, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for k in range(0 if i == 1 else int(rng.integers(1, 4))):
            label = int(rng.integers(len(names)))
            h, w = ((16, 16), (14, 24), (8, 36))[label % 3]
            y, x = int(rng.integers(HEIGHT - h)), int(rng.integers(WIDTH - w))
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[y:y + h, x:x + w] = 1
            picture[mask > 0] = np.eye(3, dtype=np.uint8)[label % 3] * 200
            crowd = int(i == 2 and k == 0)
            segmentation = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            if k % 2 or crowd:
                segmentation = mask_api.encode(np.asfortranarray(mask))
                segmentation['counts'] = segmentation['counts'].decode()
            annotations.append(dict(
                id=len(annotations) + 1, image_id=100 + i, category_id=ids[label],
                bbox=[x, y, w, h], area=float(w * h), iscrowd=crowd, segmentation=segmentation))
        name = f'{i:02d}.png'
        cv2.imwrite(str(folder / images / name), picture)
        entries.append(dict(id=100 + i, file_name=name, width=WIDTH, height=HEIGHT))
    data = dict(images=entries, annotations=annotations,
                categories=[dict(id=i, name=n) for i, n in zip(ids, names, strict=True)])
    return write_json(folder / ann, data)


def read_json(path):
    return json.loads(Path(path).read_text())


def write_json(path, data):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(data))
    return str(path)


def free_port():
    """A port of this machine that nothing listens at."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])
