"""One map for all masks of an image: the published masks and what it adds to them."""
import pytest
import torch

from mmdet_lordre.aggmask import mask_losses, selected

from .test_heads import HEADS, grads, make_feats, make_head, make_sample
from .test_windows import fused


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('settings', [dict(), dict(windows=True)], ids=str)
def test_a_mask_is_the_published_one_and_the_map(kind, settings):
    plain, head = make_head(kind, **settings), make_head(kind, foreground=True, **settings)
    left = head.load_state_dict(plain.state_dict(), strict=False)
    assert left.missing_keys == ['conv_foreground.weight', 'conv_foreground.bias']
    with torch.no_grad():
        head.conv_foreground.bias.fill_(0.25)
        *_, context = head(make_feats())
    cells = torch.tensor([0, 7, 12 * 5 + 3, 143])
    for image in (0, 1):
        masks, published = fused(head, cells, image)[0], fused(plain, cells, image)[0]
        shared = head.resized_context(context, masks.shape[1:])[image]
        added = (head.conv_foreground.weight[0] * shared).sum(0) + 0.25
        assert added.std() > 0.1
        torch.testing.assert_close(masks, published + added, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', HEADS)
def test_every_parameter_learns_the_same_in_pieces(kind, monkeypatch):
    head = make_head(kind, foreground=True)
    feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 4)]
    whole = grads(head, head.loss(feats, samples))
    assert whole.keys() == dict(head.named_parameters()).keys()
    assert all(whole[f'conv_foreground.{name}'].abs().max() > 0 for name in ('weight', 'bias'))
    monkeypatch.setattr(mask_losses, '_KEPT', 0)
    monkeypatch.setattr(selected, 'chunk_size', lambda *args, **kwargs: 2)
    for name, value in grads(head, head.loss(feats, samples)).items():
        scale = value.abs().max().item()
        torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-4 * scale + 1e-7)
    nothing = head.loss(feats, [make_sample(0, 0), make_sample(1, 0)])
    assert grads(head, nothing).keys() == dict(head.named_parameters()).keys()


def test_half_precision():
    head = make_head('AggMaskStarHead', foreground=True)
    head.eval().bfloat16()
    with torch.no_grad():
        result = head.predict([feat.bfloat16() for feat in make_feats(1)], [make_sample(0)])[0]
    assert len(result) > 0


def test_there_must_be_a_context():
    with pytest.raises(ValueError, match='set context_channels above 0'):
        make_head('AggMaskHead', foreground=True, context_channels=0)
