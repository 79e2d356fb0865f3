"""Half precision: training stays finite, and predictions are those of float32."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS, OPTIM_WRAPPERS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdet_lordre.deployment.onnx.check import compare
from mmdet_lordre.models import head_of

from ..on_device import needs_gpu
from .models import FAMILIES

SIDE, IMAGES = 64, 2
#: Lowest score of what was learned; below it lie neighbors with masks of a few pixels.
FLOOR = 0.5
SETTINGS = dict(lordre=dict(norm_cfg=dict(type='GN', num_groups=4), normalization='softmax'),
                # as published it takes long to learn masks
                aggmask=dict(plain_start=True))
#: Steps until the masks of the two images are clear, learning rate, seed.
TRAINING = dict(lordre=(180, 4e-3, 0), lordre_places=(60, 4e-3, 0), solov2=(60, 4e-3, 0),
                solov2_windows=(60, 4e-3, 0), aggmask=(120, 4e-3, 0),
                aggmask_star=(180, 2e-3, 2), aggmask_star_windows=(100, 4e-3, 0),
                polarmask=(120, 4e-3, 0))


def batch(device='cpu'):
    """Two images of a square and a disc."""
    ys, xs = np.mgrid[:SIDE, :SIDE]
    inputs, samples = [], []
    for k in range(IMAGES):
        masks = np.zeros((2, SIDE, SIDE), np.uint8)
        masks[0, 6:32, 6 + 8 * k:34 + 8 * k] = 1
        masks[1] = (ys - 46)**2 + (xs - 42 + 16 * k)**2 < 14**2
        picture = np.random.default_rng(k).normal(0, 0.2, (3, SIDE, SIDE))
        picture[0] += masks[0] * 2
        picture[1] += masks[1] * 2
        inputs.append(torch.from_numpy(picture).float())
        size = (SIDE, SIDE)
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size,
                                             batch_input_shape=size, scale_factor=(1., 1.)))
        masks = BitmapMasks(masks, *size)
        sample.gt_instances = InstanceData(labels=torch.tensor([0, 1]), masks=masks,
                                           bboxes=masks.get_bboxes('hbox').tensor)
        samples.append(sample.to(device))
    return dict(inputs=torch.stack(inputs).to(device), data_samples=samples)


@pytest.mark.parametrize('family', FAMILIES)
def test_half_outputs_are_decoded_without_autocast(family):
    """As of a network that runs in half precision as a whole, elsewhere."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(FAMILIES[family]())).eval()
    head = head_of(model)
    meta = dict(img_shape=(64, 96), ori_shape=(64, 96), batch_input_shape=(64, 96),
                pad_shape=(64, 96), scale_factor=(1., 1.))

    def halved(part):
        if isinstance(part, (list, tuple)):
            return type(part)(halved(one) for one in part)
        return part.bfloat16() if torch.is_tensor(part) and part.is_floating_point() else part
    with torch.no_grad():
        outputs = head(model.extract_feat(torch.randn(1, 3, 64, 96)))
        whole, = head.predict_by_feat(*outputs, batch_img_metas=[meta], rescale=False)
        half, = head.predict_by_feat(*halved(outputs), batch_img_metas=[meta], rescale=False)
    assert len(half) == len(whole) > 0
    assert (half.scores.float() - whole.scores).abs().max() < 0.05


def half_precision_wrapper(optimizer, device, dtype):
    """mmengine's, which scales the losses of float16 on a GPU, or the CPU's."""
    options = dict(optimizer=optimizer, clip_grad=dict(max_norm=10.0))
    if device == 'cpu':
        return OPTIM_WRAPPERS.build(dict(type='BFloat16OptimWrapper', **options))
    return OPTIM_WRAPPERS.build(dict(type='AmpOptimWrapper', dtype=dtype, **options))


def train(family, device, steps=None, dtype='float16'):
    """Train a small model on two images in half precision; every loss is finite."""
    init_default_scope('mmdet')
    default, lr, seed = TRAINING[family]
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(FAMILIES[family](**SETTINGS.get(family, {}))))
    model.init_weights()
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    wrapper = half_precision_wrapper(optimizer, device, dtype)
    data = batch(device)
    for step in range(steps or default):
        logs = model.train_step(data, wrapper)
        assert all(value.isfinite().all() for value in logs.values()), (step, logs)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    return model.eval(), logs


@torch.no_grad()
def predictions(model, device, dtype=None):
    data = batch(device)
    with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
        found = model.predict(data['inputs'], data['data_samples'], rescale=True)
    found = [one.pred_instances.to('cpu') for one in found]
    return [dict(scores=one.scores.float().numpy(), labels=one.labels.numpy(),
                 masks=one.masks.numpy()) for one in found]


@pytest.mark.parametrize('family', FAMILIES)
def test_trains_and_agrees_with_float32(family, device):
    model, _ = train(family, device)
    exact = predictions(model, device)
    assert sum(int((one['scores'] > FLOOR).sum()) for one in exact) >= 2 * IMAGES
    for dtype in (torch.bfloat16, torch.float16):
        found = predictions(model, device, dtype)
        # it does run in another precision
        assert any(len(a['scores']) != len(b['scores']) or (a['scores'] != b['scores']).any()
                   for a, b in zip(exact, found))
        agreement = compare(exact, found, floor=FLOOR, margin=0.05)
        assert agreement.matched >= 2 * IMAGES and not agreement.missing, str(agreement)
        # a pixel or two at the border of a small object; which, depends on the version's kernels
        assert agreement.worst_iou > 0.95 and agreement.score_difference < 0.05, str(agreement)


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
def test_two_hundred_steps(family, device):
    train(family, device, 200)


@needs_gpu
@pytest.mark.parametrize('family', FAMILIES)
def test_bfloat16_trains(family, device):
    train(family, device, 20, 'bfloat16')
