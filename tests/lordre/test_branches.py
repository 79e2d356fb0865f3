"""Encoder and branches on cases worked by hand."""
import pytest
import torch
import torch.nn.functional as F

from mmdet_lordre.lordre import InstanceBranch, LordreEncoder


def branch(**kwargs):
    torch.manual_seed(0)
    settings = dict(in_channels=4, channels=8, depth=1, num_queries=5, num_classes=3,
                    kernel_dim=6, groups=4)
    return InstanceBranch(**(settings | kwargs)).eval()


@pytest.mark.parametrize('normalization', ['sigmoid', 'softmax'])
def test_weights_sum_to_one(normalization):
    weights = branch(normalization=normalization).normalize(torch.randn(2, 20, 7, 9))
    assert weights.shape == (2, 20, 63)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 20))


def test_normalization_by_hand():
    maps = torch.tensor([0., 0., torch.inf, -torch.inf]).view(1, 1, 2, 2)
    assert torch.allclose(branch(groups=1).normalize(maps),
                          torch.tensor([[[0.25, 0.25, 0.5, 0.]]]))
    # all maps off: the sum is clamped, nothing is divided by zero
    assert torch.isfinite(branch(groups=1).normalize(torch.full((1, 1, 2, 2), -200.))).all()


def test_softmax_bias_changes_nothing():
    soft = branch(normalization='softmax')
    maps = torch.randn(1, 20, 4, 4)
    still = soft.normalize(maps)
    with torch.no_grad():
        soft.softmax_bias.fill_(3.)
    assert torch.allclose(soft.train().normalize(maps), still, atol=1e-6)


def test_groups_are_concatenated_per_instance():
    """Instance n concatenates what maps n, N + n, 2 N + n, ... read."""
    b = branch()
    b.fc = torch.nn.Identity()
    seen = {}
    b.cls_score.register_forward_hook(lambda m, args, out: seen.update(x=args[0]))
    x = torch.randn(2, 4, 6, 7)
    _, _, _, maps = b(x)
    pixels = b.inst_convs(x).flatten(2)
    weights = b.normalize(maps)
    for n in range(5):
        parts = [torch.einsum('bp,bcp->bc', weights[:, g * 5 + n], pixels) for g in range(4)]
        assert torch.allclose(seen['x'][:, n], torch.cat(parts, dim=1).relu(), atol=1e-5)


def test_half_precision_reads_the_same():
    b = branch(normalization='sigmoid', num_queries=2)
    x = torch.randn(1, 4, 96, 96) * 3
    full = b(x)[0]
    with torch.autocast('cpu', torch.bfloat16):
        half = b(x)[0]
    assert torch.allclose(half.float(), full, atol=0.05, rtol=0.05)


def test_bad_settings():
    with pytest.raises(ValueError, match='normalization'):
        branch(normalization='max')
    with pytest.raises(ValueError, match='groups'):
        branch(groups=3)


def published_fusion(encoder, inputs):
    """The encoder as the paper draws it: resize, concatenate, one 1x1 convolution."""
    path, outputs = None, []
    for k, x in enumerate(reversed(inputs)):
        lateral = encoder.fpn_laterals[k](x)
        path = encoder.ppm(lateral) if path is None else lateral + F.interpolate(
            path, scale_factor=2, mode='nearest')
        outputs.insert(0, encoder.fpn_outputs[k](path))
    size = inputs[0].shape[-2:]
    return encoder.fusion(torch.cat([outputs[0]] + [
        F.interpolate(o, size=size, mode='bilinear', align_corners=False)
        for o in outputs[1:]], dim=1))


@pytest.mark.parametrize('levels', [1, 3, 4])
def test_encoder_equals_the_published_order(levels):
    torch.manual_seed(0)
    channels = (4, 8, 12, 16)[:levels]
    encoder = LordreEncoder(channels, out_channels=8)
    encoder.init_weights()
    inputs = [torch.randn(2, c, 16 >> k, 24 >> k) for k, c in enumerate(channels)]
    (got, ) = encoder(tuple(inputs))
    assert got.shape == (2, 8, 16, 24)
    assert torch.allclose(got, published_fusion(encoder, inputs), atol=1e-5)


def test_encoder_names_a_wrong_number_of_levels():
    with pytest.raises(ValueError, match='out_indices'):
        LordreEncoder((4, 8), 8)((torch.zeros(1, 4, 8, 8), ))
