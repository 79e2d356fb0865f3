"""Identities: through gaps, behind each other, without flicker; in every file."""
import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.masks.runs import rle_of_crop
from mmdet_lordre.prediction.association import assigned
from mmdet_lordre.prediction.result import Result
from mmdet_lordre.prediction.run import predict_files
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.tracking import Tracking, tracked

from .conftest import PerfectModel

SIZE = 120, 200


def disk(x, y, radius=12, hidden=None):
    """Run lengths of a disk, without the columns from ``hidden`` on."""
    mask = np.zeros(SIZE, np.uint8)
    cv2.circle(mask, (round(x), round(y)), radius, 1, -1)
    if hidden is not None:
        mask[:, hidden:] = 0
    return rle_of_crop(mask, 0, 0, SIZE)


def frames(*shown, film='a', labels=None):
    """Results of lists of (mask, score)."""
    results = []
    for number, objects in enumerate(shown):
        objects = sorted(objects, key=lambda one: -one[1])
        results.append(Result(
            f'{number}', number, SIZE, RLEMasks([rle for rle, _ in objects], SIZE),
            np.array([score for _, score in objects]),
            np.array([0] * len(objects) if labels is None else labels[number]), ('disk', 'ring'),
            film=film, frame=number + 1, time=number / 25))
    return results


def identities(results, **settings):
    thresholds = np.array([0.3, 0.3])
    return [r.track_ids.tolist() for r in tracked(results, Tracking(**settings), thresholds)]


def test_two_that_pass_each_other():
    shown = [[(disk(20 + 6 * t, 50), 0.9), (disk(170 - 6 * t, 62), 0.8)] for t in range(24)]
    assert identities(frames(*shown)) == [[1, 2]] * 24


def test_a_gap_and_what_is_gone_for_too_long():
    shown = [[(disk(20 + 4 * t, 50), 0.9)] if not 8 <= t < 14 else [] for t in range(25)]
    found = identities(frames(*shown))
    assert found[7] == [1] and found[8] == [] and found[14:] == [[1]] * 11
    assert identities(frames(*shown), lost=3)[14:] == [[2]] * 11


def test_behind_a_bar():
    """Half of it vanishes, all of it, and it comes out at the other side."""
    shown = []
    for t in range(40):
        x = 30 + 3 * t
        mask = np.zeros(SIZE, np.uint8)
        cv2.circle(mask, (x, 50), 14, 1, -1)
        mask[:, 70:100] = 0
        _, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
        shown.append([(rle_of_crop((parts == 1 + stats[1:, 4].argmax()).astype(np.uint8), 0, 0,
                                   SIZE), 0.9)] if mask.sum() > 60 else [])
    found = identities(frames(*shown))
    assert [] in found and {tuple(one) for one in found} == {(1, ), ()}


def test_low_scores_go_on_and_do_not_begin():
    scores = [0.9, 0.8, 0.7, 0.2, 0.15, 0.2, 0.8, 0.9]
    shown = [[(disk(20 + 4 * t, 50), score), (disk(150, 90), 0.2)]
             for t, score in enumerate(scores)]
    assert identities(frames(*shown)) == [[1]] * 8


def test_what_is_seen_once_is_nothing():
    shown = [[(disk(20 + 4 * t, 50), 0.9)] + ([(disk(150, 90), 0.8)] if t in (3, 9) else [])
             for t in range(12)]
    assert identities(frames(*shown)) == [[1]] * 12
    assert [1, 2] in identities(frames(*shown), confirm=1)


def test_identities_from_the_first_frame_on():
    """A result waits until it is known what is an object; its last frames are not lost."""
    shown = [[(disk(20, 50), 0.9)], [], [(disk(20, 50), 0.9)], [(disk(20, 50), 0.9)]]
    assert identities(frames(*shown), confirm=3) == [[1], [], [1], [1]]
    assert identities(frames(*shown[:3]), confirm=3) == [[], [], []]


def test_a_class_that_changes_and_one_that_is_another():
    shown = [[(disk(20 + 2 * t, 50), 0.9)] for t in range(9)]
    labels = [[0], [0], [0], [0], [1], [0], [0], [0], [0]]
    assert identities(frames(*shown, labels=labels)) == [[1]] * 9
    # at another place it is another object
    shown[4:] = [[(disk(40 + 2 * t, 50), 0.9)] for t in range(4, 9)]
    labels = [[0]] * 4 + [[1]] * 5
    assert identities(frames(*shown, labels=labels))[4:] == [[2]] * 5


def test_the_same_object_twice_in_a_frame():
    shown = [[(disk(20 + 2 * t, 50), 0.9), (disk(21 + 2 * t, 50), 0.5)] for t in range(6)]
    assert {tuple(one) for one in identities(frames(*shown))[1:]} == {(1, )}


def test_films_begin_anew():
    one = frames(*[[(disk(20, 50), 0.9)]] * 4)
    two = frames(*[[(disk(20, 50), 0.9)]] * 4, film='b')
    assert identities([*one, *two]) == [[1]] * 8


def test_a_larger_picture_in_the_middle_and_empty_frames():
    results = frames(*[[(disk(20, 50), 0.9)]] * 4, [], [])
    other = dataclasses.replace(results[0], size=(60, 60), masks=RLEMasks(
        [rle_of_crop(np.ones((5, 5), np.uint8), 3, 3, (60, 60))], (60, 60)), boxes=None)
    assert identities([*results, other, other, other])[-1] == [2]
    assert identities(frames([], [], [])) == [[], [], []]


def test_colors_tell_apart_what_shapes_do_not():
    """Two equal disks are hidden together, and come out with places exchanged."""
    def shown(t):
        swap = t >= 12
        return [] if 8 <= t < 12 else [(100, 48 if swap else 74), (100, 74 if swap else 48)]
    results = []
    for t in range(20):
        image = np.zeros((*SIZE, 3), np.uint8)
        for (x, y), color in zip(shown(t), ((0, 0, 250), (250, 0, 0))):
            cv2.circle(image, (x, y), 12, color, -1)
        one, = frames([(disk(x, y), 0.9) for x, y in shown(t)])
        results.append(dataclasses.replace(one, image=image, index=t, frame=t + 1, time=t / 25))
    assert identities(results, appearance=True) == [[1, 2] if shown(t) else [] for t in range(20)]
    assert identities(results)[-1] == [2, 1]


def test_the_best_of_all_together():
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert list(assigned(similarity, 0.2)) == [(0, 1), (1, 0)]
    assert list(assigned(similarity, 0.85)) == [(0, 0)]
    assert list(assigned(np.zeros((0, 3)), 0.2)) == []


@pytest.mark.parametrize('wrong', [dict(low=2), dict(lost=-1), dict(confirm=0)])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Tracking(**wrong)


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    pytest.importorskip('av')
    from .films import moving_scene, write_film
    folder = tmp_path_factory.mktemp('tracked')
    path = write_film(folder / 'a.mkv', [moving_scene(t, gap=(8, 9)) for t in range(24)])
    summary = predict_files(PerfectModel(), open_source(path), folder / 'out', [
        'coco', 'coco-annotations', 'yolo', 'labelme', 'geojson', 'png', 'masks', 'csv', 'cutouts',
        'mots'], Settings(track=True))
    assert str(summary).startswith('2 objects, 46 masks in 24 frames (')
    return folder / 'out'


def test_identities_in_every_file(out):
    """In the tenth frame the second object hides."""
    def of(frame):
        return [1] if frame in (9, 10) else [1, 2]
    entries = json.loads((out / 'results.json').read_text())
    content = json.loads((out / 'annotations.json').read_text())
    rows = list(csv.DictReader((out / 'measurements.csv').open()))
    mots = [line.split() for line in (out / 'mots' / 'a.txt').read_text().splitlines()]
    for frame in (1, 10, 20):
        name = f'a/{frame:06d}'
        assert [e['track_id'] for e in entries if e['image_id'] == frame] == of(frame)
        assert [a['track_id'] for a in content['annotations'] if a['image_id'] == frame] == \
            of(frame)
        assert [int(r['track_id']) for r in rows if int(r['frame']) == frame] == of(frame)
        assert [int(line[1]) for line in mots if int(line[0]) == frame] == of(frame)
        lines = (out / 'yolo' / 'labels' / f'{name}.txt').read_text().splitlines()
        assert [int(line.split()[-1]) for line in lines] == of(frame)
        assert len(lines[0].split()) % 2 == 0
        shapes = json.loads((out / 'labelme' / f'{name}.json').read_text())['shapes']
        assert [shape['group_id'] for shape in shapes] == of(frame)
        features = json.loads((out / 'geojson' / f'{name}.geojson').read_text())['features']
        assert [f['properties']['track_id'] for f in features] == of(frame)
        pixels = cv2.imread(str(out / 'png' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.unique(pixels).tolist() == [0, *of(frame)]
        for kind in ('masks', 'cutouts'):
            assert [int(p.name[:4]) for p in sorted((out / kind / name).iterdir())] == of(frame)
    assert rows[0]['time_s'] == '0' and float(rows[-1]['time_s']) == pytest.approx(2.3)


def test_mots_masks_share_no_pixel(tmp_path):
    pytest.importorskip('av')
    from pycocotools import mask as mask_api

    from .films import write_film
    image = np.zeros((40, 40, 3), np.uint8)
    image[5:25, 5:25] = (1, 20, 0)
    path = write_film(tmp_path / 'a.mkv', [image] * 4)
    model = PerfectModel()
    whole = model.sample

    def twice(image):
        sample = whole(image)
        found = sample.pred_instances
        larger = found.masks.clone()
        larger[0, 2:38, 2:15] = True
        found = type(found).cat([found, type(found)(masks=larger, labels=found.labels,
                                                    scores=found.scores - 0.2)])
        sample.pred_instances = found
        return sample
    model.sample = twice
    predict_files(model, open_source(path), tmp_path / 'out', ['mots'], Settings(track=True))
    lines = (tmp_path / 'out' / 'mots' / 'a.txt').read_text().split('\n')
    first, second = (mask_api.decode(dict(size=[40, 40], counts=line.split()[5].encode()))
                     for line in lines[:2])
    assert first.sum() == 400 and second.sum() == 36 * 13 - 20 * 10 and not (first & second).any()
    with pytest.raises(UserError, match='--save mots is for films'):
        predict_files(model, open_source(path), tmp_path / 'other', ['mots'])
