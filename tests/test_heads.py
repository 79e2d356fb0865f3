"""What the heads of all families do alike: settings, counts, and sizes that must agree."""
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from mmdet_lordre.aggmask.context import ContextBranch
from mmdet_lordre.errors import UserError
from mmdet_lordre.grid import GridMaskTargets
from mmdet_lordre.masks import ShrinkMasks
from mmdet_lordre.models import head_of
from mmdet_lordre.solov2 import SOLOv2FeatureBranch

from .deployment.models import FAMILIES, build, lordre
from .devices.samples import make_batch


def losses_of(config, counts=(3, 5), change=lambda batch: None, train=True):
    model = build(config)
    images, batch = make_batch(counts, device=False)
    change(batch)
    return model.train(train).loss(images, batch)


def head_config(config):
    return config.get('mask_head') or config['bbox_head']


@pytest.mark.parametrize('family', FAMILIES)
class TestEveryHead:
    def test_settings_are_complete_and_known(self, family):
        config = FAMILIES[family]()
        config.pop('test_cfg')
        model = build(config)  # published settings
        known = head_of(model).test_cfg
        assert known['mask_format'] == 'bitmap' and len(known) >= 5
        images, batch = make_batch((1, 1), device=False)
        with torch.no_grad():
            assert len(model.predict(images, batch)) == 2
        for key in ('score_thrs', 'min_bbox_size'):
            with pytest.raises(ValueError, match=rf'test_cfg of \w+ has no {key}; it knows'):
                build(FAMILIES[family]() | dict(test_cfg={key: 1}))

    def test_own_counts_of_a_process(self, family, monkeypatch):
        """With the switch off, what other processes have is of no matter."""
        def run(sync):
            config = FAMILIES[family]()
            head_config(config)['sync_normalizers'] = sync
            return losses_of(config, train=False)

        alone = run(True)
        for name, value in run(False).items():
            torch.testing.assert_close(value, alone[name])
        # another process without any object
        monkeypatch.setattr('mmdet_lordre.grid.heads.reduce_mean', lambda counts: counts / 2)
        monkeypatch.setattr('mmdet_lordre.grid.heads.get_world_size', lambda: 2)
        shared, own = run(True), run(False)
        global_counts = {'loss_cls', 'loss_dice'} if family == 'lordre' else set()
        for name, value in alone.items():
            if 'loss' not in name or not value:
                continue
            ratio = (shared[name] / value).item()
            assert ratio == pytest.approx(2, rel=0.05), name
            expected = 2 if name in global_counts else 1
            assert (own[name] / value).item() == pytest.approx(expected, rel=0.05), name

    def test_masks_of_another_size_are_refused(self, family):
        """As BatchSyncRandomResize leaves them."""
        def smaller(batch):
            for sample in batch:
                masks = sample.gt_instances.masks
                sample.gt_instances.masks = BitmapMasks(masks.masks[:, ::2, ::2],
                                                        masks.height // 2, masks.width // 2)
        with pytest.raises(UserError, match=r'masks of 0\.png have 32 x 48 .* its image 64 x 96'):
            losses_of(FAMILIES[family](), change=smaller)

    def test_boxes_as_boxes(self, family):
        """``boxtype2tensor=False`` leaves mmdet's own box type."""
        def boxes(batch):
            for sample in batch:
                sample.gt_instances.bboxes = HorizontalBoxes(sample.gt_instances.bboxes)
        plain = losses_of(FAMILIES[family](), train=False)
        for name, value in losses_of(FAMILIES[family](), change=boxes, train=False).items():
            torch.testing.assert_close(value, plain[name])


@pytest.mark.parametrize('family', ['solov2', 'aggmask', 'aggmask_star'])
def test_a_neck_of_another_stride_is_refused(family):
    """Nothing is learned from the top-left part of the masks."""
    config = FAMILIES[family]()
    config['backbone'].update(strides=(2, 2, 2))
    key = 'mask_feature_head.mask_stride' if family == 'solov2' else 'mask_stride'
    with pytest.raises(UserError, match=rf'have stride 8, .*mask_stride=4: set '
                                        rf'model\.mask_head\.{key}=8'):
        losses_of(config)
    head = head_config(config)
    if family == 'solov2':
        head['mask_feature_head']['mask_stride'] = 8
    else:
        head['mask_stride'] = 8
    losses_of(config)['loss_mask'].backward()


PYRAMIDS = ('solov2', 'aggmask', 'aggmask_star', 'polarmask')


@pytest.mark.parametrize('family', PYRAMIDS)
@pytest.mark.parametrize('neck, said', [
    (None, r'gets 3 maps of 8, 16, 32 channels, but is built for 3 of 16: set model\.neck, such '
           r"as dict\(type='FPN', in_channels=\[8, 16, 32\], out_channels=16, num_outs=3\)"),
    (dict(num_outs=5), r'gets 5 maps of 16 channels, .*: set model\.neck\.num_outs=3'),
    (dict(out_channels=24), r'gets 3 maps of 24 .*: set model\.(mask|bbox)_head\.in_channels=24')],
    ids=('none', 'levels', 'channels'))
def test_a_neck_that_does_not_fit_the_head(family, neck, said):
    config = FAMILIES[family]()
    config['neck'] = neck and config['neck'] | neck
    with pytest.raises(UserError, match=rf'model\.(mask|bbox)_head {said}'):
        losses_of(config)


def test_too_few_levels_are_refused():
    """PolarMask learned nothing of the sizes that the missing level is for."""
    config = FAMILIES['polarmask']()
    config['neck'].update(num_outs=2)
    with pytest.raises(UserError, match=r'gets 2 maps .* set model\.neck\.num_outs=3'):
        losses_of(config)


def test_strides_of_polarmask_are_those_of_the_neck():
    """Points elsewhere than the head takes them to be learned the wrong objects."""
    config = FAMILIES['polarmask']()
    config['neck'].update(start_level=0)
    with pytest.raises(UserError, match=r'strides \(4, 8, 16\), but the head has strides='
                                        r'\(8, 16, 32\): set model\.bbox_head\.strides='):
        losses_of(config)
    config['bbox_head'].update(strides=(4, 8, 16))
    losses_of(config)['loss_mask'].backward()


@pytest.mark.parametrize('family', ['lordre', 'lordre_places', *PYRAMIDS])
@pytest.mark.parametrize('step', [ShrinkMasks(16), GridMaskTargets(16)], ids=('shrunk', 'grid'))
def test_targets_of_another_head_or_factor(family, step):
    def make(batch):
        for sample in batch:
            sample.gt_instances.masks = step.make(sample.gt_instances.masks)
    wanted = {'lordre': 'ShrinkMasks', 'polarmask': 'ExtractContours'}.get(
        family.split('_places')[0], 'GridMaskTargets')
    with pytest.raises(UserError, match=wanted):
        losses_of(FAMILIES[family](), change=make)


@pytest.mark.parametrize('factor', [(4, 2), (2, 4, 8)])
def test_places_read_what_the_workers_shrank(factor):
    """Masks of the features' stride and of the logits'; one of them alone is refused."""
    config = FAMILIES['lordre_places']()
    config['mask_head']['mask_upsample'] = 2

    def shrink(batch, step=ShrinkMasks(factor)):
        for sample in batch:
            sample.gt_instances.masks = step.make(sample.gt_instances.masks)
    plain = losses_of(config, train=False)
    for name, value in losses_of(config, change=shrink, train=False).items():
        torch.testing.assert_close(value, plain[name], rtol=0, atol=0)
    with pytest.raises(UserError, match=r'ShrinkMasks\(factor=\(4, 2\)\)'):
        losses_of(config, change=lambda batch: shrink(batch, ShrinkMasks(4)))


def test_region_classifier_reads_what_the_workers_shrank():
    config = lordre(region_classifier=dict(hidden_channels=8))

    def shrink(batch):
        for sample in batch:
            sample.gt_instances.masks = ShrinkMasks(2).make(sample.gt_instances.masks)
    plain = losses_of(config, train=False)
    assert plain['loss_region'] > 0
    for name, value in losses_of(config, change=shrink, train=False).items():
        torch.testing.assert_close(value, plain[name])


@pytest.mark.parametrize('family', ['lordre', *(
    pytest.param(family, marks=pytest.mark.long) for family in FAMILIES if family != 'lordre')])
def test_a_compiled_loss(family):
    """``compile`` of a config: what cannot be in a graph stays out of it."""
    torch._dynamo.reset()
    model = build(FAMILIES[family]())
    images, batch = make_batch((2, 1), device=False)
    features = [feature.detach() for feature in model.extract_feat(images)]
    plain = head_of(model).loss(features, batch)
    compiled = torch.compile(head_of(model).loss, backend='eager')(features, batch)
    assert compiled.keys() == plain.keys()
    for name, value in compiled.items():
        torch.testing.assert_close(value, plain[name], rtol=1e-4, atol=1e-5)


def test_settings_of_another_head_type_are_named():
    with pytest.raises(ValueError, match='test_cfg of SOLOv2KernelHead has no rays'):
        MODELS.build(FAMILIES['solov2']() | dict(test_cfg=dict(rays=True)))


@pytest.mark.parametrize('family', ['solov2', 'aggmask_star'])
@pytest.mark.parametrize('setting, said', [
    (dict(num_grids=(10, 8, 0)), 'num_grids must be whole numbers from 1'),
    (dict(num_grids=(10, 8)), 'have 3, 3 and 2 levels'),
    (dict(scale_ranges=((24, 1), (16, 40), (32, 256))), r'scale_ranges .*, not \(24, 1\)'),
    (dict(pos_scale=0), 'no cell would be positive'), (dict(stacked_convs=0), 'at least 1')])
def test_settings_with_which_nothing_is_learned(family, setting, said):
    config = FAMILIES[family]()
    head_config(config).update(setting)
    with pytest.raises(ValueError, match=said):
        build(config)


def test_ranges_of_polarmask():
    config = FAMILIES['polarmask'](regress_ranges=((-1, 20), (40, 20), (40, 1e8)))
    with pytest.raises(ValueError, match=r'regress_ranges .*, not \(40, 20\)'):
        build(config)


@pytest.mark.parametrize('family', ['lordre', 'lordre_places'])
def test_a_map_that_the_neck_does_not_give(family):
    config = FAMILIES[family](in_index=1)
    with pytest.raises(UserError, match=r'reads map 1 .*gives 1, .*set model\.mask_head\.in_index'):
        losses_of(config)


def test_an_image_without_objects_at_an_odd_size_of_masks():
    """Where a block of pixels has no middle, masks are resized as they are."""
    losses = losses_of(lordre(mask_upsample=3), (2, 0))
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize('family', PYRAMIDS)
def test_groups_that_do_not_divide_the_channels(family):
    config = FAMILIES[family]()
    head_config(config)['norm_cfg'] = dict(type='GN', num_groups=5)
    with pytest.raises(ValueError, match=r'feat_channels=\d+ is not a multiple of the '
                                         r'num_groups=5 of norm_cfg: set norm_cfg\.num_groups'):
        build(config)


def test_groups_that_do_not_divide_the_channels_of_a_branch():
    with pytest.raises(ValueError, match='in_channels=12 is not a multiple of the num_groups=8'):
        ContextBranch(12, 3, 4, norm_cfg=dict(type='GN', num_groups=8))
    ContextBranch(12, 3, 4, layers=1, norm_cfg=dict(type='GN', num_groups=8))
    with pytest.raises(ValueError, match='out_channels=12 is not a multiple of the num_groups=8'):
        SOLOv2FeatureBranch(8, 16, 12, norm_cfg=dict(type='GN', num_groups=8))
