"""The detectors of all families as mmdet runs its own: three modes, images of several sizes."""
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.testing import demo_mm_inputs

from .deployment.models import FAMILIES, build
from .devices.samples import make_batch

#: mmdet's own tests take such a pair: neither size is a multiple of a stride, and they differ.
SIZES = ((3, 64, 96), (3, 61, 70))
PREPROCESSOR = dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3,
                    bgr_to_rgb=True, pad_mask=True, pad_size_divisor=32)


def batch(model, training, counts=(3, 2)):
    packed = demo_mm_inputs(len(SIZES), [list(size) for size in SIZES], num_items=list(counts),
                            num_classes=3, with_mask=True)
    return model.data_preprocessor(packed, training)


@pytest.fixture(scope='module', params=FAMILIES)
def model(request):
    return build(FAMILIES[request.param]() | dict(data_preprocessor=PREPROCESSOR))


def test_every_part_is_there(model):
    assert model.with_neck and (getattr(model, 'with_mask_head', False)
                                or hasattr(model, 'bbox_head') or hasattr(model, 'mask_head'))


@pytest.mark.parametrize('counts', [(3, 2), (0, 2), (0, 0)])
def test_losses_of_images_of_several_sizes(model, counts):
    data = batch(model, True, counts)
    model.zero_grad()
    losses = model(**data, mode='loss')
    total, logs = model.parse_losses(losses)
    total.backward()
    assert total > 0 and total.isfinite() and any(name.startswith('loss') for name in logs)
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())


def test_results_of_images_of_several_sizes(model):
    data = batch(model, False)
    with torch.no_grad():
        results = model(**data, mode='predict')
    assert len(results) == 2
    for result, (_, height, width) in zip(results, SIZES):
        found = result.pred_instances
        assert isinstance(result, DetDataSample)
        assert tuple(result.ori_shape[:2]) == (height, width)
        assert tuple(found.masks.shape) == (len(found), height, width)
        assert found.labels.dtype == torch.int64 and found.bboxes.shape == (len(found), 4)
        assert ((found.labels >= 0) & (found.labels < 3)).all()
    assert sum(len(result.pred_instances) for result in results)


def test_outputs_of_the_network(model):
    """``mode='tensor'``: what the head gives, with the images as the first axis."""
    data = batch(model, False)
    with torch.no_grad():
        outs = model(**data, mode='tensor')
    first = outs
    while not isinstance(first, torch.Tensor):
        first = first[0]
    assert isinstance(outs, tuple) and len(first) == 2 and first.isfinite().all()


def test_without_objects_only_background_is_learned(model):
    """By the classes, or by the map of places; with one object masks as well."""
    for counts in ((0, 0), (1, 0)):
        images, samples = make_batch(counts, device=False)
        losses = {name: sum(value).item() if isinstance(value, list) else value.item()
                  for name, value in model.loss(images, samples).items() if 'loss' in name}
        background = 'loss_place' if 'loss_place' in losses else 'loss_cls'
        assert losses[background] > 0
        masks = {name: value for name, value in losses.items() if name != background}
        assert 'loss_mask' in masks
        if any(counts):
            assert all(value > 0 for value in masks.values()), masks
        else:
            assert not any(masks.values()), masks
