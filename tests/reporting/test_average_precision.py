"""AP is that of pycocotools, number by number; run lengths are looked into before they are used."""
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmdet_lordre.evaluation.coco_backend import run_coco_eval, summarize
from mmdet_lordre.masks.rle import encode_masks
from mmdet_lordre.reporting.average_precision import curves
from mmdet_lordre.reporting.matching import match
from mmdet_lordre.reporting.run_lengths import run_totals

from .scenes import Scene, box, random_scene


def pycocotools(scene, backend='pycocotools', iou_type='segm', max_dets=(1, 10, 100)):
    coco = COCO()
    coco.dataset = scene.data
    coco.createIndex()
    return run_coco_eval(coco, scene.results, iou_type, backend=backend, max_dets=max_dets,
                         cat_ids=[c['id'] for c in scene.data['categories']],
                         img_ids=[i['id'] for i in scene.data['images']])


def ours(scene, **options):
    table = scene.table(**options)
    return curves(table, match(table))


@pytest.mark.parametrize('seed', range(8))
def test_every_number_is_that_of_pycocotools(seed):
    scene = random_scene(seed, images=9, objects=(3, 9)[seed % 2])
    expected, found = pycocotools(scene), ours(scene)
    assert (expected.eval['precision'] > 0).sum() > 500  # there is something to compare
    np.testing.assert_array_equal(found.precision, expected.eval['precision'][..., -1])
    np.testing.assert_array_equal(found.recall, expected.eval['recall'])
    assert found.summary() == summarize(expected)
    assert found.summary() == summarize(pycocotools(scene, 'faster'))


def test_more_than_a_hundred_of_a_class_in_an_image():
    rng = np.random.default_rng(0)
    scene = Scene(('a',)).image()
    scene.truth(box(5, 5, 10, 10)).truth(box(30, 20, 8, 8))
    for _ in range(130):
        scene.found(box(int(rng.integers(50)), int(rng.integers(30)), 9, 9), 0.5)
    scene.found(box(5, 5, 10, 10), 0.2).found(box(30, 20, 8, 8), 0.5)
    expected = pycocotools(scene)
    np.testing.assert_array_equal(ours(scene).precision, expected.eval['precision'][..., -1])
    np.testing.assert_array_equal(ours(scene).recall, expected.eval['recall'])


def test_as_many_count_as_the_evaluator_counts():
    scene = Scene(('a',)).image()
    for k in range(120):
        scene.truth(box(k % 15 * 4, k // 15 * 4, 3, 3))
        scene.found(box(k % 15 * 4, k // 15 * 4, 3, 3), 0.5)
    cut, whole = (scene.table(max_dets=limits) for limits in ((1, 10, 100), (10, 100, 120)))
    assert '20 detections left out (--max-dets 120 counts as many as ' in cut.limit_line()
    assert '100 detections of a class in an image' in cut.limit_line() and cut.cut_off == 20
    assert whole.limit_line() is None and whole.cut_off == 0
    found = ours(scene, max_dets=(10, 100, 120)).summary()
    assert found == summarize(pycocotools(scene, max_dets=(10, 100, 120)))
    assert found['mAP'] == found['AR@120'] == 1
    assert ours(scene).summary()['mAP'] < 0.9


def test_nothing_found_and_nothing_there():
    scene = Scene().image().truth(box(5, 5, 10, 10)).image()
    assert ours(scene).summary() == summarize(pycocotools(scene))
    scene.found(box(5, 5, 10, 10), 0.5, 1)
    found = ours(scene)
    assert found.summary()['mAP'] == 0
    assert [row['AP'] for row in found.by_class()] == [0, -1]


def test_by_class_and_by_threshold():
    scene = Scene().image().truth(box(0, 0, 10, 10)).truth(box(20, 0, 10, 10), 1)
    scene.found(box(0, 0, 10, 8), 0.9).found(box(20, 0, 10, 10), 0.8, 1)
    found = ours(scene)
    a, b = found.by_class()
    assert (a['AP'], a['AP50'], a['AP75'], a['AR']) == (0.7, 1, 1, 0.7)  # IoU 0.8
    assert b['AP'] == b['AP_small'] == 1 and b['AP_large'] == -1
    assert dict(found.by_threshold())[0.8] == 1 and dict(found.by_threshold())[0.85] == 0.5


def test_totals_of_run_lengths():
    rng = np.random.default_rng(0)
    masks = [rng.random((37, 53)) < p for p in (0, 1, 0.5, 0.01, 0.99)]
    counts = [m['counts'] for m in encode_masks(np.stack(masks))]
    assert run_totals(counts).tolist() == [37 * 53] * 5
    assert run_totals([c.decode() for c in counts]).tolist() == [37 * 53] * 5
    assert run_totals([]).tolist() == []
    bad = [b'', b'\xff', b'P', counts[2] + b'1', counts[2][:-1] + b'o', b'o' * 40, b'O', 'h\u00e4']
    totals = run_totals([counts[2], *bad, counts[3]])
    assert totals[0] == totals[-1] == 37 * 53 and (totals[1:-1] != 37 * 53).all()
    many = [counts[i % 5] for i in range(9_000)]
    assert set(run_totals(many).tolist()) == {37 * 53}
