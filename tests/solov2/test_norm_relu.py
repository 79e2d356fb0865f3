import pytest
import torch
from torch import nn

from mmdet_lordre.grid import norm_relu
from mmdet_lordre.grid.norm_relu import apply_remade, run_layer, run_tower
from mmdet_lordre.solov2.layers import conv_norm_relu

NORM = dict(type='GN', num_groups=4)


def tower(conv_cfg=None, norm_cfg=NORM):
    torch.manual_seed(0)
    layers = nn.ModuleList(conv_norm_relu(8, 8, norm_cfg, conv_cfg) for _ in range(3))
    last = nn.Conv2d(8, 5, 3, padding=1)
    for parameter in layers.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return layers, last


def plain(layers, last, x):
    for layer in layers:
        x = layer(x)
    return last(x)


@pytest.fixture(params=[None, 1, 3])
def groups_at_a_time(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(norm_relu, 'chunk_size', lambda *args, **kwargs: request.param)


@pytest.mark.usefixtures('groups_at_a_time')
@pytest.mark.parametrize('conv_cfg, norm_cfg', [
    (None, NORM), (None, dict(type='BN')), (None, None), (dict(type='DCNv2'), NORM),
    (dict(type='DCN'), NORM)])
def test_values_and_gradients_are_those_of_the_layers(conv_cfg, norm_cfg):
    layers, last = tower(conv_cfg, norm_cfg)
    results = []
    for run in (plain, run_tower):
        x = torch.linspace(-1, 1, 2 * 8 * 6 * 7).view(2, 8, 6, 7).sin().requires_grad_()
        out = run(layers, last, x)
        parameters = [*layers.parameters(), *last.parameters()]
        results.append((out, *torch.autograd.grad(out.square().sum(), [x, *parameters])))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def saved_maps(run, layers, last):
    """Elements of the maps that a run keeps for its backward pass."""
    x = torch.randn(2, 8, 6, 7, requires_grad=True)
    kept = {}

    def pack(tensor):
        if tensor.dim() == 4 and tensor.shape[0] == 2:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run(layers, last, x)
    del out
    return len(kept)


def test_one_map_a_layer_is_kept():
    layers, last = tower()
    # the input, and for each layer the convolution's output; plain layers keep the ReLU's too
    assert saved_maps(plain, layers, last) == 1 + 2 * 3
    # the inner hooks see the remade maps before the outer ones do
    assert saved_maps(run_tower, layers, last) == 1 + 3


def test_no_gradient_no_remaking():
    layers, _ = tower()
    x = torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        out, remake = run_layer(layers[0], x)
    assert remake is None
    torch.testing.assert_close(out, layers[0](x).detach())


def test_remade_tensor_is_used():
    conv = nn.Conv2d(2, 2, 1, bias=False)
    x = torch.ones(1, 2, 3, 3)
    out = apply_remade(conv, x, lambda: 2 * torch.ones(1, 2, 3, 3))
    out.sum().backward()
    assert torch.equal(conv.weight.grad, torch.full((2, 2, 1, 1), 18.))
