"""The network apart from its post-processing: it compiles whole, and its fast forms are equal."""
import copy

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from mmdet_lordre.deployment import winograd
from mmdet_lordre.deployment.deformable_ops import use_known_operators
from mmdet_lordre.deployment.network import Network, optimized_copy
from mmdet_lordre.deployment.winograd import WinogradConv2d

from ..on_device import needs_gpu
from .models import FAMILIES, build, picture, polarmask, solov2

SIZE = (64, 96)


def sample():
    """An image of ``SIZE`` that was neither resized nor padded."""
    return DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE, batch_input_shape=SIZE,
                                       pad_shape=SIZE, scale_factor=(1.0, 1.0)))


def tensors(outputs):
    """All tensors of nested outputs."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [t for part in outputs or () for t in tensors(part)]


def backend(device):
    """What compiles: the real one on a GPU; on the CPU none, which needs no C++ compiler."""
    return 'inductor' if device == 'cuda' else 'eager'


def rounding(device, loose):
    """How far compiled and plain results may be apart: coordinates are rounded differently."""
    if device == 'cuda':
        return dict(rtol=3e-3, atol=1e-3)
    return dict(rtol=1e-4, atol=1e-4) if loose else dict(rtol=1e-5, atol=1e-5)


def assert_same(a, b, **tolerance):
    a, b = tensors(a), tensors(b)
    assert len(a) == len(b) > 0
    for x, y in zip(a, b):
        torch.testing.assert_close(x, y, **tolerance)


@pytest.mark.parametrize('family, dynamic', [
    *((family, False) for family in FAMILIES), ('lordre', True), ('solov2', True),
    *(pytest.param(family, True, marks=needs_gpu)  # on a CPU two of them show it
      for family in ('aggmask', 'aggmask_star', 'polarmask'))])
def test_one_graph(family, dynamic, device):
    """Nothing falls back to Python, for one size of images or for any."""
    network = Network(build(FAMILIES[family]()).to(device))
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend(device))
    compiled = torch.compile(network, fullgraph=True, dynamic=dynamic, backend=counter)
    with torch.no_grad():
        for height, width in (SIZE, (96, 128))[:1 + dynamic]:
            images = picture(height, width).to(device)
            # Lordre's mask logits, sums of products of up to 100, follow the coordinates
            loose = dynamic or family == 'lordre'
            assert_same(compiled(images), network(images), **rounding(device, loose))
    assert counter.frame_count == 1


@pytest.mark.parametrize('config', [solov2(dcn_cfg=dict(type='DCN')),
                                    polarmask(conv_cfg=dict(type='DCNv2'))], ids=['v1', 'v2'])
def test_deformable_convolution_is_part_of_the_graph(config):
    model = build(config)
    for name, value in model.named_parameters():
        if 'conv_offset' in name:
            nn.init.normal_(value, std=0.1)
    images = picture(*SIZE)
    torch._dynamo.reset()
    with torch.no_grad():
        expected = Network(model)(images)
        network = Network(use_known_operators(model))
        assert_same(network(images), expected)
        compiled = torch.compile(network, fullgraph=True, backend='eager')
        assert_same(compiled(images), expected)
        with torch.autocast('cpu', torch.bfloat16):
            half = network(images)
    assert all(t.isfinite().all() for t in tensors(half))
    assert any(t.dtype == torch.bfloat16 for t in tensors(half))


@pytest.mark.parametrize('family', FAMILIES)
def test_it_is_what_predict_runs(family):
    model = build(FAMILIES[family]())
    images = picture(*SIZE)
    network = Network(model)
    with torch.no_grad():
        expected, = model.predict(images, [sample()], rescale=True)
        found, = network.head.predict_by_feat(
            *network(images), batch_img_metas=[sample().metainfo], rescale=True)
    assert isinstance(found, InstanceData)
    assert_same([found.scores, found.labels],
                [expected.pred_instances.scores, expected.pred_instances.labels])


@pytest.mark.parametrize('family', FAMILIES)
def test_fused_and_channels_last(family, device):
    model = build(FAMILIES[family]()).to(device)
    before = copy.deepcopy(model.state_dict())
    fast = optimized_copy(model, fuse=True, channels_last=True)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.modules())
    assert fast.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        images = picture(*SIZE).to(device)
        assert_same(Network(fast)(images.contiguous(memory_format=torch.channels_last)),
                    Network(model)(images), rtol=1e-3, atol=1e-3)
    # the model itself stays as it was
    assert_same(list(model.state_dict().values()), list(before.values()))


@pytest.mark.parametrize('family', FAMILIES)
def test_winograd(family, monkeypatch):
    monkeypatch.setattr(winograd, 'MIN_CHANNELS', 1)
    model = build(FAMILIES[family]()).double()
    images = picture(*SIZE).double()
    fast = optimized_copy(model, winograd=True)
    assert sum(isinstance(m, WinogradConv2d) for m in fast.modules()) > 5
    assert not any(winograd.suits(m) for m in fast.modules())
    torch._dynamo.reset()
    compiled = torch.compile(Network(fast), fullgraph=True, backend='eager')
    with torch.no_grad():
        # some heads make their grids in float32
        assert_same(compiled(images), Network(model)(images), rtol=1e-4, atol=1e-5)
