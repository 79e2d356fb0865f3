"""The backbones: outputs, published settings, frozen stages, checkpointing, initialization."""
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import nn

import mmdet_lordre  # noqa: F401 - registers the backbones

SMALL_PVT = dict(type='LordrePVTv2', embed_dims=8, num_heads=[1, 2, 5, 8], num_layers=[1, 2, 1, 1],
                 drop_path_rate=0.)
SMALL_DARKNET = dict(type='TimmDarknet', widths=(8, 8, 16, 16, 32), depths=(1, 2, 1, 1, 1))
SMALL = {'pvt': SMALL_PVT, 'pvt-linear': SMALL_PVT | dict(linear=True), 'darknet': SMALL_DARKNET,
         'cspdarknet': SMALL_DARKNET | dict(csp=True)}


def build(name, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build(SMALL[name] | kwargs)
    model.init_weights()
    return model


def image(size=(64, 96)):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('name', SMALL)
def test_any_stage_can_be_returned(name):
    every = range(5) if 'dark' in name else range(4)
    model = build(name, out_indices=tuple(every)).eval()
    first = 2 if 'dark' in name else 4
    outs = model(image())
    assert [tuple(out.shape[-2:]) for out in outs] == [
        (64 // (first * 2**i), 96 // (first * 2**i)) for i in every]
    alone = build(name, out_indices=(1, )).eval()(image())
    assert len(alone) == 1
    torch.testing.assert_close(alone[0], outs[1])


@pytest.mark.parametrize('name', SMALL)
def test_stages_that_are_not_there_are_refused(name):
    with pytest.raises(ValueError, match='out_indices'):
        build(name, out_indices=(1, 7))
    with pytest.raises(ValueError, match='out_indices'):
        build(name, out_indices=())
    with pytest.raises(ValueError, match='frozen_stages'):
        build(name, frozen_stages=9)


@pytest.mark.parametrize('name', SMALL)
def test_frozen_stages_get_no_gradient_and_keep_their_mode(name):
    model = build(name, frozen_stages=2)
    assert model.train() is model
    stages = model.stages if 'dark' in name else model.layers
    outs = model(image())
    sum(out.sum() for out in outs).backward()
    for index, stage in enumerate(stages):
        assert stage.training == (index >= 2)
        with_gradient = [p.grad is not None for p in stage.parameters()]
        assert all(with_gradient) if index >= 2 else not any(with_gradient)
    if 'dark' in name:
        assert not model.stem.training
        assert not any(p.requires_grad for p in model.stem.parameters())


@pytest.mark.parametrize('name', ['darknet', 'cspdarknet'])
def test_norm_eval_keeps_the_statistics(name):
    for norm_eval in (True, False):
        model = build(name, norm_eval=norm_eval).train()
        before = model.stages[4].conv_down.bn.running_mean.clone()
        model(image())
        assert torch.equal(before, model.stages[4].conv_down.bn.running_mean) == norm_eval


@pytest.mark.parametrize('name', SMALL)
def test_checkpointing_changes_nothing_but_memory(name):
    gradients = []
    for with_cp in (False, True):
        model = build(name, with_cp=with_cp, norm_eval=True).train()
        outs = model(image())
        sum(out.square().mean() for out in outs).backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain)


@pytest.mark.parametrize('name', ['darknet', 'cspdarknet'])
def test_blocks_begin_as_the_identity(name):
    model = build(name).eval()
    x = torch.rand(1, 8, 6, 6)
    block = model.stages[1].blocks[0] if name == 'darknet' else model.stages[0].blocks[0]
    assert torch.equal(block.conv2.norm.weight, torch.zeros_like(block.conv2.norm.weight))
    torch.testing.assert_close(block(x), x)


def test_darknet_activation_is_leaky_with_slope_of_a_hundredth():
    model = build('darknet')
    slopes = {m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.01}


def test_published_sizes():
    millions = {(False, ): 40.585, (True, ): 26.617}
    for (csp, ), expected in millions.items():
        with torch.device('meta'):
            model = MODELS.build(dict(type='TimmDarknet', csp=csp))
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize('linear', [False, True])
def test_pvt_norms_have_the_published_epsilons(linear):
    model = build('pvt-linear' if linear else 'pvt')
    for stage, (embed, blocks, norm) in enumerate(model.layers):
        assert (embed.norm.eps, norm.eps) == (1e-5, 1e-6)
        for block in blocks:
            assert (block.norm1.eps, block.norm2.eps) == (1e-6, 1e-6)
            if linear or stage < 3:
                assert block.attn.norm.eps == 1e-5
            else:
                assert not hasattr(block.attn, 'norm')


def test_pvt_equals_mmdet_but_for_the_epsilons():
    ours = build('pvt').eval()
    config = {key: value for key, value in SMALL_PVT.items() if key != 'type'}
    theirs = MODELS.build(dict(type='mmdet.PyramidVisionTransformerV2', **config)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for module in [*ours.modules(), *theirs.modules()]:
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    for a, b in zip(ours(image()), theirs(image()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_linear_attention_by_hand():
    """Softmax of query times key over the 49 cells of the pooled map, head by head."""
    model = build('pvt-linear').eval()
    attn = model.layers[1][1][0].attn
    x, (h, w) = torch.rand(1, 10 * 12, 16), (10, 12)
    with torch.no_grad():
        grid = F.adaptive_avg_pool2d(x.transpose(1, 2).reshape(1, 16, h, w), 7)
        kv = F.gelu(attn.norm(attn.sr(grid).flatten(2).transpose(1, 2)))
        q, k, v = (F.linear(source, weight, bias) for source, weight, bias in zip(
            (x, kv, kv), attn.attn.in_proj_weight.chunk(3), attn.attn.in_proj_bias.chunk(3)))
        q, k, v = (part.unflatten(2, (2, 8)).transpose(1, 2) for part in (q, k, v))
        weights = (q @ k.transpose(2, 3) / 8**0.5).softmax(-1)
        expected = x + attn.attn.out_proj((weights @ v).transpose(1, 2).flatten(2))
        torch.testing.assert_close(attn(x, (h, w), identity=x), expected, rtol=1e-5, atol=1e-5)


def test_linear_feed_forward_has_a_relu_before_the_depthwise_convolution():
    ffn = build('pvt-linear').eval().layers[0][1][0].ffn
    x = torch.randn(1, 30, 8)
    fc1, depthwise, gelu, _, fc2, _ = ffn.layers
    with torch.no_grad():
        hidden = fc1(x.transpose(1, 2).reshape(1, 8, 5, 6)).relu()
        expected = x + fc2(gelu(depthwise(hidden))).flatten(2).transpose(1, 2)
        torch.testing.assert_close(ffn(x, (5, 6), identity=x), expected)


@pytest.mark.parametrize('name', SMALL)
def test_half_precision(name):
    model = build(name).eval()
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        outs = model(image())
    assert all(out.isfinite().all() for out in outs)
