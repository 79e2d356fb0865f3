"""Pictures to results: order, batches, thresholds, broken files."""
import dataclasses
import json
import sys

import cv2
import numpy as np
import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.stream import Stream
from mmdet_lordre.prediction.thresholds import Thresholds, read_thresholds

from .conftest import PerfectModel
from .scenes import scene


def run(model, source, **settings):
    return list(Stream(model, Settings(**settings)).run(open_source(source)))


@pytest.mark.parametrize('rle', [False, True])
def test_masks_scores_and_order(perfect, rle):
    images = [scene(40, 50, (2, 3, 10, 12), (20, 30, 5, 6)), scene(30, 30),
              scene(40, 50, (0, 0, 40, 50))]
    model = PerfectModel(rle)
    results = run(model, images, batch=2, workers=3)
    assert [r.index for r in results] == [0, 1, 2] and [len(r) for r in results] == [2, 0, 1]
    # two of one size together, though another stands between them
    assert sorted(map(len, model.calls)) == [1, 2]
    first = results[0]
    assert first.boxes.tolist() == [[3, 2, 15, 12], [30, 20, 36, 25]]
    assert first.areas.tolist() == [120, 30] and first.names == ['box', 'bar']
    assert np.array_equal(first.bitmaps()[1], images[0][..., 0] == 2)
    assert first[[1]].boxes.tolist() == [[30, 20, 36, 25]]
    assert results[1].bitmaps().shape == (0, 30, 30)


def test_thresholds(perfect, tmp_path):
    image = scene(20, 40, (0, 0, 5, 5), (0, 10, 5, 5), (0, 20, 5, 5))  # scores 1 - 20 n / 512
    scores = [1 - 20 * n / 512 for n in (1, 2, 3)]
    labels = run(perfect, image)[0].labels.tolist()
    assert labels == [1, 2, 0]
    assert len(run(perfect, image, score_thr=scores[1])[0]) == 2
    path = tmp_path / 'thresholds.json'
    path.write_text(json.dumps(dict(default=0.1, classes=dict(box=0.99))))
    found, = run(perfect, image, thresholds=path)
    assert found.labels.tolist() == [2, 0]
    with pytest.raises(UserError, match="no class 'cat'"):
        run(perfect, image, thresholds=Thresholds(0.1, dict(cat=0.2)))


@pytest.mark.parametrize('content, said', [
    ('[]', 'not a file of thresholds'), ('{', 'not JSON'), ('{"default": 2}', 'between 0 and 1'),
    ('{"classes": {"a": "b"}}', 'class a'), ('{"clases": {}}', 'expected')])
def test_thresholds_that_are_none(tmp_path, content, said):
    path = tmp_path / 'thresholds.json'
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        read_thresholds(path)


def test_broken_pictures_are_passed_on(perfect, tmp_path):
    for name, data in (('a.png', b'no picture'), ('b.png', b''), ('d.png', None)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    cv2.imwrite(str(tmp_path / 'c.png'), scene(20, 20, (1, 1, 5, 5)))
    (tmp_path / 'list.txt').write_text('a.png\nb.png\nc.png\nd.png\n')
    results = run(perfect, tmp_path / 'list.txt', batch=3)
    assert [r.error is None for r in results] == [False, False, True, False]
    assert 'decoded' in results[0].error and 'empty' in results[1].error
    assert 'No such file' in results[3].error and len(results[2]) == 1


def test_few_pictures_are_ahead(perfect):
    """Memory does not grow with the source: a picture is read when few are waiting."""
    taken = []

    class Endless:
        def __iter__(self):
            for picture in open_source([scene(20, 20, (1, 1, 5, 5))] * 500):
                taken.append(picture.index)
                yield picture

    stream = Stream(perfect, Settings(batch=2, workers=2)).run(Endless())
    for done in range(30):
        next(stream)
        assert len(taken) - done < 40
    stream.close()


@pytest.mark.parametrize('wrong', [
    dict(score_thr=2), dict(batch=0), dict(tile=3), dict(tile='large'), dict(overlap=1),
    dict(batch=2.5), dict(workers=2.0), dict(min_area=1.5), dict(fill_holes=0.5), dict(level=1.0),
    dict(every=1.5)])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_model_without_masks(perfect):
    perfect.sample = lambda image, sample=perfect.sample: _without_masks(sample(image))
    with pytest.raises(UserError, match='no masks'):
        run(perfect, scene(20, 20, (1, 1, 5, 5)))


def test_to_supervision(perfect):
    supervision = pytest.importorskip('supervision')
    result, = run(perfect, scene(20, 40, (1, 2, 5, 6), (8, 20, 4, 3)))
    found = dataclasses.replace(result, track_ids=np.array([7, 9])).to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == 2
    assert found.xyxy.tolist() == result.boxes.tolist() and found.tracker_id.tolist() == [7, 9]
    assert np.array_equal(found.mask, result.bitmaps()) and found.mask.dtype == bool
    assert found.class_id.tolist() == result.labels.tolist()
    assert found.data['class_name'].tolist() == result.names
    assert np.array_equal(found.confidence, result.scores)
    assert found[found.confidence > 0.95].xyxy.tolist() == result.boxes[:1].tolist()
    empty, = run(perfect, scene(20, 40))
    assert len(empty.to_supervision()) == 0


def test_supervision_is_missing(perfect, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    result, = run(perfect, scene(20, 40, (1, 2, 5, 6)))
    with pytest.raises(UserError, match='supervision is not installed: pip install supervision'):
        result.to_supervision()


def _without_masks(sample):
    del sample.pred_instances.masks
    return sample
