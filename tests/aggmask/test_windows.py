"""Windows of AggMask: what they add to a mask, and that everything else is the published head's;
and masks drawn at random."""
import pytest
import torch

from mmdet_lordre.aggmask import mask_losses, selected
from mmdet_lordre.aggmask.targets import Selection, draw_masks

from .test_heads import HEADS, grads, make_feats, make_head, make_sample


def fused(head, cells, image=0):
    """Logits (n, H, W) of class cells of the finest group, and the raw numbers of the windows."""
    with torch.no_grad():
        _, mask_feats, kernels, table, context = head(make_feats())
        size = head.map_groups(mask_feats)[0].size
        shared = head.resized_context(context, size)[image]
        numbers = head.fusion_numbers(table[image], cells)
        return head.fuse(mask_feats[0][image], head.kernels_of(kernels, image), shared,
                         head.tables.lookup(cells), numbers, size), numbers.windows


def with_and_without(kind, option, layer, **settings):
    """A published head, and one with an option whose layer is all that it has more."""
    plain, head = make_head(kind, **settings), make_head(kind, **{option: True}, **settings)
    left = head.load_state_dict(plain.state_dict(), strict=False)
    assert left.missing_keys == [f'{layer}.weight', f'{layer}.bias']
    return plain, head


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('settings', [dict(), dict(deformable=True)], ids=str)
def test_a_mask_is_the_published_one_and_a_window(kind, settings):
    """The ellipse drawn by hand, in coordinates relative to the cell."""
    plain, head = with_and_without(kind, 'windows', 'conv_window', **settings)
    cells = torch.tensor([0, 7, 12 * 5 + 3, 143])
    logits, raw = fused(head, cells)
    published, none = fused(plain, cells)
    assert none is None and logits.dtype == torch.float32 and raw.abs().amax(1).min() > 0.1
    height, width = logits.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    for cell, own, mask, before in zip(cells.tolist(), raw, logits, published, strict=True):
        row, column = divmod(cell, 12)
        a, b, dx, dy, turn, bias = own
        size_x, size_y = 1.5 * width / 12, 1.5 * height / 12
        u = (x - ((column + 0.5) * width / 12 - 0.5 + size_x * dx)) / size_x / a.clamp(-3, 3).exp()
        v = (y - ((row + 0.5) * height / 12 - 0.5 + size_y * dy)) / size_y / b.clamp(-3, 3).exp()
        window = bias - u * u - v * v - 1.5 * turn.tanh() * u * v
        torch.testing.assert_close(mask, before + window, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize('kind', HEADS)
def test_without_anything_learned_a_mask_is_a_disc_around_its_cell(kind):
    head = make_head(kind, windows=True)
    for layer in (head.learned_weights, head.conv_window):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    logits, _ = fused(head, torch.tensor([12 * 6 + 3]))
    height, width = logits.shape[1:]
    # row 6 and column 3 of 12; the radius is 1.5 cells
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    expected = (-((x + 0.5 - 3.5 * width / 12) / (width / 8)).square()
                - ((y + 0.5 - 6.5 * height / 12) / (height / 8)).square())
    torch.testing.assert_close(logits[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('option, layer', [('windows', 'conv_window'),
                                           ('foreground', 'conv_foreground')])
def test_every_parameter_learns(kind, option, layer, monkeypatch):
    head = make_head(kind, **{option: True})
    feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 0)]
    whole = grads(head, head.loss(feats, samples))
    assert whole.keys() == dict(head.named_parameters()).keys()
    assert all(whole[f'{layer}.{name}'].abs().max() > 0 for name in ('weight', 'bias'))
    # in pieces, each computed again
    monkeypatch.setattr(mask_losses, '_KEPT', 0)
    monkeypatch.setattr(selected, 'chunk_size', lambda *args, **kwargs: 2)
    for name, value in grads(head, head.loss(feats, samples)).items():
        scale = value.abs().max().item()
        torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-4 * scale + 1e-7)
    nothing = head.loss(feats, [make_sample(0, 0), make_sample(1, 0)])
    assert nothing['loss_mask'] == 0
    assert grads(head, nothing).keys() == dict(head.named_parameters()).keys()


def test_half_precision_draws_the_same_windows():
    head = make_head('AggMaskStarHead', windows=True)
    torch.nn.init.zeros_(head.learned_weights.weight)
    torch.nn.init.zeros_(head.learned_weights.bias)
    cells = torch.tensor([0, 100, 143])
    # coefficients of the same raw numbers: those of a cell's place are exact in both
    torch.nn.init.zeros_(head.conv_window.weight)
    exact, _ = fused(head, cells)
    with torch.autocast('cpu', torch.bfloat16):
        low, _ = fused(head, cells)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, rtol=1e-2, atol=1e-2)
    half = head.bfloat16()
    places, sides = half.tables.places_of(cells)
    assert places.dtype == sides.dtype == torch.float32
    torch.testing.assert_close(places[1], torch.tensor([4.5, 8.5]) / 12)


@pytest.mark.parametrize('kind', HEADS)
def test_neighbors_can_be_shown(kind):
    head = make_head(kind, windows=True)
    head.test_cfg.neighbor_maps = True
    with torch.no_grad():
        result = head.predict(make_feats(1), [make_sample(0)])[0]
    assert len(result) > 0 and result.neighbor_maps.shape[:2] == (len(result), 5)


class TestMaxMasks:
    def test_what_is_drawn(self):
        """The same number each time, every cell as often, with its own ground truth."""
        masks, other = torch.zeros(1), torch.ones(1)
        full = [[Selection(torch.arange(3), torch.arange(3) + 50, masks),
                 Selection(torch.arange(0), torch.arange(0), masks)],
                [Selection(torch.arange(10, 14), torch.arange(10, 14) + 50, other),
                 Selection(torch.arange(20, 23), torch.arange(20, 23) + 50, other)]]
        torch.manual_seed(0)
        counts = torch.zeros(23)
        for _ in range(1000):
            drawn = draw_masks(full, 4)
            assert sum(len(one.cells) for images in drawn for one in images) == 4
            for images, before in zip(drawn, full, strict=True):
                for one, whole in zip(images, before, strict=True):
                    assert set(one.cells.tolist()) <= set(whole.cells.tolist())
                    assert torch.equal(one.gts, one.cells + 50) and one.masks is whole.masks
                    counts[one.cells] += 1
        used = torch.cat([one.cells for images in full for one in images])
        assert (counts[used] - 400).abs().max() < 60 and counts.sum() == 4000
        assert draw_masks(full, 10) is full

    @pytest.mark.parametrize('kind', HEADS)
    def test_the_loss_is_that_of_fewer_cells(self, kind):
        head, few = make_head(kind), make_head(kind, max_masks=1)
        feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 4)]
        calls = []
        few.numbers_from = lambda patches: calls.append(len(patches)) or type(
            few).numbers_from(few, patches)
        all_masks, some = head.loss(feats, samples), few.loss(feats, samples)
        assert sum(calls) == 2 and some['loss_mask'] > 0
        torch.testing.assert_close(some['loss_cls'], all_masks['loss_cls'])
        few.max_masks = 1000
        assert few.loss(feats, samples) == all_masks

    def test_at_least_one(self):
        with pytest.raises(ValueError, match='max_masks must be at least 1'):
            make_head('AggMaskHead', max_masks=0)
