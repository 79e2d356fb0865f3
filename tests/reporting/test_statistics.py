"""Statistics on cases worked out by hand, and equal to other libraries' where those have them."""
import numpy as np
import pytest

from mmdet_lordre.reporting.average_precision import curves
from mmdet_lordre.reporting.bootstrap import draw, interval, resample
from mmdet_lordre.reporting.calibration import calibration, iou_of
from mmdet_lordre.reporting.confusion import confusion
from mmdet_lordre.reporting.findings import (
    missed_by_size,
    picture_quality,
    surest_mistakes,
    suspicious,
)
from mmdet_lordre.reporting.matching import match
from mmdet_lordre.reporting.thresholds import thresholds

from .scenes import Scene, box, random_scene

NO_THRESHOLD = np.zeros(2)


def two_classes():
    """Image 1: a found, b taken for a, one detection of nothing; image 2: a missed, a crowd."""
    scene = Scene().image('first.png')
    scene.truth(box(0, 0, 10, 10)).truth(box(20, 0, 10, 10), 1)
    scene.found(box(0, 0, 10, 9), 0.9).found(box(20, 0, 10, 10), 0.8).found(box(45, 20, 8, 8), 0.7)
    scene.image('second.png').truth(box(0, 20, 12, 12)).truth(box(30, 0, 30, 30), 0, crowd=1)
    scene.found(box(35, 5, 6, 6), 0.6).found(box(35, 15, 6, 6), 0.55, 1)
    return scene.image('empty.png')


def test_confusion_by_hand():
    found = confusion(two_classes().table(), NO_THRESHOLD)
    # rows a, b, background: b was taken for a; b in a crowd of a is a mistake, a in it is ignored
    assert found.counts.tolist() == [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    assert found.ignored == 1
    assert confusion(two_classes().table(), np.array([0.75, 0])).counts.tolist() == [
        [1, 0, 1], [1, 0, 0], [0, 1, 0]]
    strict = confusion(two_classes().table(), NO_THRESHOLD, iou=0.95)
    assert strict.counts.tolist() == [[0, 0, 2], [1, 0, 0], [2, 1, 0]]


def test_one_object_has_one_partner_and_classes_decide_between_equals():
    scene = Scene().image().truth(box(0, 0, 10, 10))
    scene.found(box(0, 0, 10, 10), 0.9, 1).found(box(0, 0, 10, 10), 0.5, 0)
    found = confusion(scene.table(), NO_THRESHOLD)
    assert found.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    nothing = confusion(Scene().image().truth(box(0, 0, 9, 9)).table(), NO_THRESHOLD)
    assert nothing.counts.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize('seed', range(4))
def test_confusion_counts_every_object_and_detection_once(seed):
    table = random_scene(seed, crowds=0.15).table()
    found = confusion(table, np.zeros(3))
    assert found.counts[:-1].sum() == (~table.truth.crowd).sum()
    assert found.counts[:, :-1].sum() + found.ignored == len(table.detections)
    real = found.truth[found.truth >= 0]
    assert len(np.unique(real)) == len(real)


def test_thresholds_by_hand():
    # a: right at 0.9 and 0.5, wrong at 0.7; two objects more are never found
    scene = Scene().image()
    for i in range(4):
        scene.truth(box(12 * i, 0, 8, 8))
    scene.found(box(0, 0, 8, 8), 0.9).found(box(0, 20, 8, 8), 0.7).found(box(12, 0, 8, 8), 0.5)
    table = scene.table()
    found = thresholds(table, match(table))
    at = {score: round(100 * score) for score in (0.4, 0.5, 0.51, 0.7, 0.71, 0.9, 0.91)}
    assert [found.right[0, at[s]] for s in at] == [2, 2, 1, 1, 1, 1, 0]
    assert [found.found[0, at[s]] for s in at] == [3, 3, 2, 2, 1, 1, 0]
    f1 = found.f1()[0]
    assert f1[at[0.5]] == pytest.approx(4 / 7) and f1[at[0.71]] == pytest.approx(2 / 5)
    assert f1[at[0.91]] == 0
    # the middle of 0 to 0.5, where it is highest; both classes have too few objects of their own
    assert found.default == 0.25 and found.best.tolist() == [0.25, 0.25]
    assert found.file(('a', 'b')) == dict(default=0.25, classes=dict(a=0.25, b=0.25))


def test_each_class_with_enough_objects_has_its_own_threshold():
    scene = Scene()
    for _ in range(6):
        scene.image().truth(box(0, 0, 8, 8)).truth(box(20, 0, 8, 8), 1)
        scene.found(box(0, 0, 8, 8), 0.9).found(box(0, 20, 8, 8), 0.8)
        scene.found(box(20, 0, 8, 8), 0.3, 1)
    table = scene.table()
    best = thresholds(table, match(table)).best
    assert 0.8 < best[0] <= 0.9 and best[1] <= 0.3


def test_calibration_by_hand():
    scene = Scene().image()
    scene.truth(box(0, 0, 10, 10)).truth(box(20, 0, 10, 10))
    scene.found(box(0, 0, 10, 8), 0.95).found(box(20, 0, 10, 10), 0.55)
    scene.found(box(40, 20, 8, 8), 0.55).found(box(40, 30, 8, 8), 0.01)
    table = scene.table()
    found = calibration(table, match(table))
    assert found.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 1]
    assert found.right[[5, 9]].tolist() == [0.5, 1] and np.isnan(found.right[0])
    assert found.iou[9] == pytest.approx(0.8)
    assert found.error == pytest.approx((2 * 0.05 + 0.05) / 3)


def test_iou_of_pairs():
    table = two_classes().table()
    assert iou_of(table, np.array([0, 1, 2]), np.array([0, 1, -1]))[:2].tolist() == [0.9, 1.0]
    assert np.isnan(iou_of(table, np.array([2]), np.array([0]))).all()


@pytest.mark.parametrize('seed', range(3))
def test_a_resample_of_every_image_once_is_the_data_set(seed):
    table = random_scene(seed, images=12).table()
    matches = match(table)
    one = resample(table, matches, np.ones((1, 12), np.int16))
    expected = curves(table, matches)
    assert one.ap[0] == pytest.approx(expected.summary()['mAP'], abs=1e-6)
    assert one.ap50[0] == pytest.approx(expected.summary()['mAP_50'], abs=1e-6)
    by_class = [row['AP'] for row in expected.by_class()]
    np.testing.assert_allclose(np.nan_to_num(one.by_class[0], nan=-1), by_class, atol=1e-6)


def test_a_resample_is_the_data_set_with_images_twice():
    scene = random_scene(3, images=8, ties=False)
    weights = np.array([[2, 0, 1, 3, 0, 0, 1, 1]], np.int16)
    table = scene.table()
    ours = resample(table, match(table), weights)
    again = Scene(('class 0', 'class 1', 'class 2'), scene.size)
    for image, times in enumerate(weights[0].tolist()):
        for _ in range(times):
            again.image()
            new = len(again.data['images'])
            again.data['annotations'] += [
                dict(a, image_id=new, id=len(again.data['annotations']) + i + 1) for i, a in
                enumerate(a for a in scene.data['annotations'] if a['image_id'] == image + 1)]
            again.results += [dict(r, image_id=new) for r in scene.results
                              if r['image_id'] == image + 1]
    other = again.table()
    assert ours.ap50[0] == pytest.approx(curves(other, match(other)).summary()['mAP_50'], abs=0.02)
    # equal scores of the copies are the only difference: apart they are the same
    for i, result in enumerate(again.results):
        result['score'] -= 1e-9 * i
    other = again.table()
    assert 0 < ours.ap[0] < 1
    assert ours.ap[0] == pytest.approx(curves(other, match(other)).summary()['mAP'], abs=0.03)


def test_intervals():
    weights = draw(50, 200)
    assert (weights.sum(1) == 50).all() and (draw(50, 200) == weights).all()
    low, high = interval(np.arange(1001) / 1000, 0.45)
    assert low == 0 and high == pytest.approx(0.925)  # around 0.45, not 0.5; none is below 0
    assert interval(np.arange(1001) / 1000, 0.6) == (pytest.approx(0.125), 1)
    assert interval(np.arange(1001) / 1000, 0.45, -1.) == pytest.approx((-0.025, 0.925))
    assert interval(np.array([np.nan])) is None


def test_pictures_and_objects_by_hand():
    table = two_classes().table()
    matrix = confusion(table, NO_THRESHOLD)
    quality = picture_quality(table, matrix)
    assert quality.right.tolist() == [1, 0, 0] and quality.wrong.tolist() == [2, 1, 0]
    assert quality.missed.tolist() == [1, 1, 0]
    assert quality.quality[0] == pytest.approx(0.9 / 2.5) and quality.quality[1] == 0
    assert np.isnan(quality.quality[2]) and quality.worst(5).tolist() == [1, 0]
    small, medium, large = missed_by_size(table, matrix)
    assert (small.objects, len(small.missed)) == (3, 1) and medium.objects == large.objects == 0
    assert small.missed.tolist() == [2]


def test_suspicious_annotations():
    from mmdet_lordre.reporting.error_split import error_split
    scene = Scene().image()
    for i in range(3):
        scene.truth(box(12 * i, 0, 8, 8))
        scene.found(box(12 * i, 0, 8, 8), 0.5 + 0.1 * i)
    scene.found(box(40, 20, 8, 8), 0.95).found(box(50, 20, 8, 8), 0.2)  # nothing is annotated
    scene.truth(box(0, 20, 10, 10), 1).found(box(0, 20, 10, 10), 0.9)  # a, annotated as b
    scene.truth(box(20, 20, 10, 10), 1)  # nothing comes near
    table = scene.table()
    split = error_split(table)
    doubts = suspicious(table, split, NO_THRESHOLD)
    assert table.detections.score[doubts.unlabeled].tolist() == [0.95]
    assert doubts.unfound.tolist() == [4]
    assert [part.tolist() for part in doubts.mislabeled] == [[1], [3]]
    assert table.detections.score[surest_mistakes(split, table, 'background', 9)].tolist() == [
        0.95, 0.2]
