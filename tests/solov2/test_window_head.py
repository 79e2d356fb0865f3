"""Windows: what they add to a mask, and that everything else is the published head's."""
import pytest
import torch
from mmdet.registry import MODELS

from mmdet_lordre.grid import ground_truths
from mmdet_lordre.grid.windows import positional_features, positional_kernels
from mmdet_lordre.solov2 import SOLOv2WindowHead

from .test_head import build as build_head
from .test_head import pyramid, samples, train_step


def build(**settings):
    return build_head(type='SOLOv2WindowHead', **settings)


def test_a_mask_is_a_product_and_a_window():
    """Of every cell: its kernel on the features plus the ellipse around it, drawn by hand."""
    head = build().eval()
    with torch.no_grad():
        kernels, _, features = head(pyramid())
        plain = head.mask_feature_head(pyramid())
        votes = head.conv_vote(plain)
    assert features.shape == (2, 14, 16, 24) and [k.shape[1] for k in kernels] == [14] * 3
    y, x = torch.meshgrid(torch.arange(16.), torch.arange(24.), indexing='ij')
    x, y = x + votes[:, 0], y + votes[:, 1]
    raw = {}
    head.conv_kernel.register_forward_hook(lambda _, __, out: raw.setdefault(len(raw), out))
    with torch.no_grad():
        head(pyramid())
    for level, grid in enumerate(head.num_grids):
        for row, column in ((0, 0), (grid - 1, grid // 2)):
            own = raw[level][:, :, row, column]
            mask = torch.einsum('bc,bchw->bhw', own[:, :8], plain)
            size_x, size_y = head.radius * 24 / grid, head.radius * 16 / grid
            a, b, dx, dy, turn, bias = own[:, 8:, None, None].unbind(1)
            u = (x - ((column + 0.5) * 24 / grid - 0.5 + size_x * dx)) / size_x / a.exp()
            v = (y - ((row + 0.5) * 16 / grid - 0.5 + size_y * dy)) / size_y / b.exp()
            expected = mask + bias - u * u - v * v - 1.5 * turn.tanh() * u * v
            drawn = torch.einsum('bc,bchw->bhw', kernels[level][:, :, row, column], features)
            torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


def test_every_parameter_learns():
    head = build()
    losses = train_step(head, pyramid(), samples())
    assert sorted(losses) == ['loss_cls', 'loss_mask']
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_without_anything_learned_a_mask_is_a_disc_around_its_cell():
    head = build().eval()
    for layer in (head.conv_kernel, head.conv_vote):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        kernels, _, features = head(pyramid())
        masks = kernels[1].flatten(2).transpose(1, 2) @ features.flatten(2)
    # the radius is 1.5 cells of a grid of 8 on 24 x 16 pixels: 4.5 by 3
    y, x = torch.meshgrid(torch.arange(16.), torch.arange(24.), indexing='ij')
    expected = -((x - 13) / 4.5).square() - ((y - 8.5) / 3).square()
    drawn = masks.view(2, 8, 8, 16, 24)[0, 4, 4]
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_draws_the_same_windows():
    head = build().eval()
    with torch.no_grad():
        features = head(pyramid())[2]
        with torch.autocast('cpu', torch.bfloat16):
            low_kernels, _, low_features = head(pyramid())
    assert low_features.dtype == low_kernels[0].dtype == torch.float32
    exact = positional_features(head.conv_vote(features[:, :8]))
    torch.testing.assert_close(low_features[:, 8:], exact, rtol=0.05, atol=0.5)


def test_a_window_with_two_radii_by_hand():
    window = positional_kernels(torch.zeros(1, 1, 6), torch.tensor([[[3, 1]]]), (2.0, 1.0), (4, 6))
    maps = (window @ positional_features(torch.zeros(1, 2, 4, 6)).flatten(2)).view(4, 6)
    assert maps[1, 3] == 0 and maps[1, 5] == -1 and maps[3, 3] == -4 and maps[0, 1] == -2


def test_kernels_of_one_pixel_only():
    with pytest.raises(ValueError, match='dynamic_conv_size must be 1'):
        build(dynamic_conv_size=3)


def test_registered():
    assert MODELS.get('SOLOv2WindowHead') is SOLOv2WindowHead


def test_classes_can_be_learned_from_regions():
    plain, head = build(), build(region_classifier=dict(hidden_channels=8))
    head.load_state_dict(plain.state_dict(), strict=False)
    losses, others = train_step(head, pyramid(), samples()), train_step(plain, pyramid(), samples())
    assert {'loss_region', 'loss_region_dense'} <= set(losses)
    for name, value in others.items():
        torch.testing.assert_close(losses[name], value)
    assert head.region_classifier.dense.weight.grad.abs().sum() > 0
    # nothing of it is left in inference
    with torch.no_grad():
        for ours, theirs in zip(head.eval()(pyramid()), plain.eval()(pyramid())):
            torch.testing.assert_close(ours, theirs)


def test_masks_are_read_once_an_image(monkeypatch):
    seen = []
    read = ground_truths.read_masks
    monkeypatch.setattr(ground_truths, 'read_masks', lambda *args: seen.append(0) or read(*args))
    train_step(build(region_classifier={}), pyramid(), samples())
    assert len(seen) == 2


def test_regions_of_a_batch_without_objects():
    losses = train_step(build(region_classifier={}), pyramid(), samples((0, 0)))
    assert float(losses['loss_region']) == 0 and float(losses['loss_mask']) == 0
