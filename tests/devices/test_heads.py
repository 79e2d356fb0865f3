"""Every head on the simulated device: nothing of the CPU is mixed in, and every wait has a reason.

The figures are exact. A change that lowers one changes it here; one that raises it needs a reason
beside it. They are those of a second call: what is made once, such as constants, is there.
"""
from collections import Counter

import pytest
import torch

from ..deployment import models
from ..deployment.models import build
from .samples import make_batch
from .simulated import recorded, to_device


def with_test_cfg(config, **changes):
    return config | dict(test_cfg=config['test_cfg'] | changes)


#: Configs: the five heads, and forms of them that take other paths.
FORMS = dict(
    {family: make() for family, make in models.FAMILIES.items()},
    lordre_regions=models.lordre(region_classifier=dict(hidden_channels=8), loss_matched_cls=dict(
        type='CrossEntropyLoss', loss_weight=2.0)),
    lordre_points=models.lordre_places(crop_size=6),
    lordre_maps=with_test_cfg(models.lordre(), activation_maps=True, max_per_img=3),
    solov2_wide=models.solov2(dynamic_conv_size=3),
    solov2_few=with_test_cfg(models.solov2(), nms_pre=10),
    aggmask_deformable=models.aggmask(deformable=True, num_neighbors=5),
    aggmask_alone=models.aggmask(num_neighbors=0),
    polarmask_contours=with_test_cfg(models.polarmask(), nms_boxes='contour', fill='coco'),
    polarmask_holes=models.polarmask(holes=True),
    polarmask_soft=with_test_cfg(models.polarmask(), nms=dict(type='soft_nms', iou_threshold=0.5)))

#: Waits of a loss, whatever the images and their instances: {where: (how many, why)}.
_MATCHER = {'lordre/matcher.py:assign': (1, 'the Hungarian method runs on the CPU')}
_CELLS = {'grid/cells.py:cell_targets': (1, 'which cells are positive')}
_POINTS = {'polarmask/targets.py:positive_points': (1, 'which points are positive')}
LOSS = {form: dict(lordre=_MATCHER, polarmask=_POINTS).get(form.split('_')[0], _CELLS)
        for form in FORMS}
LOSS['polarmask_holes'] = _POINTS | {
    'polarmask/crossings.py:_cross_all': (1, 'how often rays cross contours')}
LOSS['lordre_places'] = LOSS['lordre_points'] = {}  # nothing is matched
LOSS['lordre_regions'] = _MATCHER | {
    'lordre/region_classifier.py:_losses': (1, 'how many pixels belong to an object')}

_GRID = {'grid/detect.py:find_candidates': (2, 'how many cells pass, and which'),
         'grid/detect.py:_to_cpu': (2, 'the best candidates, and what Matrix NMS leaves of them')}
#: Waits of a prediction with detections, whatever the images.
PREDICT = {form: dict(
    lordre={'lordre/base_head.py:predict_by_feat': (1, 'which instances are kept')},
    polarmask={'polarmask/predict.py:_candidates': (2, 'how many points pass, and of which image'),
               'polarmask/predict.py:_suppress': (1, 'the NMS of mmcv runs on the CPU'),
               'polarmask/predict.py:predict_batch': (1, 'OpenCV fills contours on the CPU')},
).get(form.split('_')[0], _GRID) for form in FORMS}


def model_of(form):
    return build(FORMS[form])


def total_of(losses):
    return sum(value if torch.is_tensor(value) else sum(value)
               for name, value in losses.items() if 'loss' in name)


def places(record):
    found = Counter()
    for (_, place), count in record.waits.items():
        found[place] += count
    return dict(found)


@pytest.mark.parametrize('form', FORMS)
def test_loss_and_gradients(form):
    on_cpu = model_of(form).train()
    reference = total_of(on_cpu.loss(*make_batch(device=False)))
    reference.backward()
    model = to_device(model_of(form)).train()
    for counts in ((2, 3, 4, 5), (3, 5)):
        total_of(model.loss(*make_batch(counts)))
        with recorded() as record:
            total = total_of(model.loss(*make_batch(counts)))
        assert places(record) == {place: n for place, (n, _) in LOSS[form].items()}, record
    assert total.device.type == 'sim'
    torch.testing.assert_close(total.raw, reference)
    with recorded() as record:
        total.backward()
    assert not record.waits and not record.uploads, record
    for (name, ours), theirs in zip(model.named_parameters(), on_cpu.named_parameters()):
        theirs = theirs[1]
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            # on a CPU the fusion of AggMask adds up in another order
            close = dict(rtol=1e-3, atol=5e-4 * theirs.grad.abs().max().item()) \
                if form.startswith('aggmask') else {}
            torch.testing.assert_close(ours.grad.raw, theirs.grad, msg=name, **close)


@pytest.mark.parametrize('form', FORMS)
def test_images_without_instances(form):
    model = to_device(model_of(form)).train()
    total = total_of(model.loss(*make_batch((0, 0))))
    total.backward()
    assert total.raw.isfinite()


@pytest.mark.parametrize('form', FORMS)
@torch.no_grad()
def test_predictions(form):
    """The waits of a batch do not grow with its images."""
    model = to_device(model_of(form))
    for count in (1, 3):
        instances = (1,) * count
        images, samples = make_batch(instances)
        model.predict(images, samples)
        with recorded() as record:
            found = model.predict(images, samples)
        assert places(record) == {place: n for place, (n, _) in PREDICT[form].items()}, record
    expected = model_of(form).predict(*make_batch(instances, device=False))
    assert_same_results(found, expected)


@pytest.mark.parametrize('family', models.FAMILIES)
@torch.no_grad()
def test_run_lengths(family):
    """They are bytes of the CPU: of each image's masks, in chunks of bounded
    size, it is asked how many runs begin, and where."""
    config = with_test_cfg(FORMS[family], mask_format='rle')
    images, samples = make_batch((1, 1))
    model = to_device(build(config))
    model.predict(images, samples)
    with recorded() as record:
        found = model.predict(images, samples)
    masks = {} if family == 'polarmask' else {'masks/rle.py:_changes': 4}
    assert places(record) == masks | {place: n for place, (n, _) in PREDICT[family].items()}
    assert_same_results(found, build(config).predict(*make_batch((1, 1), device=False)))


def assert_same_results(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = ours.pred_instances, theirs.pred_instances
        assert len(ours) == len(theirs) > 0 and set(ours.keys()) == set(theirs.keys())
        for name, value in theirs.items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(ours[name].raw, value, msg=name)
            else:
                assert ours[name] == value, name


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
    for upload in (lambda: torch.tensor([1.0, 2.0], device='sim'),
                   lambda: torch.arange(3).to('sim'), lambda: tensor[torch.tensor([0, 2])]):
        with recorded() as record:
            upload()
        assert sum(record.waits.values()) == sum(record.uploads.values()) == 1
    with recorded() as record:
        torch.arange(3).to('sim', non_blocking=True)
    assert not record.waits and sum(record.uploads.values()) == 1
