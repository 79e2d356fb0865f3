"""What is measured on the pixels of masks: crops, boundaries, holes, parts, outlines."""
import re

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as mask_api

from mmdet_lordre.masks.runs import Crop, crop_of_rle
from mmdet_lordre.reporting.average_precision import curves
from mmdet_lordre.reporting.crops import boundary, boundary_distance, window
from mmdet_lordre.reporting.mask_errors import mask_errors
from mmdet_lordre.reporting.matching import match
from mmdet_lordre.reporting.measure import measured
from mmdet_lordre.reporting.outlines import UNITS, outline
from mmdet_lordre.reporting.shapes import measure

from .scenes import Scene, box, random_scene, rle


@pytest.mark.parametrize('mask', [
    box(3, 5, 7, 9), box(0, 0, 60, 40), box(59, 39, 1, 1), box(0, 0, 1, 40), box(2, 2, 0, 0),
    np.random.default_rng(0).random((40, 60)) < 0.3])
def test_a_crop_is_the_mask(mask):
    crop = crop_of_rle(rle(mask))
    assert (window(crop, 0, 0, 60, 40) == mask).all()
    if mask.any():
        x, y, w, h = (int(v) for v in mask_api.toBbox(rle(mask)))
        assert (crop.x, crop.y, *crop.bitmap.shape) == (x, y, h, w)
    assert window(crop, -5, -5, 4, 4).sum() == 0
    assert window(crop, 50, 30, 20, 20)[10:, 10:].sum() == 0


def test_boundaries():
    crop = Crop(0, 0, np.ones((9, 9), np.uint8))
    assert boundary(crop, 2).sum() == 81 - 25 and boundary(crop, 5).sum() == 81
    assert boundary_distance(640, 480) == 16 and boundary_distance(8, 8) == 1


@pytest.mark.parametrize('seed', range(4))
def test_boundary_ap_is_that_of_faster_coco_eval(seed):
    scene = random_scene(seed, images=6, crowds=0.05)
    truth = COCO(scene.data)
    evaluator = COCOeval_faster(truth, truth.loadRes(scene.results), 'boundary',
                                print_function=lambda *_: None)
    evaluator.params.maxDets = [1, 10, 100]
    evaluator.evaluate()
    evaluator.accumulate()
    ours = measured('', scene.table(), count=2)
    assert (ours.boundary.precision > 0).any()
    assert not np.array_equal(ours.boundary.precision, ours.curves.precision)
    # faster-coco-eval has no epsilon in its divisions
    np.testing.assert_allclose(ours.boundary.precision, evaluator.eval['precision'][..., -1],
                               atol=1e-12)


def errors_of(scene, size=(120, 160)):
    table = scene.table()
    same = table.same_class()
    shown = np.ones(len(table.detections), bool)
    found, _ = match(table).at(0.5)
    partner = np.full(len(table.detections), -1)
    partner[match(table).detection] = found
    pairs = same.subset(partner[same.detection] == same.truth)
    shapes = measure(table, pairs, np.ones(len(pairs), bool))
    return mask_errors(table, shown, pairs, shapes), shapes


def large():
    return Scene(('a',), (120, 160)).image()


def big(*args):
    return box(*args, size=(120, 160))


def counts(errors):
    return {kind: errors.count(kind) for kind in errors.detection if errors.count(kind)}


def test_holes_filled():
    ring = big(10, 10, 60, 60) & ~big(25, 25, 30, 30)
    errors, shapes = errors_of(large().truth(ring).found(big(10, 10, 60, 60), 0.9))
    assert counts(errors) == {'holes filled': 1}
    assert shapes.hole[0] == pytest.approx(900 / 2700) and shapes.filled[0] == 1
    errors, shapes = errors_of(large().truth(ring).found(ring, 0.9))
    assert counts(errors) == {} and errors.among['holes filled'] == 1 and shapes.filled[0] == 0
    # what is open at the border of the image is no hole
    bay = big(10, 0, 60, 60) & ~big(25, 0, 30, 30)
    assert errors_of(large().truth(bay).found(big(10, 0, 60, 60), 0.9))[1].hole[0] == 0


def test_parts_lost():
    two = big(10, 10, 40, 40) | big(60, 10, 25, 30)
    errors, shapes = errors_of(large().truth(two).found(big(10, 10, 40, 40), 0.9))
    assert counts(errors) == {'parts lost': 1}
    assert shapes.lost[0] == pytest.approx(750 / 2350)
    # a rim as thin as the border is none, though it is as large
    errors, shapes = errors_of(large().truth(big(10, 10, 60, 60)).found(big(12, 12, 56, 56), 0.9))
    assert counts(errors) == {} and shapes.lost[0] == 0


def test_merged_and_split():
    scene = large().truth(big(10, 10, 30, 30)).truth(big(42, 10, 30, 30))
    errors, _ = errors_of(scene.found(big(10, 10, 62, 30), 0.9))
    assert counts(errors) == {'neighbors merged': 1}
    scene = large().truth(big(10, 10, 80, 30))
    scene.found(big(10, 10, 38, 30), 0.9).found(big(52, 10, 38, 30), 0.8)
    errors, _ = errors_of(scene)
    assert counts(errors) == {'objects split': 1}
    # the same part twice is a duplicate
    scene = large().truth(big(10, 10, 80, 30))
    scene.found(big(10, 10, 46, 30), 0.9).found(big(11, 10, 46, 30), 0.8)
    assert 'objects split' not in counts(errors_of(scene)[0])


def test_ragged_borders():
    comb = big(10, 10, 60, 40)
    comb[45:55, 10:70:2] = True
    errors, shapes = errors_of(large().truth(big(10, 10, 60, 42)).found(comb, 0.9))
    assert counts(errors) == {'ragged borders': 1} and shapes.ragged[0] > 1.5
    errors, shapes = errors_of(large().truth(big(10, 10, 60, 42)).found(big(9, 9, 60, 42), 0.9))
    assert counts(errors) == {} and shapes.ragged[0] == pytest.approx(1)


def test_outlines_lie_on_the_mask():
    path = outline(rle(box(10, 5, 20, 10)), 0, 0, 2.0)
    points = np.array([[int(v) for v in p.split()] for p in re.split('[MLZ]', path) if p])
    low, high = points.min(0) / UNITS / 2, points.max(0) / UNITS / 2
    assert np.abs(low - (10, 5)).max() < 0.4 and np.abs(high - (30, 15)).max() < 0.4
    ring = outline(rle(box(5, 5, 30, 30) & ~box(12, 12, 10, 10)), 0, 0, 1.0)
    assert ring.count('M') == 2
    assert outline(rle(box(0, 0, 0, 0)), 0, 0, 1.0) == ''
    assert 'L' in outline(rle(box(3, 3, 1, 1)), 0, 0, 0.25)
    noise = np.random.default_rng(0).random((300, 300)) < 0.5
    assert len(outline(rle(noise), 0, 0, 1.0)) < 8_000


def test_boundary_is_part_of_the_whole():
    ours = measured('', random_scene(5, crowds=0).table(), count=2)
    assert curves(ours.table, ours.matches).summary() == ours.curves.summary()
    assert ours.boundary.summary()['mAP'] <= ours.curves.summary()['mAP']
