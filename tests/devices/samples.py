"""Batches with ground truths for the small models, on the simulated device."""
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from .simulated import to_device

SIZE = (64, 96)


def make_sample(count, seed=0, device=True):
    """A data sample with ``count`` rectangles; labels and boxes are on the device."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *SIZE), np.uint8)
    boxes = np.zeros((count, 4), np.float32)
    for mask, box in zip(masks, boxes):
        h, w = rng.integers(12, 40, 2)
        y, x = rng.integers(0, SIZE[0] - h), rng.integers(0, SIZE[1] - w)
        mask[y:y + h, x:x + w] = 1
        box[:] = x, y, x + w, y + h
    sample = DetDataSample(metainfo=dict(
        img_path=f'{seed}.png', img_id=seed, img_shape=SIZE, ori_shape=SIZE,
        batch_input_shape=SIZE, pad_shape=SIZE, scale_factor=(1.0, 1.0)))
    labels, boxes = torch.from_numpy(rng.integers(0, 3, count)), torch.from_numpy(boxes)
    if device:
        labels, boxes = to_device(labels), to_device(boxes)
    sample.gt_instances = InstanceData(labels=labels, bboxes=boxes,
                                       masks=BitmapMasks(masks, *SIZE))
    return sample


def make_batch(counts=(3, 5), device=True):
    """Images (B, 3, H, W) and data samples."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(len(counts), 3, *SIZE, generator=generator)
    return (to_device(images) if device else images,
            [make_sample(count, seed, device) for seed, count in enumerate(counts)])
