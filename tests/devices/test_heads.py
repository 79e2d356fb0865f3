"""Every head on the simulated device: nothing of the CPU is mixed in, and every wait has a reason.

The figures are exact. A change that lowers one changes it here; one that raises it needs a reason
beside it.
"""
from collections import Counter

import pytest
import torch

from ..deployment.models import FAMILIES, build
from .samples import make_batch
from .simulated import recorded, set_up, to_device

#: Waits of a loss of two images (3 and 5 instances): {where: (how many, why)}.
LOSS = dict(
    lordre={'lordre/matcher.py:__call__': (1, 'the Hungarian method runs on the CPU')},
    solov2={'grid/cells.py:cell_targets': (1, 'how many cells are positive'),
            'solov2/head.py:loss_by_feat': (2, 'how many of each image')},
    aggmask={'grid/cells.py:cell_targets': (2, 'how many cells are positive'),
             'aggmask/targets.py:head_targets': (2, 'how many of each level and image'),
             'aggmask/selected.py:neighbour_maps': (4, 'which maps a level and image need')},
    aggmask_star={'grid/cells.py:cell_targets': (2, 'how many cells are positive'),
                  'aggmask/targets.py:head_targets': (2, 'how many of each level and image'),
                  'aggmask/selected.py:neighbour_maps': (2, 'which maps an image needs')},
    polarmask={'polarmask/targets.py:positive_points': (2, 'how many points are positive'),
               'polarmask/rays.py:_farthest': (1, 'contour pixels of each point'),
               'polarmask/head.py:loss_by_feat': (1, 'whether any point is positive')})

#: Waits of a prediction of two images with detections.
PREDICT = dict(
    lordre={'lordre/head.py:_predict_single': (2, 'how many instances are kept, an image')},
    solov2={'solov2/predict.py:predict_image': (2, 'how many cells pass, an image'),
            'solov2/predict.py:_read_chunk': (2, 'how many masks are large enough'),
            'solov2/predict.py:best': (4, 'classes among the candidates'),
            'grid/nms.py:matrix_nms': (6, 'masks of a class')},
    aggmask={'aggmask/prediction.py:predict_image': (2, 'how many are kept'),
             'aggmask/prediction.py:select': (2, 'classes among the candidates'),
             'aggmask/prediction.py:__init__': (4, 'how many cells pass, an image'),
             'aggmask/base_head.py:_by_group': (4, 'how many of each level'),
             'aggmask/selected.py:neighbour_maps': (12, 'which maps a level needs'),
             'grid/nms.py:matrix_nms': (6, 'masks of a class')},
    aggmask_star={'aggmask/prediction.py:predict_image': (2, 'how many are kept'),
                  'aggmask/prediction.py:select': (2, 'classes among the candidates'),
                  'aggmask/prediction.py:__init__': (4, 'how many cells pass, an image'),
                  'aggmask/base_head.py:_by_group': (4, 'how many of each level'),
                  'aggmask/selected.py:neighbour_maps': (4, 'which maps an image needs'),
                  'grid/nms.py:matrix_nms': (6, 'masks of a class')},
    polarmask={'polarmask/predict.py:predict_image': (4, 'which points pass, an image'),
               'polarmask/predict.py:nms_of_classes': (6, 'this device has no NMS'),
               'polarmask/polygons.py:_to_numpy': (2, 'OpenCV fills on the CPU')})


@pytest.fixture(scope='module', autouse=True)
def device():
    set_up()


def model_of(family):
    return build(FAMILIES[family]())


def total_of(losses):
    return sum(value if torch.is_tensor(value) else sum(value)
               for name, value in losses.items() if 'loss' in name)


def places(record):
    found = Counter()
    for (_, place), count in record.waits.items():
        found[place] += count
    return dict(found)


@pytest.mark.parametrize('family', FAMILIES)
def test_loss_and_gradients(family):
    on_cpu = model_of(family).train()
    reference = total_of(on_cpu.loss(*make_batch(device=False)))
    reference.backward()
    model = to_device(model_of(family)).train()
    with recorded() as record:
        total = total_of(model.loss(*make_batch()))
    assert total.device.type == 'sim'
    torch.testing.assert_close(total.raw, reference)
    assert places(record) == {place: count for place, (count, _) in LOSS[family].items()}, record
    with recorded() as record:
        total.backward()
    assert not record.waits and not record.uploads, record
    for (name, ours), theirs in zip(model.named_parameters(), on_cpu.parameters()):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad.raw, theirs.grad, msg=name)


@pytest.mark.parametrize('family', FAMILIES)
def test_images_without_instances(family):
    model = to_device(model_of(family)).train()
    total = total_of(model.loss(*make_batch((0, 0))))
    total.backward()
    assert total.raw.isfinite()


@pytest.mark.parametrize('family', FAMILIES)
def test_the_constants_of_a_loss_do_not_grow_with_the_batch(family):
    """Copies from the CPU: masks and contours an image, and constants of the head."""
    model = to_device(model_of(family)).train()
    constants = []
    for counts in ((3, 5), (2, 3, 4, 5)):
        with recorded() as record:
            model.loss(*make_batch(counts))
        constants.append(sum(n for (what, _), n in record.uploads.items()
                             if what.startswith('constant')))
    assert constants[0] == constants[1]


@pytest.mark.parametrize('family', PREDICT)
@torch.no_grad()
def test_predictions(family):
    expected = model_of(family).predict(*make_batch((1, 1), device=False))
    model = to_device(model_of(family))
    images, samples = make_batch((1, 1))
    with recorded() as record:
        found = model.predict(images, samples)
    assert places(record) == {place: count for place, (count, _) in PREDICT[family].items()}, record
    for ours, theirs in zip(found, expected):
        ours, theirs = ours.pred_instances, theirs.pred_instances
        assert len(ours) == len(theirs) > 0
        torch.testing.assert_close(ours.scores.raw, theirs.scores)
        assert torch.equal(ours.labels.raw, theirs.labels)
        assert torch.equal(ours.masks.raw, theirs.masks)


def test_mixing_devices_fails():
    tensor = to_device(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match='on the same device'):
        tensor + torch.ones(2, 3)
    # a number is no tensor, whatever holds it
    assert (tensor + torch.tensor(1.0)).raw.sum() == 12


def test_what_counts_as_waiting():
    tensor = to_device(torch.arange(6.0))
    with recorded() as record:
        tensor * 2 + tensor.sum()
    assert not record.waits
    for wait in (lambda: tensor.sum().item(), lambda: bool((tensor > 9).any()), tensor.tolist,
                 lambda: tensor[tensor > 2], tensor.nonzero, tensor.cpu):
        with recorded() as record:
            wait()
        assert sum(record.waits.values()) == 1
    with recorded() as record:
        torch.tensor([1.0, 2.0], device='sim')
        torch.arange(3).to('sim')
    assert not record.waits and sum(record.uploads.values()) == 2
