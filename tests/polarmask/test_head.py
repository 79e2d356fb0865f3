import copy
import json
import warnings

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS, MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmdet_lordre.masks import RLEMasks, mask_boxes
from mmdet_lordre.polarmask import InstanceContours
from mmdet_lordre.visualization import PICTURE_MODES
from tests.parity.fill import ellipse_instances

META = dict(img_shape=(64, 92), ori_shape=(32, 46), scale_factor=(2.0, 2.0), img_id=1,
            batch_input_shape=(64, 96), pad_shape=(64, 96))


def build(**kwargs):
    torch.manual_seed(0)
    head = MODELS.build(dict(
        type='PolarMaskHead', num_classes=5, in_channels=16, feat_channels=16, stacked_convs=1,
        strides=(8, 16), regress_ranges=((-1, 32), (32, 1e8)),
        norm_cfg=dict(type='GN', num_groups=4), **kwargs))
    head.init_weights()
    return head


def features(batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, 16, 8, 12), torch.randn(batch, 16, 4, 6)


def sample(masks, boxes=None, labels=None):
    masks = np.asarray(masks, np.uint8).reshape(-1, 64, 96)
    boxes = mask_boxes(torch.from_numpy(masks)) if boxes is None else boxes
    labels = torch.zeros(len(masks), dtype=torch.long) if labels is None else labels
    found = DetDataSample(metainfo=META)
    found.gt_instances = InstanceData(bboxes=boxes, labels=labels,
                                      masks=BitmapMasks(masks, 64, 96))
    found.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return found


def confident(head, points=((3, 4), (6, 9))):
    """Outputs with discs of radius 12 at points (row, column) of the first level."""
    outputs = [[level.detach().clone() for level in kind] for kind in head(features(1))]
    cls_logits, distances, rays, centerness = outputs
    for level in cls_logits:
        level.fill_(-9)
    for index, (row, column) in enumerate(points):
        cls_logits[0][0, index, row, column] = 4 - index
        distances[0][0, :, row, column] = 12
        rays[0][0, :, row, column] = 12
        centerness[0][0, 0, row, column] = 2
    return outputs


def finite(losses):
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()
    return total


def test_names_are_the_published_ones():
    names = {name for name, _ in build().named_parameters()}
    for tower in ('cls', 'reg', 'mask'):
        assert {f'{tower}_convs.0.conv.weight', f'{tower}_convs.0.gn.weight',
                f'{tower}_convs.0.gn.bias'} <= names
    for output in ('cls', 'reg', 'mask', 'centerness'):
        assert {f'polar_{output}.weight', f'polar_{output}.bias'} <= names
    assert {'scales_bbox.1.scale', 'scales_mask.0.scale'} <= names
    assert len(names) == 9 + 8 + 4


def test_initial_weights():
    head = build(conv_cfg=dict(type='DCNv2'))
    assert torch.allclose(head.polar_cls.bias.sigmoid(), torch.tensor(0.01))
    assert 0.008 < head.polar_reg.weight.std() < 0.012
    for tower in (head.cls_convs, head.reg_convs, head.mask_convs):
        convolution = tower[0].conv
        assert not convolution.conv_offset.weight.any() and not convolution.bias.any()
        bound = (9 * 16) ** -0.5
        assert 0.9 * bound < convolution.weight.abs().max() <= bound


def test_forward_gives_every_level_in_pixels():
    outputs = build(num_rays=24)(features())
    assert [tuple(level.shape) for kind in outputs for level in kind] == [
        (2, 5, 8, 12), (2, 5, 4, 6), (2, 4, 8, 12), (2, 4, 4, 6), (2, 24, 8, 12), (2, 24, 4, 6),
        (2, 1, 8, 12), (2, 1, 4, 6)]
    assert all((level > 0).all() for kind in outputs[1:3] for level in kind)


class TestLosses:
    def cases(self):
        empty = np.zeros((0, 64, 96))
        pixel = np.zeros((1, 64, 96))
        pixel[0, 20, 20] = 1
        ring = np.zeros((1, 64, 96))
        ring[0, 10:50, 20:60] = 1
        ring[0, 20:40, 30:50] = 0
        parts = np.zeros((1, 64, 96))
        parts[0, :10, :10] = parts[0, 40:, 80:] = 1
        gone = np.zeros((1, 64, 96))
        return dict(empty=empty, pixel=pixel, ring=ring, parts=parts, gone=gone,
                    whole=np.ones((1, 64, 96)))

    @pytest.mark.parametrize('case', ['empty', 'pixel', 'ring', 'parts', 'gone', 'whole'])
    def test_hard_images_train(self, case):
        head = build()
        losses = head.loss(features(1), [sample(self.cases()[case])])
        assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_mask', 'loss_centerness'}
        finite(losses)
        # every parameter has a gradient, so that processes in parallel agree
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())

    def test_a_pixel_at_a_point_has_positives_of_no_weight(self):
        mask = np.zeros((1, 64, 96))
        mask[0, 20, 20] = 1
        head = build()
        data = sample(mask, boxes=torch.tensor([[16., 16., 30., 30.]]))
        losses = head.loss(features(1), [data])
        finite(losses)
        # there are positives, that on the pixel with a target of 0
        assert losses['loss_centerness'] > 0 and losses['loss_mask'] > 0

    def test_contours_of_the_loader_give_the_same_losses(self):
        boxes, labels, masks = ellipse_instances('losses', 64, 96, 6, 5)
        plain = sample(masks, torch.from_numpy(boxes), torch.from_numpy(labels))
        packed = copy.deepcopy(plain)
        packed.gt_instances.masks = InstanceContours.from_masks(plain.gt_instances.masks)
        head = build()
        first, second = (head.loss(features(1), [data]) for data in (plain, packed))
        assert first == second and first['loss_mask'] > 0

    def test_counts_of_one_process_are_an_option(self):
        data = [sample(self.cases()['ring']), sample(self.cases()['empty'])]
        first = build().loss(features(), data)
        second = build(sync_normalizers=False).loss(features(), data)
        assert all(torch.allclose(first[key], second[key]) for key in first)

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize('holes', [False, True])
    def test_half_precision(self, dtype, holes):
        head = build(holes=holes)
        boxes, labels, masks = ellipse_instances('half', 64, 96, 6, 5)
        data = [sample(masks, torch.from_numpy(boxes), torch.from_numpy(labels))]
        wanted = head.loss(features(1), data)
        with torch.autocast('cpu', dtype):
            losses = head.loss(features(1), data)
        finite(losses)
        for key, value in losses.items():
            assert value.dtype == torch.float32
            assert value.detach() == pytest.approx(float(wanted[key].detach()), rel=0.05)


class TestPredict:
    def predict(self, outputs, head=None, rescale=True, **cfg):
        head = head or build()
        return head.predict_by_feat(*outputs, [META], cfg=cfg, rescale=rescale)[0]

    def test_two_discs(self):
        result = self.predict(confident(build()))
        assert result.labels.tolist() == [0, 1]
        weight = torch.sigmoid(torch.tensor(2.)) + 0.5
        torch.testing.assert_close(result.scores, torch.tensor([4., 3.]).sigmoid() * weight)
        # column 4, row 3 of stride 8 is at (36, 28), half of it in the original image
        assert result.centers.tolist() == [[18, 14], [38, 26]]
        torch.testing.assert_close(result.bboxes[0], torch.tensor([12., 8, 24, 20]))
        assert result.masks.shape == (2, 32, 46) and result.masks.dtype == torch.bool
        radius = (result.contours[0] - result.centers[0]).norm(dim=1)
        torch.testing.assert_close(radius, torch.full((36,), 6.0))
        assert abs(int(result.masks[0].sum()) - np.pi * 36) < 20
        # the second disc reaches below the image: its last row is 63 in the input
        assert result.contours[1, :, 1].max() == 63 / 2

    def test_without_rescaling_it_is_in_pixels_of_the_input(self):
        result = self.predict(confident(build()), rescale=False)
        assert result.masks.shape == (2, 64, 92)
        assert result.centers[0].tolist() == [36, 28]

    def test_duplicates_are_suppressed_within_a_class(self):
        outputs = confident(build(), ((3, 4), (3, 5)))
        outputs[1][0].fill_(16)  # IoU 0.6
        assert len(self.predict(outputs)) == 2
        outputs[0][0][0, 0, 3, 5] = 3.5
        outputs[0][0][0, 1, 3, 5] = -9
        assert len(self.predict(outputs)) == 1
        head = build()
        kept = head.predict_by_feat(*outputs, [META], rescale=True, with_nms=False)[0]
        assert kept.labels.tolist() == [0, 0] and kept.scores[0] > kept.scores[1]

    def test_boxes_of_contours(self):
        outputs = confident(build())
        outputs[1][0].fill_(3)
        result = self.predict(outputs, nms_boxes='contour')
        torch.testing.assert_close(result.bboxes[0], torch.tensor([12., 8, 24, 20]))

    def test_limits(self):
        outputs = confident(build())
        assert len(self.predict(outputs, max_per_img=1)) == 1
        assert len(self.predict(outputs, score_thr=0.97)) == 1
        assert len(self.predict(outputs, nms_pre=1)) == 1
        for none in (-1, 0):
            assert len(self.predict(outputs, nms_pre=none, max_per_img=none)) == 2

    @pytest.mark.parametrize('fill', ['opencv', 'rounded', 'coco'])
    def test_run_lengths_equal_bitmaps(self, fill):
        outputs = confident(build())
        bitmaps = self.predict(outputs, fill=fill)
        lengths = self.predict(outputs, fill=fill, mask_format='rle')
        assert isinstance(lengths.masks, RLEMasks)
        np.testing.assert_array_equal(lengths.masks.to_ndarray(), bitmaps.masks.numpy())

    @pytest.mark.parametrize('mask_format', ['bitmap', 'rle'])
    def test_nothing_found(self, mask_format):
        outputs = confident(build(), ())
        result = self.predict(outputs, mask_format=mask_format)
        assert len(result.scores) == len(result.masks) == 0
        assert tuple(result.masks.shape) == (0, 32, 46) and result.bboxes.shape == (0, 4)

    def test_nan_gives_no_detection_and_no_crash(self):
        outputs = confident(build())
        outputs[0][0][0, :, 3, 4] = torch.nan
        assert self.predict(outputs).labels.tolist() == [1]
        outputs = confident(build())
        outputs[2][0][0, :, 3, 4] = torch.nan
        assert self.predict(outputs).contours.isfinite().all()

    def test_images_of_a_batch_do_not_mix(self):
        head = build(test_cfg=dict(score_thr=0.0, nms_pre=20))
        x = features(2)
        # mmcv's scale factors are arrays, which torch takes without a warning
        metas = [dict(META, scale_factor=np.array([2.0, 2.0])), META]
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            both = head.predict_by_feat(*head(x), metas, rescale=True)
        for i in range(2):
            alone = head.predict_by_feat(*head(tuple(f[i:i + 1] for f in x)), [META],
                                         rescale=True)[0]
            assert torch.equal(both[i].labels, alone.labels)
            torch.testing.assert_close(both[i].scores, alone.scores, rtol=1e-4, atol=1e-5)

    def test_one_image_as_mmdet_calls_it(self):
        outputs = confident(build())
        whole = self.predict(outputs)
        one = build()._predict_by_feat_single(*([level[0] for level in levels]
                                                for levels in outputs), META, rescale=True)
        assert len(one) == 2 and one.labels.tolist() == whole.labels.tolist()
        for key in ('scores', 'bboxes', 'masks', 'contours'):
            assert torch.equal(one[key], whole[key])

    def test_the_metric_and_the_visualizer_take_it(self, tmp_path):
        outputs = confident(build())
        result = self.predict(outputs, mask_format='rle')
        anns = [dict(id=i + 1, image_id=1, category_id=int(label) + 1, iscrowd=0,
                     segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
                     area=100, bbox=[*box[:2].tolist(), *(box[2:] - box[:2]).tolist()])
                for i, (label, rle, box) in enumerate(zip(result.labels, result.masks,
                                                          result.bboxes))]
        file = tmp_path / 'ann.json'
        file.write_text(json.dumps(dict(
            images=[dict(id=1, width=46, height=32)], annotations=anns,
            categories=[dict(id=i + 1, name=f'c{i}') for i in range(5)])))
        for form in ('rle', 'bitmap'):
            found = DetDataSample(metainfo=META)
            found.pred_instances = self.predict(outputs, mask_format=form)
            metric = METRICS.build(dict(type='mmdet.CocoMetric', ann_file=str(file),
                                        metric=['bbox', 'segm']))
            metric.dataset_meta = dict(classes=[f'c{i}' for i in range(5)])
            metric.process({}, [found.to_dict()])
            assert metric.evaluate(1)['coco/segm_mAP'] == pytest.approx(1)
            visualizer = DetLocalVisualizer()
            blank = np.zeros((32, 46, 3), np.uint8)
            visualizer.add_datasample('x', blank, found.cpu(), draw_gt=False)
            assert visualizer.get_image().any()

    def test_the_picture_of_rays(self):
        found = DetDataSample(metainfo=META)
        found.pred_instances = self.predict(confident(build()))
        blank = np.zeros((32, 46, 3), np.uint8)
        picture = PICTURE_MODES['rays'].draw(blank, found, ['a', 'b'], None)
        factor = picture.shape[0] // 32
        y, x = (int(factor * (v + 0.5)) for v in (14, 18))
        assert picture[y, x].any() and picture[y, x + 3 * factor].any()
        assert not picture[-3:, :3].any()
        nothing = DetDataSample(pred_instances=found.pred_instances[:0])
        assert not PICTURE_MODES['rays'].draw(blank, nothing, None, None).any()


def test_bad_settings_are_one_line_errors():
    with pytest.raises(ValueError, match='regress_ranges has 2'):
        MODELS.build(dict(type='PolarMaskHead', num_classes=1, in_channels=8,
                          regress_ranges=((0, 1), (1, 2))))
    for key, value in dict(nms_boxes='mask', mask_format='png', fill='even').items():
        with pytest.raises(ValueError, match=f'test_cfg.{key}'):
            build(test_cfg={key: value})
    for options in (dict(), dict(holes=True)):
        loss = 'loss_hole' if options else 'loss_centerness'
        with pytest.raises(ValueError, match=f'{loss} is of one value'):
            build(**options, **{loss: dict(type='CrossEntropyLoss')})
    with pytest.raises(ValueError, match='divisor of 360'):
        build(num_rays=7)
    with pytest.raises(ValueError, match='whole numbers'):
        MODELS.build(dict(type='PolarMaskHead', num_classes=1, in_channels=8, strides=(8.5,),
                          regress_ranges=((0, 1),)))
    with pytest.raises(ValueError, match='center_radius'):
        build(center_radius=0)


def test_the_network_compiles_as_one_graph():
    head = build()
    compiled = torch.compile(head.forward, fullgraph=True, backend='eager')
    for ours, plain in zip(compiled(features()), head(features())):
        for a, b in zip(ours, plain):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize('detector', ['PolarMask', 'SingleStageDetector'])
def test_in_a_detector_of_mmdet_with_plain_masks(detector):
    """An ordinary config: bitmaps padded by the preprocessor, no transform of ours."""
    from mmdet.utils import register_all_modules
    register_all_modules()
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type=detector,
        data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32, pad_mask=True),
        backbone=dict(type='ResNet', depth=18, base_channels=8, num_stages=2, strides=(1, 2),
                      dilations=(1, 1), out_indices=(0, 1), norm_cfg=dict(type='BN'),
                      style='caffe'),
        neck=dict(type='FPN', in_channels=[8, 16], out_channels=16, start_level=1,
                  add_extra_convs='on_output', num_outs=2),
        bbox_head=dict(
            type='PolarMaskHead', num_classes=5, in_channels=16, feat_channels=16,
            stacked_convs=1, strides=(8, 16), regress_ranges=((-1, 32), (32, 1e8)),
            norm_cfg=dict(type='GN', num_groups=4)),
        test_cfg=dict(score_thr=0.0, max_per_img=5)))
    boxes, labels, masks = ellipse_instances('detector', 60, 90, 3, 5)
    data = sample(np.zeros((0, 64, 96)))
    data.set_metainfo(dict(img_shape=(60, 90), ori_shape=(30, 45)))
    data.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes),
                                     labels=torch.from_numpy(labels),
                                     masks=BitmapMasks(masks, 60, 90))
    batch = dict(inputs=[torch.randint(0, 255, (3, 60, 90), dtype=torch.uint8)],
                 data_samples=[data])
    ready = model.data_preprocessor(copy.deepcopy(batch), training=True)
    finite(model(**ready, mode='loss'))
    model.eval()
    with torch.no_grad():
        result = model.test_step(batch)[0].pred_instances
    assert result.masks.shape == (5, 30, 45) and len(result.bboxes) == 5
