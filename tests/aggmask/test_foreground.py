"""One map for all masks of an image: the published masks and what it adds to them."""
import pytest
import torch

from .test_heads import HEADS, make_feats, make_head, make_sample
from .test_windows import fused, with_and_without


@pytest.mark.parametrize('kind', HEADS)
@pytest.mark.parametrize('settings', [dict(), dict(windows=True)], ids=str)
def test_a_mask_is_the_published_one_and_the_map(kind, settings):
    plain, head = with_and_without(kind, 'foreground', 'conv_foreground', **settings)
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


def test_half_precision():
    head = make_head('AggMaskStarHead', foreground=True)
    head.eval().bfloat16()
    with torch.no_grad():
        result = head.predict([feat.bfloat16() for feat in make_feats(1)], [make_sample(0)])[0]
    assert len(result) > 0


def test_there_must_be_a_context():
    with pytest.raises(ValueError, match='set context_channels above 0'):
        make_head('AggMaskHead', foreground=True, context_channels=0)
