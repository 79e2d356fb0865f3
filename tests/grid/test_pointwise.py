"""A 1x1 convolution, GroupNorm and ReLU by groups: as the layers themselves."""
import pytest
import torch
from mmcv.cnn import ConvModule

from mmdet_lordre.grid.pointwise import run_pointwise
from mmdet_lordre.masks import chunks

GN = dict(type='GN', num_groups=4)


def layer_of(**kwargs):
    torch.manual_seed(0)
    layer = ConvModule(6, 12, **(dict(kernel_size=1, norm_cfg=GN) | kwargs))
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


# one group at a time, three and one, all at once
@pytest.mark.parametrize('budget', [1, 2 * 3 * 35 * 3, 2**22])
def test_value_and_gradients_are_those_of_the_layer(monkeypatch, budget):
    monkeypatch.setattr(chunks, 'CPU_BUDGET', budget)
    layer = layer_of()
    x = torch.randn(2, 6, 5, 7, requires_grad=True)
    weights = torch.randn(2, 12, 5, 7)
    wanted = layer(x)
    (wanted * weights).sum().backward()
    grads = [x.grad.clone(), *(p.grad.clone() for p in layer.parameters())]
    x.grad = None
    layer.zero_grad()
    got = run_pointwise(layer, x)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert not (got == 0).all() and (got == 0).any()
    (got * weights).sum().backward()
    for p, grad in zip((x, *layer.parameters()), grads):
        torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-4)


def test_other_layers_and_inference_are_left_to_the_layer():
    x = torch.randn(1, 6, 4, 4, requires_grad=True)
    for kwargs in (dict(kernel_size=3), dict(norm_cfg=dict(type='BN')), dict(norm_cfg=None),
                   dict(act_cfg=dict(type='LeakyReLU')), dict(act_cfg=None), dict(stride=2)):
        assert run_pointwise(layer_of(**kwargs), x) is None
    assert run_pointwise(layer_of(), x.detach()) is None
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert run_pointwise(layer_of(), x) is None
