"""Heads that begin as SOLO and SOLOv2."""
import pytest
import torch
from mmdet.registry import MODELS

from mmdet_lordre.aggmask.fusion import FusionNetwork

from .test_heads import HEADS, SMALL, make_feats, make_head


@pytest.mark.parametrize('settings', [
    dict(neighbors=5), dict(neighbors=9, hidden_channels=3), dict(neighbors=4, num_layers=1),
    dict(neighbors=5, num_layers=2, kernel_size=1), dict(neighbors=2, num_layers=4)], ids=str)
def test_the_network_passes_on_a_mean(settings):
    network = FusionNetwork(**settings)
    shares = torch.rand(network.neighbors)
    numbers = network.plain_numbers(shares.tolist())
    assert numbers.shape == (network.num_weights,)
    maps = torch.randn(3, network.neighbors, 6, 7)
    torch.testing.assert_close(network(maps, torch.randn(16, 6, 7), numbers.expand(3, -1)),
                               (maps * shares[:, None, None]).sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('mask_grids', [(12, 10, 8, 6, 4), (6, 5, 4, 3, 2)])
def test_a_mask_is_that_of_its_own_cell(kind, mask_grids):
    """Of equal grids the map of the cell itself, of a coarser one the mean of the four around."""
    torch.manual_seed(0)
    head = MODELS.build({**SMALL, 'type': kind, 'mask_grids': mask_grids, 'plain_start': True})
    head.init_weights()
    torch.nn.init.zeros_(head.learned_weights.weight)
    cells = torch.tensor([0, 7, 12 * 5 + 3, 143])
    with torch.no_grad():
        _, mask_feats, kernels, table, context = head(make_feats())
        size = head.map_groups(mask_feats)[0].size
        lookup, numbers = head.tables.lookup(cells), head.fusion_numbers(table[0], cells)
        sources = mask_feats[0][0], head.kernels_of(kernels, 0)
        logits = head.fuse(*sources, head.resized_context(context, size)[0], lookup, numbers, size)
        maps = head.neighbor_maps(*sources, lookup, None, size)
    own = maps[:, 2] if len(maps[0]) == 5 else maps.mean(1)
    assert own.std() > 0.01
    torch.testing.assert_close(logits, own, rtol=1e-4, atol=1e-5)


def test_only_the_start_differs():
    plain = make_head('AggMaskHead', plain_start=True)
    published = make_head('AggMaskHead')
    assert plain.state_dict().keys() == published.state_dict().keys()


@pytest.mark.parametrize('settings', [dict(num_neighbors=0), dict(fusion_channels=1)], ids=str)
def test_nothing_to_pass_on(settings):
    with pytest.raises(ValueError, match='plain_start'):
        make_head('AggMaskHead', plain_start=True, **settings)
