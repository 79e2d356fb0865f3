"""The fusion in blocks against convolutions, with its gradients; and a head that uses either."""
import pytest
import torch

from mmdet_lordre.aggmask import blocked, mask_losses
from mmdet_lordre.aggmask.fusion import FusionNetwork

from .test_heads import HEADS, grads, make_feats, make_head, make_sample

SIZE = (5, 6)


def inputs(network, counts, context_channels, maps=7):
    """Leaves in float64: maps, context, numbers; and which maps each cell gathers."""
    torch.manual_seed(0)
    cells = sum(counts)
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in (
        (maps, *SIZE), (len(counts), context_channels, *SIZE), (cells, network.num_weights))]
    # neighbors are shared among cells, and one comes twice in a cell
    index = torch.randint(maps, (cells, network.neighbors))
    if network.neighbors > 1:
        index[0, 1] = index[0, 0]
    return leaves, index


def by_convolutions(network, leaves, index, counts):
    maps, context, numbers = leaves
    parts = zip(context, index.split(counts), numbers.split(counts), strict=True)
    return torch.cat([network(maps[rows], shared if len(shared) else None, own)
                      for shared, rows, own in parts])


@pytest.mark.parametrize('settings', [
    dict(neighbors=5), dict(neighbors=9, hidden_channels=2, num_layers=4),
    dict(neighbors=0), dict(neighbors=4, context_channels=0), dict(neighbors=1, num_layers=1)],
    ids=str)
@pytest.mark.parametrize('counts', [[4, 3], [0, 5, 0, 2]], ids=str)
@pytest.mark.parametrize('cells', [1, 3, 100], ids='{} a block'.format)
def test_equals_convolutions(settings, counts, cells, monkeypatch):
    network = FusionNetwork(**settings)
    monkeypatch.setattr(blocked, '_BLOCK', cells * blocked._elements(SIZE, network.widths))
    leaves, index = inputs(network, counts, settings.get('context_channels', 16))
    ours = blocked.fuse_in_blocks(leaves[0], index, leaves[1], counts,
                                  network.split(leaves[2]))
    theirs = by_convolutions(network, leaves, index, counts)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    for one, two in zip(*(torch.autograd.grad((out * weight).sum(), leaves, allow_unused=True,
                                              materialize_grads=True)
                          for out in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('settings', [dict(), dict(foreground=True), dict(
    deformable=True, windows=True)], ids=str)
def test_a_head_learns_the_same_with_either(kind, settings, monkeypatch):
    head = make_head(kind, **settings)
    feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 4)]
    ours = grads(head, head.loss(feats, samples))
    monkeypatch.setattr(mask_losses, 'fits', lambda size, widths: False)
    for name, value in grads(head, head.loss(feats, samples)).items():
        scale = value.abs().max().item()
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4 * scale + 1e-7)


def test_large_maps_stay_with_convolutions():
    widths = FusionNetwork(5).widths
    assert blocked.fits((128, 128), widths) and not blocked.fits((200, 304), widths)


@pytest.mark.parametrize('kind', HEADS)
def test_autocast_does_not_touch_it(kind):
    """Networks give bfloat16, the fusion computes in float32: half precision is slower here."""
    head, feats, samples = make_head(kind), make_feats(), [make_sample(0, 3), make_sample(1, 4)]
    seen = []
    head.loss_mask.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    with torch.autocast('cpu', torch.bfloat16):
        half = grads(head, head.loss(feats, samples))
    assert set(seen) == {torch.float32}
    assert all(torch.isfinite(value).all() for value in half.values())
