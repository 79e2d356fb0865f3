"""Both heads against the published algorithm, and what must not change an answer."""
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from mmdet_lordre.aggmask import mask_losses, selected
from mmdet_lordre.checkpoints.partial_load import match_state_dict
from mmdet_lordre.errors import UserError
from mmdet_lordre.grid import GridMaskTargets
from tests.aggmask import published
from tests.parity.fill import ellipse_instances

SIZE = (128, 160)
TEST_CFG = dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                sigma=2.0, max_per_img=100)
SMALL = dict(num_classes=6, in_channels=32, feat_channels=32, stacked_convs=2,
             num_grids=(12, 10, 8, 6, 4), mask_grids=(10, 10, 6, 6, 4),
             scale_ranges=((1, 24), (12, 48), (24, 96), (48, 192), (96, 512)),
             test_cfg=TEST_CFG)
HEADS = ('AggMaskHead', 'AggMaskStarHead')


def make_head(kind, **settings):
    """A small head whose random weights detect something."""
    torch.manual_seed(0)
    head = MODELS.build({**SMALL, 'type': kind, **settings})
    head.init_weights()
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if parameter.dim() > 1 and not name.startswith(('context', 'neighbor_offsets')):
                parameter.normal_(0, (1.5 / parameter[0].numel())**.5)
        head.solo_cate.bias.fill_(-2.5)
    return head


def make_feats(batch=2, seed=1, size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 32, size[0] // stride, size[1] // stride, generator=generator)
            for stride in (4, 8, 16, 32, 64)]


def make_sample(image=0, count=5, size=SIZE):
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=(2 * size[0], 2 * size[1]),
                                         batch_input_shape=size))
    if count:
        boxes, labels, masks = ellipse_instances(f'heads/{image}', *size, count, 6)
    else:
        boxes, labels, masks = (np.zeros(s, t) for s, t in (
            ((0, 4), np.float32), (0, np.int64), ((0, *size), np.uint8)))
    sample.gt_instances = InstanceData(
        bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
        masks=BitmapMasks(masks, *size))
    return sample


def grads(head, losses):
    sum(losses.values()).backward()
    found = {name: p.grad.clone() for name, p in head.named_parameters() if p.grad is not None}
    head.zero_grad()
    return found


SETTINGS = [
    dict(),
    dict(num_neighbors=9),
    dict(num_neighbors=1),
    dict(num_neighbors=0),
    dict(num_neighbors=1, mask_grids=(6, 5, 4, 3, 2)),
    dict(mask_grids=(6, 5, 4, 3, 2)),
    dict(mask_grids=(6, 5, 4, 3, 2), interpolation_mode=5),
    dict(context_layers=1),
    dict(context_channels=0),
    dict(fusion_layers=1),
    dict(fusion_layers=2, fusion_kernel=1, fusion_channels=3),
    dict(weight_kernel=3, weight_activation='tanh'),
    dict(weight_kernel=1, weight_activation=None),
    dict(cls_down_index=1),
    dict(deformable=True),
]


class TestLoss:
    @pytest.mark.parametrize('kind', HEADS)
    @pytest.mark.parametrize('settings', SETTINGS, ids=str)
    def test_equals_published(self, kind, settings):
        head = make_head(kind, **settings)
        feats, samples = make_feats(), [make_sample(0, 5), make_sample(1, 7)]
        ours = head.loss(feats, samples)
        theirs = published.loss(head, feats, samples)
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize('kind', HEADS)
    @pytest.mark.parametrize('kept', [0, 2**25])
    def test_gradients_equal_published(self, kind, kept, monkeypatch):
        monkeypatch.setattr(mask_losses, '_KEPT', kept)
        monkeypatch.setattr(selected, 'chunk_size', lambda *args, **kwargs: 2)
        head = make_head(kind)
        feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 4)]
        ours = grads(head, head.loss(feats, samples))
        theirs = grads(head, published.loss(head, feats, samples))
        assert ours.keys() == theirs.keys() == dict(head.named_parameters()).keys()
        for name, value in theirs.items():
            scale = value.abs().max().item()
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4 * scale + 1e-8)

    @pytest.mark.parametrize('kind', HEADS)
    @pytest.mark.parametrize('settings', [dict(), dict(deformable=True), dict(num_neighbors=0)])
    def test_a_batch_without_objects_trains_every_parameter(self, kind, settings):
        head = make_head(kind, **settings)
        losses = head.loss(make_feats(), [make_sample(0, 0), make_sample(1, 0)])
        assert losses['loss_mask'] == 0 and losses['loss_cls'] > 0
        assert grads(head, losses).keys() == dict(head.named_parameters()).keys()
        some = head.loss(make_feats(), [make_sample(0, 3), make_sample(1, 0)])
        assert grads(head, some).keys() == dict(head.named_parameters()).keys()

    @pytest.mark.parametrize('kind', HEADS)
    def test_one_image_without_objects(self, kind):
        head, feats = make_head(kind), make_feats()
        both = head.loss(feats, [make_sample(0, 5), make_sample(1, 0)])
        one = head.loss([f[:1] for f in feats], [make_sample(0, 5)])
        torch.testing.assert_close(both['loss_mask'], one['loss_mask'], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize('kind', HEADS)
    def test_small_masks_are_left_out(self, kind):
        head, sample = make_head(kind), make_sample(0, 1)
        sample.gt_instances.masks.masks[:] = 0
        sample.gt_instances.masks.masks[:, 40:43, 40:43] = 1       # 9 pixels
        sample.gt_instances.bboxes[:] = torch.tensor([40., 40, 43, 43])
        assert head.loss(make_feats(1), [sample])['loss_mask'] == 0
        assert make_head(kind, min_mask_area=9).loss(make_feats(1), [sample])['loss_mask'] > 0
        sample.gt_instances.masks.masks[:, 43, 40] = 1
        assert head.loss(make_feats(1), [sample])['loss_mask'] > 0

    def test_cells_of_overlapping_objects_learn_the_later(self):
        head = make_head('AggMaskStarHead')
        masks = np.zeros((2, *SIZE), np.uint8)
        masks[:, 30:70, 40:90] = 1
        masks[0, 40:60, 50:80] = 0      # a frame: the same box and center, another mask
        losses = []
        for kept in ([0, 1], [1]):
            sample = make_sample(0, 1)
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[40., 30, 90, 70]] * 2)[kept],
                labels=torch.tensor([4, 1])[kept], masks=BitmapMasks(masks[kept], *SIZE))
            losses.append(head.loss(make_feats(1), [sample]))
        assert losses[0] == losses[1]

    @pytest.mark.parametrize('kind, factors', [(HEADS[0], (4, 8, 16)), (HEADS[1], 4)])
    def test_masks_in_any_form(self, kind, factors):
        head, feats = make_head(kind), make_feats(1)
        polygons = PolygonMasks([[np.array([20., 20, 90, 20, 90, 100, 20, 100])],
                                 [np.array([60., 30, 130, 40, 100, 110])]], *SIZE)
        losses = []
        for masks in (polygons, polygons.to_bitmap(),
                      GridMaskTargets(factors).transform(dict(gt_masks=polygons))['gt_masks']):
            sample = make_sample(0, 2)
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[20., 20, 90, 100], [60, 30, 130, 110]]),
                labels=torch.tensor([1, 2]), masks=masks)
            losses.append(head.loss(feats, [sample]))
        assert losses[0] == losses[1] == losses[2]

    @pytest.mark.parametrize('kind', HEADS)
    def test_a_thousand_objects(self, kind):
        head = make_head(kind, stacked_convs=1)
        sample = make_sample(0, 1)
        gts = sample.gt_instances
        rng = np.random.default_rng(0)
        corner = torch.from_numpy(rng.uniform(0, 100, (1000, 2))).float()
        boxes = torch.cat((corner, corner + torch.from_numpy(rng.uniform(4, 28, (1000, 2)))), 1)
        masks = np.zeros((1000, *SIZE), np.uint8)
        for mask, box in zip(masks, boxes.int().tolist(), strict=True):
            mask[box[1]:box[3], box[0]:box[2]] = 1
        sample.gt_instances = InstanceData(bboxes=boxes.float(), masks=BitmapMasks(masks, *SIZE),
                                           labels=gts.labels.repeat(1000))
        losses = head.loss(make_feats(1), [sample])
        assert all(torch.isfinite(value) for value in losses.values())

    @pytest.mark.parametrize('kind', HEADS)
    def test_half_precision(self, kind):
        head, feats, samples = make_head(kind), make_feats(), [make_sample(0), make_sample(1)]
        full = head.loss(feats, samples)
        with torch.autocast('cpu', torch.bfloat16):
            half = head.loss(feats, samples)
        for name, value in full.items():
            assert half[name].dtype == torch.float32
            torch.testing.assert_close(half[name], value, rtol=.05, atol=.05)
        assert all(torch.isfinite(g).all() for g in grads(head, half).values())

    @pytest.mark.parametrize('kind', HEADS)
    def test_nan_is_not_hidden(self, kind):
        feats = make_feats()
        feats[0][0, 0, 3, 3] = float('nan')
        losses = make_head(kind).loss(feats, [make_sample(0), make_sample(1)])
        assert torch.isnan(losses['loss_mask'])


@pytest.mark.parametrize('kind', HEADS)
class TestDeformable:
    def test_starts_as_the_plain_head(self, kind):
        plain, bent = make_head(kind), make_head(kind, deformable=True)
        missing = bent.load_state_dict(plain.state_dict(), strict=False)
        assert [name.split('.')[0] for name in missing.missing_keys] == ['neighbor_offsets'] * 2
        feats, samples = make_feats(), [make_sample(0), make_sample(1)]
        for name, value in plain.loss(feats, samples).items():
            torch.testing.assert_close(bent.loss(feats, samples)[name], value)
        with torch.no_grad():
            for a, b in zip(plain.predict(feats, samples), bent.predict(feats, samples),
                            strict=True):
                torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-5)

    def test_learns_offsets(self, kind):
        head = make_head(kind, deformable=True)
        found = grads(head, head.loss(make_feats(), [make_sample(0), make_sample(1)]))
        assert found['neighbor_offsets.weight'].abs().max() > 0


@pytest.mark.parametrize('kind', HEADS)
def test_the_network_part_compiles(kind):
    head, feats = make_head(kind).eval(), make_feats(1)
    compiled = torch.compile(head.forward, backend='eager', fullgraph=True)
    with torch.no_grad():
        ours, plain = compiled(feats), head(feats)
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize('kind', HEADS)
def test_initial_weights(kind):
    head = MODELS.build({**SMALL, 'type': kind})
    head.init_weights()
    prior = pytest.approx(-np.log(99), abs=1e-4)
    assert head.solo_cate.bias.tolist() == [prior] * 6
    assert .008 < head.cate_convs[0].conv.weight.std() < .012
    assert (head.cate_convs[0].gn.weight == 1).all()
    if kind == 'AggMaskHead':
        assert all(conv.bias.tolist() == [prior] * len(conv.bias)
                   for conv in head.solo_ins_list)
    else:
        assert .008 < head.feature_convs[3][2].conv.weight.std() < .012
    # what predicts fusion weights keeps PyTorch's own
    assert head.learned_weights.weight.std() > .02


def test_levels_are_counted():
    with pytest.raises(UserError, match='num_outs'):
        make_head('AggMaskHead')(make_feats()[:4])


@pytest.mark.parametrize('settings, message', [
    (dict(weight_kernel=5), 'weight_kernel'), (dict(weight_activation='relu'), 'tanh'),
    (dict(num_neighbors=7), '4, 5, 9, 1 or 0'), (dict(strides=(8, 8)), 'levels'),
    (dict(mask_grids=(5, 5)), 'levels'), (dict(num_neighbors=0, context_channels=0), 'context'),
    (dict(deformable=True, num_neighbors=0), 'deformable=True.*num_neighbors=0'),
    (dict(num_neighbors=9, interpolation_mode=5), 'interpolation_mode=5.*num_neighbors=9'),
    (dict(num_neighbors=9, num_neighbours=4), 'num_neighbors=9 and num_neighbours=4'),
    *[(dict(stacked_convs=2, cls_down_index=index), f'cls_down_index.*stacked_convs=2, not {index}')
      for index in (-1, 2, 9)]])
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_head('AggMaskHead', **settings)


@pytest.mark.parametrize('kind', ['AggMaskHead', 'AggMaskStarHead'])
def test_the_spelling_of_earlier_configs_and_checkpoints(kind):
    head = make_head(kind, deformable=True, num_neighbors=5)
    torch.nn.init.normal_(head.neighbor_offsets.weight)
    old = make_head(kind, deformable=True, num_neighbours=5,
                    test_cfg=dict(score_thr=0.1, neighbour_maps=True))
    assert old.test_cfg.neighbor_maps and old.tables.num_neighbors == 5
    state = {name.replace('neighbor', 'neighbour'): value
             for name, value in head.state_dict().items()}
    assert 'neighbour_offsets.weight' in state
    old.load_state_dict(dict(state))
    assert torch.equal(old.neighbor_offsets.weight, head.neighbor_offsets.weight)
    # as models are loaded: of a head in a detector, and of one alone
    for model, prefix in ((torch.nn.ModuleDict(dict(mask_head=old)), 'mask_head.'), (old, '')):
        for spelling in (state, head.state_dict()):
            fit = match_state_dict(model, {prefix + name: value
                                           for name, value in spelling.items()})
            assert fit.complete and not fit.unexpected
            assert torch.equal(fit.state[f'{prefix}neighbor_offsets.weight'],
                               head.neighbor_offsets.weight)
            model.load_state_dict(fit.state)


def test_a_shared_tower_is_two_that_are_alike():
    """The tower of the fusion weights as a copy of the class tower, blind to coordinates."""
    two, one = make_head('AggMaskStarHead'), make_head('AggMaskStarHead', shared_tower=True)
    with torch.no_grad():
        for mine, other in zip(two.kernel_convs_convcomb, two.cate_convs, strict=True):
            mine.conv.weight.zero_()[:, :other.conv.weight.shape[1]] = other.conv.weight
    left = one.load_state_dict(two.state_dict(), strict=False)
    assert not left.missing_keys
    assert all(key.startswith('kernel_convs_convcomb') for key in left.unexpected_keys)
    feats, samples = make_feats(), [make_sample(0, 3), make_sample(1, 4)]
    expected, found = two.loss(feats, samples), one.loss(feats, samples)
    torch.testing.assert_close(found, expected)
    assert grads(one, found).keys() == dict(one.named_parameters()).keys()
