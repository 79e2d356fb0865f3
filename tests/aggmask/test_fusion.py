"""Fusion network, mask maps, context: against the same written one cell at a time."""
import pytest
import torch
import torch.nn.functional as F

from mmdet_lordre.aggmask.context import ContextBranch
from mmdet_lordre.aggmask.fusion import FusionNetwork, mask_maps


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def one_by_one(network, maps, context, weights):
    """Each cell's network alone, its numbers read in order."""
    out = []
    for cell_maps, numbers in zip(maps, weights, strict=True):
        x = cell_maps if context is None else torch.cat((cell_maps, context))
        numbers = numbers.tolist()
        for layer, shape in enumerate(network.shapes):
            size = shape[0] * shape[1] * shape[2] * shape[3]
            weight = torch.tensor(numbers[:size]).view(shape)
            bias = torch.tensor(numbers[size:size + shape[0]])
            numbers = numbers[size + shape[0]:]
            x = F.conv2d((x.relu() if layer else x)[None], weight, bias,
                         padding=shape[2] // 2)[0]
        assert not numbers
        out.append(x[0])
    return torch.stack(out)


@pytest.mark.parametrize('settings, count', [
    (dict(neighbors=4), 909), (dict(neighbors=5), 945), (dict(neighbors=9), 1089),
    (dict(neighbors=1), 801), (dict(neighbors=0), 765),
    (dict(neighbors=5, context_channels=0), 369),
    (dict(neighbors=5, num_layers=1), 190), (dict(neighbors=5, kernel_size=1), 113),
    (dict(neighbors=2, context_channels=3, hidden_channels=2, num_layers=4), 187)])
def test_fusion_equals_one_cell_at_a_time(settings, count):
    network = FusionNetwork(**settings)
    assert network.num_weights == count
    channels = settings.get('context_channels', 16)
    context = torch.randn(channels, 6, 7) if channels else None
    maps = torch.randn(3, settings['neighbors'], 6, 7)
    weights = torch.randn(3, count) / 4
    torch.testing.assert_close(network(maps, context, weights),
                               one_by_one(network, maps, context, weights))


def test_no_cell():
    network = FusionNetwork(4)
    empty = network(torch.zeros(0, 4, 6, 7), torch.zeros(16, 6, 7), torch.zeros(0, 909))
    assert empty.shape == (0, 6, 7)


def test_cells_do_not_mix():
    network = FusionNetwork(5)
    maps, weights = torch.randn(4, 5, 6, 7), torch.randn(4, 945)
    context, order = torch.randn(16, 6, 7), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(network(maps[order], context, weights[order]),
                               network(maps, context, weights)[order])


@pytest.mark.parametrize('settings, message', [
    (dict(neighbors=0, context_channels=0), 'needs a context'),
    (dict(neighbors=4, kernel_size=5), 'fusion_kernel'),
    (dict(neighbors=4, num_layers=0), 'fusion_layers')])
def test_fusion_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        FusionNetwork(**settings)


class TestMaskMaps:
    features, kernels = torch.randn(8, 5, 6), torch.randn(3, 8)

    def test_kernels_times_features(self):
        maps = mask_maps(self.features, self.kernels, (5, 6))
        torch.testing.assert_close(
            maps, F.conv2d(self.features[None], self.kernels[:, :, None, None])[0])

    def test_bias_and_resize_commute(self):
        kernels = torch.cat((self.kernels, torch.randn(3, 1)), 1)
        large = F.interpolate(self.features[None], size=(10, 12), mode='bilinear')
        wanted = F.conv2d(large, kernels[:, :8, None, None], kernels[:, 8])[0]
        torch.testing.assert_close(mask_maps(self.features, kernels, (10, 12)), wanted)


class TestContext:
    feats = [torch.randn(2, 32, *size) for size in ((12, 16), (6, 8), (3, 4), (2, 2), (1, 1))]

    @pytest.mark.parametrize('layers', [1, 2])
    def test_equals_concatenation(self, layers):
        branch = ContextBranch(32, 5, 16, layers)
        resized = [F.interpolate(f, size=(12, 16), mode='bilinear', align_corners=True)
                   for f in self.feats]
        x = torch.cat(resized, dim=1)
        for module in branch:
            x = module(x)
        torch.testing.assert_close(branch(self.feats), x, rtol=1e-4, atol=1e-5)

    def test_names_are_the_published_ones(self):
        names = {name.split('.')[0] for name, _ in ContextBranch(32, 5, 16).named_parameters()}
        assert names == {'0', '1', '3'}

    def test_errors(self):
        with pytest.raises(ValueError, match='context_layers'):
            ContextBranch(32, 5, 16, 3)
        with pytest.raises(ValueError):
            ContextBranch(32, 5, 16)(self.feats[:4])
