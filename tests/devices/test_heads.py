"""Every head on the simulated device: nothing of the CPU is mixed in, and every wait has a reason.

The figures are exact. A change that lowers one changes it here; one that raises it needs a reason
beside it.
"""
from collections import Counter

import pytest
import torch

from ..deployment.models import FAMILIES, build
from .samples import make_batch
from .simulated import recorded, to_device

#: Waits of a loss of two images (3 and 5 instances): {where: (how many, why)}.
LOSS = dict(
    lordre={'lordre/matcher.py:__call__': (1, 'the Hungarian method runs on the CPU')},
    solov2={'grid/cells.py:cell_targets': (1, 'which cells are positive')},
    aggmask={'grid/cells.py:cell_targets': (1, 'which cells are positive')},
    aggmask_star={'grid/cells.py:cell_targets': (1, 'which cells are positive')},
    polarmask={'polarmask/targets.py:positive_points': (1, 'which points are positive')})

_GRID = {'grid/detect.py:find_candidates': (2, 'how many cells pass, and which'),
         'grid/detect.py:_to_cpu': (2, 'the best candidates, and what Matrix NMS leaves of them')}
#: Waits of a prediction with detections, of one image (1) or of several.
PREDICT = dict(lordre={'lordre/head.py:predict_by_feat': (1, 'which instances are kept')},
               solov2=_GRID, aggmask=_GRID, aggmask_star=_GRID)
#: For each image: mmcv's NMS has no kernel here, and OpenCV fills contours on the CPU.
POLARMASK = {'polarmask/predict.py:predict_image': (2, 'which points pass'),
             'polarmask/predict.py:nms_of_classes': (3, 'this device has no NMS'),
             'polarmask/polygons.py:_to_numpy': (1, 'contours are filled by OpenCV')}


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


@pytest.mark.parametrize('count', [1, 2, 4])
@pytest.mark.parametrize('family', FAMILIES)
@torch.no_grad()
def test_predictions(family, count):
    """The waits of a batch do not grow with its images, but for PolarMask's."""
    instances = (1,) * count
    expected = model_of(family).predict(*make_batch(instances, device=False))
    model = to_device(model_of(family))
    images, samples = make_batch(instances)
    with recorded() as record:
        found = model.predict(images, samples)
    reasons = PREDICT.get(family, POLARMASK)
    waits = {place: n * (count if family == 'polarmask' else 1)
             for place, (n, _) in reasons.items()}
    assert places(record) == waits, record
    for ours, theirs in zip(found, expected):
        ours, theirs = ours.pred_instances, theirs.pred_instances
        assert len(ours) == len(theirs) > 0
        torch.testing.assert_close(ours.scores.raw, theirs.scores)
        assert torch.equal(ours.labels.raw, theirs.labels)
        masks = getattr(ours.masks, 'raw', ours.masks)
        assert torch.equal(masks, getattr(theirs.masks, 'raw', theirs.masks))


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
