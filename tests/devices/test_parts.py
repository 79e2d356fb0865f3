"""What the heads are made of, and what surrounds them in training, on the simulated device."""
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from mmdet_lordre.backbones.deformable import check_deformable_ops
from mmdet_lordre.grid import (
    collect_ground_truths,
    matrix_nms,
    moment_sums,
    points_nms,
    shrink_masks,
)
from mmdet_lordre.masks import (
    constant,
    encode_masks,
    mask_boxes,
    maskness,
    to_original_size,
    upload,
)
from mmdet_lordre.polarmask import PolarRayCoder
from mmdet_lordre.training.channels_last import ChannelsLastHook
from mmdet_lordre.training.nonfinite import NonFiniteHook

from .samples import SIZE, make_batch, make_sample
from .simulated import recorded, to_device
from .test_heads import model_of, places, total_of


def random_masks(count, size=(40, 56), seed=0):
    """Overlapping rectangles (count, *size), bool."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator).sort(dim=1).values
    ys, xs = (torch.linspace(0, 1, side) for side in size)
    low, high = corners[:, 0, :, None], corners[:, 1, :, None]
    inside = [(line > low[:, axis]) & (line < high[:, axis]) for axis, line in enumerate((ys, xs))]
    return inside[0][:, :, None] & inside[1][:, None]


def same_without_waiting(function, *arguments, waits=0):
    """A function gives on the device what it gives on the CPU, with so many waits."""
    expected = function(*arguments)
    function(*to_device(arguments))
    with recorded() as record:
        found = function(*to_device(arguments))
    assert sum(record.waits.values()) == waits, record
    for ours, theirs in zip(*((each if isinstance(each, tuple) else (each,))
                              for each in (found, expected)), strict=True):
        if isinstance(theirs, torch.Tensor):
            assert ours.device.type == 'sim'
            torch.testing.assert_close(ours.raw, theirs)
        else:
            assert ours == theirs


@pytest.mark.parametrize('classes', [1, 7])
@pytest.mark.parametrize('kernel', ['gaussian', 'linear'])
def test_matrix_nms(kernel, classes):
    generator = torch.Generator().manual_seed(1)
    masks = random_masks(60)
    labels = torch.randint(classes, (60,), generator=generator)
    scores = torch.rand(60, generator=generator)

    def nms(masks, labels, scores, filter_thr=-1):
        return matrix_nms(masks, labels, scores, kernel=kernel, nms_pre=50, max_num=20,
                          filter_thr=filter_thr)

    same_without_waiting(nms, masks, labels, scores)
    # how many are above a threshold decides how many there are
    same_without_waiting(lambda *given: nms(*given, filter_thr=0.2), masks, labels, scores,
                         waits=1)
    same_without_waiting(points_nms, torch.rand(2, classes, 6, 6, generator=generator))


def test_masks():
    probs = torch.rand(7, 20, 28, generator=torch.Generator().manual_seed(2))

    def resized(probs, mask_format='bitmap'):
        return to_original_size(probs, (80, 112), (75, 110), (97, 151), 0.5, mask_format)

    same_without_waiting(resized, probs)
    # run lengths are bytes of the CPU: how many begin, and where
    same_without_waiting(lambda probs: resized(probs, 'rle'), probs, waits=2)
    masks = random_masks(9)
    same_without_waiting(encode_masks, masks, waits=2)
    for function in (mask_boxes, moment_sums, shrink_masks):
        same_without_waiting(function, masks)
    same_without_waiting(lambda probs: maskness(probs, 0.5), probs)


def test_rays():
    """Encoding knows from the CPU how much there is to do; decoding has nothing to ask."""
    coder = PolarRayCoder(36)
    angles = torch.linspace(0, 6.2, 200)
    contours = torch.stack((30 + 20 * angles.sin(), 40 + 12 * angles.cos()), dim=1).round().int()
    sizes, owners = torch.tensor([120, 80]), torch.tensor([0, 1, 1])
    points = torch.tensor([[30, 40], [28, 41], [31, 39]])
    same_without_waiting(lambda points, contours: coder.encode(points, owners, contours, sizes, 64),
                         points, contours)
    same_without_waiting(lambda points, rays: coder.decode(points, rays, (70, 60)),
                         points.float(), torch.rand(3, 36) * 50)


@pytest.mark.parametrize('form', ['solov2', 'aggmask', 'aggmask_star'])
def test_ground_truths_of_a_batch_travel_together(form):
    """Masks and their sums in one copy each, none of which is waited for."""
    samples = [make_sample(count, seed) for seed, count in enumerate((3, 5, 0, 2))]
    instances = [sample.gt_instances for sample in samples]
    on_cpu = [make_sample(count, seed, device=False).gt_instances
              for seed, count in enumerate((3, 5, 0, 2))]
    sizes = {4: (16, 24)} if form != 'aggmask' else {4: (16, 24), 8: (8, 12)}
    with recorded() as record:
        found = collect_ground_truths(instances, sizes, 'sim')
    expected = collect_ground_truths(on_cpu, sizes, 'cpu')
    assert not record.waits and sum(record.uploads.values()) == 1 + len(sizes), record
    for name in ('boxes', 'labels', 'images', 'sums'):
        assert torch.equal(getattr(found, name).raw, getattr(expected, name))
    for factor in sizes:
        assert torch.equal(found.masks[factor].raw, expected.masks[factor])


def test_targets():
    """Every head's targets are those of the CPU, with the one wait of its loss."""
    for form in ('solov2', 'solov2_wide'):
        heads = [model.mask_head for model in (to_device(model_of(form)), model_of(form))]
        batches = [[sample.gt_instances for sample in make_batch(device=device)[1]]
                   for device in (True, False)]
        heads[0].targets(batches[0], (16, 24), 'sim')
        with recorded() as record:
            _, found = heads[0].targets(batches[0], (16, 24), 'sim')
        _, expected = heads[1].targets(batches[1], (16, 24), 'cpu')
        assert sum(record.waits.values()) == 1, record
        for name in ('labels', 'cells', 'gts', 'levels', 'images', 'positions'):
            assert torch.equal(getattr(found, name).raw, getattr(expected, name)), name
        assert torch.equal(found.on_cpu, expected.on_cpu)


def test_data_preprocessing():
    """The pictures and ground truths of a batch go to the device without being waited for.

    But mmengine turns the channels of each picture by a list of indices, which goes there too.
    """
    preprocessor = MODELS.build(dict(
        type='DetDataPreprocessor', non_blocking=True, mean=[120.0] * 3, std=[60.0] * 3,
        bgr_to_rgb=True, pad_mask=True, pad_size_divisor=32))
    on_device = MODELS.build(dict(
        type='DetDataPreprocessor', non_blocking=True, mean=[120.0] * 3, std=[60.0] * 3,
        bgr_to_rgb=True, pad_mask=True, pad_size_divisor=32))
    to_device(on_device)._device = torch.device('sim')

    def batch():
        rng = np.random.default_rng(0)
        pictures = [torch.from_numpy(rng.integers(0, 255, (3, *SIZE), np.uint8)) for _ in range(2)]
        samples = []
        for seed, picture in enumerate(pictures):
            sample = DetDataSample(metainfo=dict(img_shape=picture.shape[1:]))
            sample.gt_instances = make_sample(3, seed, device=False).gt_instances
            samples.append(sample)
        return dict(inputs=pictures, data_samples=samples)

    expected = preprocessor(batch(), training=True)
    with recorded() as record:
        found = on_device(batch(), training=True)
    assert record.waits == {('upload, copy of (3,)', 'elsewhere'): 2}, record
    # each picture, its order of channels, boxes and classes; the masks stay where they are
    assert sum(record.uploads.values()) == 2 * 4
    torch.testing.assert_close(found['inputs'].raw, expected['inputs'])
    for ours, theirs in zip(found['data_samples'], expected['data_samples'], strict=True):
        assert torch.equal(ours.gt_instances.bboxes.raw, theirs.gt_instances.bboxes)


@pytest.mark.parametrize('form', ['lordre', 'solov2', 'polarmask'])
def test_a_training_step_with_its_hooks(form):
    """One wait more than the loss has: whether everything is finite."""
    model = to_device(model_of(form)).train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-6))
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper, iter=0,
                             message_hub=MessageHub.get_instance(f'sim {form}'))
    watch = NonFiniteHook()
    watch.before_train(runner)
    before = [p.raw.clone() for p in model.parameters()]
    check_deformable_ops(model, 'sim')
    images, samples = make_batch()

    def step():
        watch.before_train_iter(runner, 0)
        with wrapper.optim_context(model):
            losses = model(images, samples, mode='loss')
        total, _ = model.parse_losses(losses)
        wrapper.update_params(total)

    step()
    with recorded() as record:
        step()
    watch.after_train(runner)
    found = Counter(places(record))
    assert found.pop('training/nonfinite.py:_is_finite') == 1, record
    assert sum(found.values()) == 1, record
    assert any((p.raw != old).any() for p, old in zip(model.parameters(), before))


def test_channels_last():
    model = to_device(model_of('solov2')).train()
    with torch.no_grad():
        expected = total_of(model.loss(*make_batch()))
    # a tensor that wraps another takes no other one's data: parameters are exchanged
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with recorded() as record:
            ChannelsLastHook().before_train(SimpleNamespace(model=model))
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert not record.waits
    weight = model.backbone.conv1.weight
    assert weight.device.type == 'sim' and weight.raw.is_contiguous(
        memory_format=torch.channels_last)
    torch.testing.assert_close(total_of(model.loss(*make_batch())).raw, expected.raw)


def test_constants_are_made_once():
    with recorded() as record:
        first = constant((1, 2, 3), torch.float32, 'sim')
    assert sum(record.uploads.values()) == 1
    with recorded() as record:
        assert constant((1, 2, 3), torch.float32, 'sim') is first
        other = constant((1, 2, 3), torch.long, 'sim')
    assert sum(record.uploads.values()) == 1 and other.dtype == torch.long
    with torch.inference_mode():
        made_while_predicting = constant((5, 6), torch.float32, 'cpu')
    weight = torch.ones(2, requires_grad=True)
    (weight * made_while_predicting).sum().backward()
    assert weight.grad.tolist() == [5, 6]


def test_uploads_are_not_waited_for():
    with recorded() as record:
        there = upload(torch.arange(4), 'sim')
    assert there.device.type == 'sim' and not record.waits and sum(record.uploads.values()) == 1
    with recorded() as record:
        assert upload(there, 'sim') is there
        upload(torch.arange(4), 'cpu')
    assert not record.waits and not record.uploads
    with recorded() as record:
        torch.arange(4).to('sim')
    assert sum(record.waits.values()) == 1
