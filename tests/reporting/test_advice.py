"""What is said to do next follows from the numbers."""
import pytest

from mmdet_lordre.reporting.advice import advice
from mmdet_lordre.reporting.findings import missed_by_size, suspicious
from mmdet_lordre.reporting.measure import measured

from .scenes import Scene, box


def said(scene, **known):
    one = measured('model', scene.table(), count=2)
    doubts = suspicious(one.table, one.errors, one.scores)
    return advice(one, missed_by_size(one.table, one.confusion), doubts, **known)


def good(count=8):
    scene = Scene(size=(100, 100))
    for _ in range(count):
        scene.image().truth(box(0, 0, 40, 40, (100, 100)))
        scene.truth(box(50, 50, 40, 40, (100, 100)), 1)
        scene.found(box(0, 0, 40, 40, (100, 100)), 1.0)
        scene.found(box(50, 50, 40, 40, (100, 100)), 1.0, 1)
    return scene


def test_nothing_is_said_of_a_perfect_model():
    assert said(good()) == []


def test_what_is_known_of_the_run():
    lines = said(good(), rising=True, ceiling=1.0)
    assert lines == ['Validation AP was still rising at the end: train longer.',
                     'The head reaches AP 1.000 at most on these data; the model has 1.000, 100 % '
                     'of it.']


@pytest.mark.parametrize('change, words', [
    (lambda r: r.update(category_id=20 if r['category_id'] == 10 else 10), 'Class errors cost'),
    (lambda r: r.update(score=0.55), 'Scores are off by 0.45')])
def test_the_weightiest_comes_first(change, words):
    scene = good()
    for result in scene.results:
        change(result)
    assert said(scene)[0].startswith(words)


def test_small_objects_and_doubtful_annotations():
    scene = good(12)
    for image in scene.data['images']:
        scene.data['annotations'].append(dict(
            scene.data['annotations'][0], id=1000 + image['id'], image_id=image['id'],
            segmentation=[[80, 5, 90, 5, 90, 15, 80, 15]], area=100.0))
    scene.found(box(5, 60, 30, 30, (100, 100)), 1.0)
    lines = said(scene)
    assert any('12 of the 12 missed objects are small' in line and 'or on tiles' in line
               for line in lines)
    of_tiles = said(scene, tiled=True)
    assert any('missed objects are small' in line and 'on tiles that are enlarged more.' in line
               for line in of_tiles)
    assert not any('larger images' in line for line in of_tiles)
    assert any(line.startswith('1 annotation looks wrong') for line in lines)
    # a model that is mostly wrong says nothing of annotations
    for result in scene.results[:20]:
        result['segmentation'] = dict(scene.results[-1]['segmentation'])
    assert not any('wrong to the model' in line for line in said(scene))
