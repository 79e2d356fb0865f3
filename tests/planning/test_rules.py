"""Rules: numbers that follow from data made by hand."""
import itertools

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from pycocotools import mask as mask_api

from mmdet_lordre.errors import UserError
from mmdet_lordre.planning import rules, sizing
from mmdet_lordre.planning.card import Card
from mmdet_lordre.planning.ceiling import _smaller
from mmdet_lordre.planning.fit import FAMILIES, SIZES, fit
from mmdet_lordre.planning.objects import read_objects
from mmdet_lordre.planning.plan import config_of
from mmdet_lordre.planning.sample import Looks, choose_images, look, objects_of
from mmdet_lordre.planning.writing import config_text

from .data import coco, objects, square, write


def grid_of(count, side, step=20):
    """``count`` squares in rows of six."""
    return [(square(4 + step * (i % 6), 4 + step * (i // 6), side), 0) for i in range(count)]


class TestObjects:
    def test_arrays(self):
        data = objects([[(square(0, 0, 16, 4), 1)], [], [(square(8, 8, 10), 0)] * 2], ('a', 'b'))
        assert data.counts.tolist() == [1, 0, 2] and data.labels.tolist() == [1, 0, 0]
        assert data.sides.tolist() == [8, 10, 10]
        assert list(objects_of(data, 2)) == [1, 2] and not len(objects_of(data, 1))
        assert choose_images(data, 9, 100).tolist() == [0, 2]

    def test_boxes_end_at_the_border(self):
        data = objects([[(square(100, -20, 200), 0)]])
        assert data.boxes.tolist() == [[100, 0, 128, 128]]

    def test_crowds_and_what_cannot_be_learned_are_counted(self):
        data = coco([grid_of(3, 8)])
        data['annotations'][0]['iscrowd'] = 1
        data['annotations'][1]['image_id'] = 77
        found = read_objects(data, 'hand.json', None)
        assert len(found) == 1 and found.not_learned['crowd'] == 1
        assert sum(found.not_learned.values()) == 2

    @pytest.mark.parametrize('change, said', [
        (lambda a: a.clear(), 'has none'), (lambda a: a[0].update(iscrowd=1), 'crowds'),
        (lambda a: a[0].update(segmentation=[]), 'no masks')])
    def test_nothing_to_learn(self, change, said):
        data = coco([grid_of(1, 8)])
        change(data['annotations'])
        with pytest.raises(UserError, match=said):
            read_objects(data, 'hand.json', None)


class TestRules:
    def test_image_size(self):
        # half of the objects measure an eighth of the image
        least, most, _ = sizing.image_sizes(objects([grid_of(5, 16)]))
        assert (least, most) == (160, 256)  # 20 px; 48 px would be 384, more than twice the file
        assert sizing.image_sizes(objects([grid_of(5, 100, 1)]))[:2] == (96, 96)

    def test_large_objects_are_worth_finer_images_where_there_is_time(self):
        """Outlines of objects that fill most of a picture, and small ones beside many large."""
        large = objects([[(square(5, 5, 90), 0)]] * 2)  # of 128 px
        assert sizing.image_sizes(large)[1] == 96 and sizing.greatest_size(large) == 256
        fine = objects([[(square(50, 50, 900), 0)]] * 2, size=(1280, 1280))
        assert sizing.greatest_size(fine) == 320
        mixed = objects([[(square(50, 50, 600), 0)] * 6 + [(square(9, 9, 32), 0)] * 4],
                        size=(1280, 1280))
        assert sizing.image_sizes(mixed)[1] == 96 and sizing.greatest_size(mixed) == 1536

    def test_image_size_of_thin_objects(self):
        """Diagonal lines of 4 px: the box is 100 px wide, and half of what makes them is 4."""
        line = [[10, 10, 14, 10, 110, 110, 106, 110]]
        data = objects([[(line, 0)]])
        assert data.widths[0] == pytest.approx(2.83, abs=0.02)
        least, most, why = sizing.image_sizes(data)
        assert (least, most) == (224, 256) and 'thin objects' in why
        # what is compact is measured as before, though its mask does not fill the box
        disc = [np.ravel([(60 + 30 * np.cos(a), 60 + 30 * np.sin(a))
                          for a in np.arange(0, 6.28, 0.2)]).tolist()]
        data = objects([[(disc, 0)]])
        assert sizing.details(data)[0] == data.sides[0]

    def test_areas_are_those_of_masks(self):
        data = coco([[([[0, 0, 40, 0, 0, 40]], 0)]])
        data['annotations'][0]['area'] = 1600  # of the box, as some tools write
        assert read_objects(data, 'hand.json', None).areas.tolist() == [800]

    def test_image_size_of_huge_images_is_bounded(self):
        data = objects([grid_of(5, 16)], size=(10_000, 10_000))
        assert sizing.image_sizes(data)[1] == 1536

    def test_collisions(self):
        data = objects([grid_of(6, 8), grid_of(1, 8)])
        assert rules.collisions(data, 64) == 0
        assert rules.collisions(data, 1) == pytest.approx(5 / 7)
        only = np.arange(7) >= 5
        assert rules.collisions(data, 1, only) == 0

    def test_grids_are_finer_where_objects_are_close(self):
        far, near = objects([grid_of(6, 12)]), objects([grid_of(30, 12, 3)])
        ranges = rules.scale_ranges(far.sides)
        cells = [rules.grids(data, data.sides, 128, ranges)[0] for data in (far, near)]
        assert cells[0] == 32 and cells == sorted(cells)
        assert all(grid <= 128 / 4 for grid in cells)

    @pytest.mark.parametrize('levels', [3, 4])
    def test_every_side_has_a_level(self, levels):
        sides = np.concatenate([np.full(90, 10.), np.arange(11, 400)])
        ranges = rules.scale_ranges(sides, levels)
        assert len(ranges) == levels
        for side in sides:
            assert any(low <= side <= high for low, high in ranges)

    @pytest.mark.parametrize('least, low', [(0.4, 0), (1., 1)])
    def test_objects_of_less_than_a_pixel_have_a_level(self, least, low):
        assert rules.scale_ranges(np.linspace(least, 40, 99))[0][0] == low

    @pytest.mark.parametrize('stages', [3, 4])
    def test_polar_levels_follow_each_other(self, stages):
        for side in (8, 40):
            strides, ranges = rules.polar_levels(np.full(9, side), stages)
            assert len(strides) == len(ranges) and strides[0] == (4 if side == 8 else 8)
            assert ranges[0][0] == -1 and ranges[-1][1] == 1e8
            assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))

    def test_counts(self):
        data = objects([grid_of(30, 8)] * 3)
        assert rules.num_queries(data) == 50
        assert rules.detections(data) == (300, 100)
        many = objects([[(square(2 * (i % 60), 3 * (i // 60), 2), 0) for i in range(500)]])
        assert rules.num_queries(many) == 400 and rules.detections(many) == (3000, 650)

    def test_masks_of_a_few_samples_are_kept(self):
        ranges = ((1, 10), (8, 20), (16, 2048))
        for side, level, least in ((5., 0, 0), (400., 2, 16)):
            sides = np.full(9, side)
            assert rules.least_areas(sides, sides**2, ranges)[level] == least
        # of long objects the masks count, not the boxes
        assert rules.least_areas(np.full(9, 30.), np.full(9, 90.), ((1, 60), (50, 2048)))[0] == 1


class TestCard:
    def test_text(self):
        data = objects([grid_of(30, 8), []], ('thing', 'rare'))
        text = Card(data, look(data, with_pixels=False)).text()
        for part in ('2, all 128 x 128', 'most 30; 1 image without any', 'median 8',
                     'thing 30, rare 0; rare: rare', 'lose them first', 'Only 2 images'):
            assert part in text

    def test_more_objects_than_coco_counts(self):
        many = objects([[(square(2 * (i % 60), 3 * (i // 60), 2), 0) for i in range(200)]])
        assert "COCO's AP counts 100 detections" in Card(many, Looks()).text()


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('size', SIZES)
def test_every_family_and_size_is_a_config(family, size):
    data = objects([grid_of(5, 16), grid_of(2, 40)], ("it's", 'b"q\\'))
    text = config_text(fit(data, Looks(), family, size, steps=100, ema=0.01), ('a.json', 'a'),
                       ('b.json', 'b'))
    cfg = config_of(text)
    assert cfg.metainfo.classes == ("it's", 'b"q\\')
    assert cfg.val_evaluator.ann_file == 'b.json' and cfg.train_cfg.max_iters == 100
    assert cfg.optim_wrapper.optimizer.type == 'MuonWithAdamW'  # from scratch
    assert cfg.test_evaluator == cfg.val_evaluator and cfg.test_evaluator.type == 'CocoMaskMetric'
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_dataloader.dataset.type == 'CocoDataset'
    assert all(len(line) <= 140 for line in text.splitlines())


@pytest.mark.parametrize('settings, wrapper', [
    ({}, "type='OptimWrapper'"), (dict(low_precision=True), "type='BFloat16OptimWrapper'"),
    (dict(low_precision=True, on_gpu=True), "type='AmpOptimWrapper', dtype='bfloat16'")])
def test_precision(settings, wrapper):
    data = objects([grid_of(5, 16)])
    assert wrapper in config_text(fit(data, Looks(), 'lordre', **settings), ('a.json', 'a'), None)


@pytest.mark.parametrize('share', [0.3, 0.01])
def test_polarmask_draws_holes_where_there_are_some(share):
    data = objects([grid_of(5, 16)])
    text = config_text(fit(data, Looks(holes=share), 'polarmask'), ('a.json', 'a'), None)
    cfg = config_of(text)
    assert cfg.model.bbox_head.get('holes', False) == (share == 0.3)
    assert cfg.model.bbox_head.get('exact_rays', False) == (share == 0.01)
    steps = {step.type: step for step in cfg.train_pipeline}
    assert steps['ExtractContours'].get('holes', False) == (share == 0.3)
    assert ('# 30% of the objects have a hole: ' in text) == (share == 0.3)
    assert ('Objects have holes' in Card(data, Looks(holes=share)).text()) == (share == 0.3)


@pytest.mark.parametrize('family', ['aggmask', 'aggmask_star'])
@pytest.mark.parametrize('side', [3, 16])
def test_aggmask_learns_masks_of_few_pixels_where_there_are_some(family, side):
    one = fit(objects([grid_of(5, side)]), Looks(), family, longer=128)
    cfg = config_of(config_text(one, ('a.json', 'a'), None))
    assert cfg.model.mask_head.get('min_mask_area') == (1 if side == 3 else None)


def test_unknown_names():
    data = objects([grid_of(2, 16)])
    with pytest.raises(UserError, match='--family'):
        fit(data, Looks(), 'yolo')
    with pytest.raises(UserError, match='--size'):
        fit(data, Looks(), 'lordre', 'huge')


def test_ten_thousand_classes():
    names = tuple(f'class {i}' for i in range(10_000))
    data = objects([grid_of(5, 16)], names)
    text = Card(data, Looks()).text()
    assert '10000: ' in text and len(text) < 3000
    assert len(config_of(config_text(fit(data, Looks(), 'solov2'), ('a.json', 'a'),
                                     None)).metainfo.classes) == 10_000


def test_one_place_in_five_cells_where_objects_are_wide():
    assert rules.peak(np.array([12.] * 20)) == 5
    assert rules.peak(np.array([4.] * 3 + [40.] * 17)) == 3


def test_colors_are_varied_where_images_are_seen_often():
    assert rules.worth_varying(2000, 20) and not rules.worth_varying(1999, 20)


def test_two_images_a_step_on_a_cpu():
    assert [rules.batch_size(n, 'cpu') for n in (1, 2, 500)] == [1, 2, 2]
    assert [rules.batch_size(n, 'cuda:0') for n in (1, 500)] == [1, 4]


@pytest.mark.parametrize('cores,expected', [(1, 0), (2, 1), (16, 8)])
def test_processes_load_for_a_gpu_where_there_are_cores(monkeypatch, cores, expected):
    monkeypatch.setattr(rules.os, 'sched_getaffinity', lambda process: range(cores), raising=False)
    assert rules.workers('cpu') == 0 and rules.workers('cuda:0') == expected


def test_the_learning_rate_follows_the_root_of_the_batch():
    for family in FAMILIES:
        for scratch in (True, False):
            assert rules.learning_rate(8, family, scratch) == pytest.approx(
                2 * rules.learning_rate(2, family, scratch), rel=1e-2)


@pytest.mark.parametrize('side, said', [(16, ''), (60, '3.8 times as large there'),
                                        (4, '4.0 times as small there')])
def test_objects_of_another_size_to_judge_on_are_said(side, said):
    train, val = objects([grid_of(5, 16)]), objects([grid_of(1, side)])
    text = Card(train, Looks(), val).text()
    assert said in text and ('the network sees them' in text) == bool(said)


def test_whether_all_detections_count_is_said():
    data = objects([grid_of(120, 1, 3)])
    assert '16.7% of the objects can never count' in Card(data, Looks()).text()
    assert 'counts as many as there are objects' in Card(data, Looks(), all_counted=True).text()
    # 100 of each class
    several = objects([[(mask, i % 2) for i, (mask, _) in enumerate(grid_of(120, 1, 3))]], 'ab')
    assert 'COCO' not in Card(several, Looks()).text()
    uneven = objects([[(mask, i < 15) for i, (mask, _) in enumerate(grid_of(120, 1, 3))]], 'ab')
    assert ('1 image has more than 100 objects of a class: COCO\'s AP counts 100 detections of a '
            'class an image, so 4.2% of' in Card(uneven, Looks()).text())


class TestOversampling:
    def test_images_with_objects_are_drawn_half_of_the_time(self, tmp_path):
        data = coco([*[grid_of(2, 16)] * 2, *[[(square(9, 9, 20), 1)]] * 2, *[[]] * 36], ('a', 'b'))
        path = write(tmp_path, data)
        found = read_objects(data, path, str(tmp_path))
        threshold, why = rules.oversampling(found)
        assert why.startswith('90% of the images show no object')
        one = fit(found, Looks(), 'lordre')
        assert one.oversampling == threshold and one.shown == 0.5
        cfg = config_of(config_text(one, (path, str(tmp_path)), None))
        drawn = DATASETS.build(cfg.train_dataloader.dataset)
        shown = [len(drawn.get_cat_ids(i)) > 0 for i in range(len(drawn))]
        assert len(shown) == 72 and sum(shown) == 36

    def test_other_data_are_drawn_as_they_are(self):
        data = objects([grid_of(2, 16), [], grid_of(1, 16)])
        assert rules.oversampling(data)[0] is None
        assert rules.shown(data, None) == pytest.approx(2 / 3)
        # of crops a part is chosen to show objects, whatever the pictures show
        sparse = objects([grid_of(2, 16), [], []])
        assert rules.oversampling(sparse)[0] and rules.oversampling(sparse, empty=False)[0] is None

    def test_rare_classes(self):
        common, rare = (square(9, 9, 20), 0), (square(39, 9, 20), 1)
        data = objects([[common]] * 11 + [[rare]], ('a', 'b'))
        assert rules.oversampling(data) == (0.1, 'some classes are in less than a tenth of the '
                                                 'images that others are in')
        # the images count, not the objects in them
        assert rules.oversampling(objects([[common] * 11] * 2 + [[rare]], ('a', 'b')))[0] is None
        assert rules.oversampling(objects([[common]] * 11 + [[rare] * 5], ('a', 'b')))[0] == 0.1
        assert rules.oversampling(objects([[common]] * 12, ('a', 'b')))[0] is None

    def test_no_image_is_repeated_more_than_five_times(self, tmp_path):
        """A thousand images of two classes, one of which is in two of them."""
        data = coco([[(square(9, 9, 20), 0)]] * 998 + [[(square(9, 9, 20), 1)]] * 2, ('a', 'b'))
        path = write(tmp_path, data, draw=False)
        found = read_objects(data, path, str(tmp_path))
        cfg = config_of(config_text(fit(found, Looks(), 'lordre'), (path, str(tmp_path)), None))
        drawn = DATASETS.build(cfg.train_dataloader.dataset)
        assert np.bincount(drawn.repeat_indices).tolist() == [1] * 998 + [5] * 2


def test_large_objects_are_looked_at_like_small_ones():
    def ring(scale):
        outer, inner = square(10 * scale, 10 * scale, 80 * scale), square(30 * scale, 30 * scale,
                                                                          30 * scale)
        pixels = np.zeros((128 * scale, 128 * scale), np.uint8)
        for polygon, value in ((outer, 1), (inner, 0)):
            cv2.fillPoly(pixels, [np.reshape(polygon, (-1, 2)).astype(np.int32)], value)
        runs = mask_api.encode(np.asfortranarray(pixels))
        entry = dict(id=1, image_id=1, category_id=1, iscrowd=0, segmentation=runs,
                     area=float(pixels.sum()), bbox=mask_api.toBbox(runs).tolist())
        beside = dict(entry, id=2, segmentation=square(89 * scale, 10 * scale, 10 * scale),
                      area=100. * scale**2, bbox=[89 * scale, 10 * scale] + [10 * scale] * 2)
        data = coco([[]], size=pixels.shape)
        return look(read_objects(dict(data, annotations=[entry, beside]), 'hand.json', None),
                    with_pixels=False)
    small, large = ring(1), ring(20)
    assert (small.holes, small.parts, small.touching) == (0.5, 0, 1)
    assert (large.holes, large.parts, large.touching) == (0.5, 0, 1)
    assert large.fill == pytest.approx(small.fill, abs=0.03)


def test_what_every_second_row_and_column_miss_is_looked_at_whole():
    pixels = np.zeros((2000, 2000), np.uint8, order='F')
    pixels[[0, 1, 1999], [1, 0, 1999]] = 1
    entry = dict(id=1, image_id=1, category_id=1, iscrowd=0, bbox=[0, 0, 2000, 2000], area=3.,
                 segmentation=mask_api.encode(pixels))
    data = dict(coco([[]], size=(2000, 2000)), annotations=[entry])
    found = look(read_objects(data, 'hand.json', None), with_pixels=False)
    assert found.objects == 1 and found.fill == pytest.approx(3 / 2000**2)


@pytest.mark.parametrize('step', [2, 3, 5])
def test_masks_of_huge_pictures_are_halved_by_the_half(step):
    pixels = np.random.default_rng(step).random((31, 47)) < 0.5
    runs = mask_api.encode(np.asfortranarray(pixels.astype(np.uint8)))
    padded = np.zeros((-(-31 // step) * step, -(-47 // step) * step))
    padded[:31, :47] = pixels
    share = padded.reshape(-(-31 // step), step, -(-47 // step), step).mean((1, 3))
    found = mask_api.decode(_smaller(runs, (31, 47), step))
    np.testing.assert_array_equal(found, share >= 0.5)


@pytest.mark.parametrize('sides, said', [((1000, 1000), False), ((1000, 4000), True),
                                         ((100, 190), False)])
def test_images_of_one_scale_cut_differently_are_said(sides, said):
    data = coco([grid_of(5, 16)] * 2)
    for image, side in zip(data['images'], sides):
        image.update(width=side, height=side)
    text = Card(read_objects(data, 'hand.json', None), Looks()).text()
    assert ('Objects measure 1.6% of the longer side of small images and 0.4% of large ones: at '
            'one size of the network input, the latter are 4 times as small' in text) == said
