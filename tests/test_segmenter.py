"""The short Python interface."""
import json
import re
import shutil

import cv2
import numpy as np
import pytest

import mmdet_lordre
from mmdet_lordre.errors import UserError

from .coco_ap import mask_ap


@pytest.fixture(scope='module')
def segmenter(work_folder):
    return mmdet_lordre.Segmenter(work_folder, device='cpu')


def test_predict(segmenter, pictures):
    results = list(segmenter.predict(pictures / 'val', score_thr=0.0))
    assert [result.name for result in results] == ['00', '01', '02', '03', '04']
    image = cv2.imread(str(pictures / 'val' / '03.png'))
    again, = segmenter(image, score_thr=0.0, keep_image=True)
    assert again.masks == results[3].masks and np.array_equal(again.image, image)
    assert json.loads(json.dumps(again.to_dict()))['width'] == 64
    together = list(segmenter.predict(pictures / 'val.json', score_thr=0.0, batch=2))
    assert [r.image_id for r in together] == [100, 101, 102, 103, 104]
    for one, other in zip(results, together):
        assert np.allclose(one.scores, other.scores, atol=1e-5)


def test_it_says_what_it_is(segmenter):
    line = repr(segmenter)
    assert line.startswith(f'Segmenter: {type(segmenter.model).__name__}, ')
    assert f'({", ".join(segmenter.classes)}), from {segmenter.model.checkpoint}' in line


def test_a_film(segmenter, tmp_path):
    pytest.importorskip('av')
    from tests.prediction.films import moving_scene, write_film
    path = write_film(tmp_path / 'a.mkv', [moving_scene(frame) for frame in range(4)])
    results = list(segmenter.predict(path, score_thr=0.0, track=True, every=2))
    assert [(r.film, r.frame, r.time) for r in results] == [('a', 1, 0.0), ('a', 3, 0.2)]
    assert all(len(r.track_ids) == len(r) for r in results)
    content = json.loads(json.dumps(results[0].to_dict()))
    assert content['frame'] == 1 and all('track_id' in one for one in content['objects'])
    with pytest.raises(UserError, match=r'^track is for films'):
        segmenter.predict(moving_scene(0), track=True)


def test_evaluate(segmenter, pictures, tmp_path):
    figures = segmenter.evaluate(pictures / 'val.json', json_out=str(tmp_path / 'r'), metrics=None)
    assert figures['coco/segm_mAP'] == pytest.approx(mask_ap(pictures / 'val.json',
                                                             tmp_path / 'r.segm.json'), abs=1e-6)
    for metrics in ('accuracy', ('accuracy', )):
        with pytest.raises(UserError, match=r"unknown metric '?accuracy"):
            segmenter.evaluate(pictures / 'val.json', metrics=metrics)
    with pytest.raises(UserError, match='images is the folder of the pictures of data, which is'):
        segmenter.evaluate(images=str(pictures / 'val'))


@pytest.mark.parametrize('metrics', [(), [], '', 5, {}])
def test_no_metric_is_no_evaluation(segmenter, pictures, metrics):
    with pytest.raises(UserError, match='metric'):
        segmenter.evaluate(pictures / 'val.json', metrics=metrics)


def test_files_are_those_of_the_beginning(work_folder, pictures, tmp_path, monkeypatch):
    """Wherever the program goes on, and whatever is saved beside them."""
    monkeypatch.chdir(work_folder.parent)
    model = mmdet_lordre.Segmenter(work_folder.name, device='cpu')
    figures = model.evaluate(pictures / 'val.json')
    other = tmp_path / work_folder.name
    shutil.copytree(work_folder, other)
    for path in other.glob('*.pth'):
        path.write_bytes(b'')
    monkeypatch.chdir(tmp_path)
    assert model.evaluate(pictures / 'val.json') == figures
    # one that counts as better, and came later
    shutil.copytree(work_folder, tmp_path / 'going on')
    going_on = mmdet_lordre.Segmenter(tmp_path / 'going on', device='cpu')
    (tmp_path / 'going on' / 'best_coco_segm_mAP_iter_9.pth').write_bytes(b'')
    assert going_on.evaluate(pictures / 'val.json') == figures


def test_export_replaces_a_file_only_when_asked(segmenter, tmp_path):
    onnx = pytest.importorskip('onnx')
    out = tmp_path / 'deep' / 'm.onnx'
    out.parent.mkdir()
    out.write_text('somebody else')
    with pytest.raises(UserError, match=r'm\.onnx already exists: .* overwrite=True$'):
        segmenter.export(out)
    with pytest.raises(UserError, match=r'must end in \.onnx'):
        segmenter.export(tmp_path / 'm.txt')
    assert out.read_text() == 'somebody else'
    assert not segmenter.export(out, shape=(64, 64), overwrite=True).missing
    onnx.checker.check_model(str(out))
    assert [path.name for path in out.parent.iterdir()] == ['m.onnx']


def test_things_of_another_kind_are_said(segmenter, work_folder, tmp_path):
    """By the name of the argument."""
    new, any_kind = mmdet_lordre.Segmenter, (3, b'a.pth', ['a'], '', '  ')
    calls = [('model', new, ()), ('checkpoint', new, ('a.py', )), ('path', segmenter.export, ()),
             ('data', segmenter.evaluate, ()), ('data', new.train, ())]
    for name, method, before in calls:
        for value in any_kind:
            with pytest.raises(UserError, match=f'^{name}: .*(is no path|is empty)'):
                method(*before, value)
    for name in ('val', 'work_dir'):
        with pytest.raises(UserError, match=f'^{name}: 3 is no path'):
            new.train(tmp_path, **{name: 3})
    with pytest.raises(UserError, match=r'^image: 5 is no path'):
        segmenter.export(tmp_path / 'a.onnx', image=5)
    with pytest.raises(UserError, match=r'^model: None is no path'):
        new(None)
    for options in ('x', 5, ['a=1'], {3: 1}):
        with pytest.raises(UserError, match=r'^options: .* is no dictionary of values by dotted'):
            new(work_folder, device='cpu', options=options)


def test_unknown_things_are_said(segmenter):
    for method, options, said in (
            (segmenter.evaluate, dict(foo=1), "evaluate takes no 'foo'; it takes work_dir"),
            (segmenter.export, dict(path='a.onnx', half_=True), "(did you mean 'half'?)"),
            (mmdet_lordre.Segmenter.train, dict(data='a.json', family='lordre'),
             "train takes no 'family' (did you mean 'families'?)"),
            (mmdet_lordre.Segmenter.train, dict(data='a.json', epochs=3), "takes no 'epochs'")):
        with pytest.raises(UserError, match=re.escape(said)):
            method(**options)
    with pytest.raises(UserError, match="takes no 'confidence'; it takes score_thr"):
        segmenter.predict('x.png', confidence=0.5)
    with pytest.raises(UserError, match="score_thr: 'x' is not between 0 and 1"):
        segmenter.predict('x.png', score_thr='x')
    with pytest.raises(UserError, match='no such picture'):
        segmenter.predict('x.png')
    with pytest.raises(AttributeError, match='Segmentor'):
        mmdet_lordre.Segmentor  # noqa: B018
