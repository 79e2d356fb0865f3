"""Inputs and instruments of the grid benchmark."""
import ctypes
import gc
import time
from collections.abc import Callable

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

HEAD = ConfigDict(
    num_classes=80, in_channels=256, feat_channels=512, stacked_convs=4,
    strides=[8, 8, 16, 32, 32], pos_scale=0.2, num_grids=[40, 36, 24, 16, 12], cls_down_index=0,
    scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
    mask_feature_head=dict(feat_channels=128, start_level=0, end_level=3, out_channels=256,
                           mask_stride=4,
                           norm_cfg=dict(type='GN', num_groups=32, requires_grad=True)),
    loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),
    loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    test_cfg=dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                  sigma=2.0, max_per_img=100))


def build_heads(device, narrow=False):
    """Our head and mmdet's with the same weights; ours with mmdet's normalizer."""
    torch.manual_seed(0)
    config = HEAD | ConfigDict(feat_channels=32, stacked_convs=1) if narrow else HEAD
    theirs = MODELS.build(config | ConfigDict(type='SOLOV2Head'))
    torch.nn.init.normal_(theirs.conv_kernel.weight, std=0.05)
    torch.nn.init.constant_(theirs.conv_cls.bias, -4.6)
    ours = MODELS.build(config | ConfigDict(type='SOLOv2KernelHead', mask_normalizer='cells'))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours.to(device), theirs.to(device)


def build_model(head, device):
    """SOLOv2 R-50 with a head of this type."""
    torch.manual_seed(0)
    test_cfg = HEAD.test_cfg
    return MODELS.build(ConfigDict(
        type='mmdet.SOLOv2',
        backbone=dict(type='mmdet.ResNet', depth=50, num_stages=4, out_indices=(0, 1, 2, 3),
                      frozen_stages=1, style='pytorch'),
        neck=dict(type='mmdet.FPN', in_channels=[256, 512, 1024, 2048], out_channels=256,
                  start_level=0, num_outs=5),
        mask_head=ConfigDict({k: v for k, v in HEAD.items() if k != 'test_cfg'}, type=head),
        test_cfg=test_cfg)).to(device).train()


def random_instances(count, height, width, seed=0):
    """Filled ellipses and rectangles, sides log-uniform from 16 px to 0.6 of the image's."""
    rng = np.random.default_rng(seed)
    boxes = np.zeros((count, 4), np.float32)
    masks = np.zeros((count, height, width), np.uint8)
    for box, mask in zip(boxes, masks, strict=True):
        w, h = (int(np.exp(rng.uniform(np.log(16), np.log(0.6 * side))))
                for side in (width, height))
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        ys, xs = np.mgrid[-1:1:h * 1j, -1:1:w * 1j]
        mask[y:y + h, x:x + w] = (xs**2 + ys**2 <= 1) if rng.random() < 0.7 else 1
        box[:] = x, y, x + w, y + h
    return InstanceData(bboxes=torch.from_numpy(boxes),
                        labels=torch.from_numpy(rng.integers(0, 80, count)),
                        masks=BitmapMasks(masks, height, width))


def sample_of(instances, height, width, device):
    """A data sample of one image with these instances."""
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width),
                                         pad_shape=(height, width),
                                         batch_input_shape=(height, width)))
    sample.gt_instances = InstanceData(
        bboxes=instances.bboxes.to(device), labels=instances.labels.to(device),
        masks=instances.masks)
    return sample


def pyramid(height, width, device, channels=256):
    """A pyramid of one image that wants gradients, as a neck's output does."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, channels, -(-height // s), -(-width // s), generator=generator)
            .to(device).requires_grad_() for s in (4, 8, 16, 32, 64)]


def _wait(device):
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize()


def seconds(run: Callable, device, repeat: int = 5) -> float:
    """Least time of a few runs after one to warm up."""
    run()
    best = float('inf')
    for _ in range(repeat):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return best


def peak_bytes(run: Callable, device) -> tuple[int, float]:
    """Peak memory of a run above what was held before it, and its seconds.

    The memory is the device's; on a CPU the resident memory of the process, which needs Linux
    (/proc, glibc).
    """
    gc.collect()
    cuda = torch.device(device).type == 'cuda'
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
    else:
        libc = ctypes.CDLL('libc.so.6')
        # what is freed goes back at once (M_MMAP_THRESHOLD): else blocks of up to 32 MB stay in
        # the heap and the peak tells of its fragments
        libc.mallopt(-3, 2**20)
        libc.malloc_trim(0)
        held = _status('VmRSS')
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')     # VmHWM starts anew
    start = time.perf_counter()
    run()
    _wait(device)
    took = time.perf_counter() - start
    return (torch.cuda.max_memory_allocated() if cuda else _status('VmHWM')) - held, took


def share_of(module, method: str, run: Callable, device, repeat: int = 3) -> tuple[float, float]:
    """Seconds of the fastest of a few runs, and of those the seconds in a method of a module."""
    original, spent = getattr(module, method), []

    def timed(*args, **kwargs):
        _wait(device)
        start = time.perf_counter()
        result = original(*args, **kwargs)
        _wait(device)
        spent[-1] += time.perf_counter() - start
        return result

    setattr(module, method, timed)
    totals = []
    for _ in range(repeat + 1):
        spent.append(0.)
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        totals.append(time.perf_counter() - start)
    setattr(module, method, original)
    # the first run warms up
    best = min(range(1, len(totals)), key=totals.__getitem__)
    return totals[best], spent[best]


def _status(key):
    with open('/proc/self/status') as file:
        line = next(line for line in file if line.startswith(key))
    return int(line.split()[1]) * 1024
