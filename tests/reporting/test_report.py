"""Whole reports: files in, a page and numbers out; wrong files in one line."""
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_lordre.cli.report import main as report
from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.thresholds import read_thresholds
from mmdet_lordre.reporting.examples import inside
from mmdet_lordre.reporting.inputs import annotated_of
from mmdet_lordre.reporting.sources import ceilings_of, find_source
from tests.pages.test_render import outline

from .scenes import Scene, box, random_scene
from .test_run_log import iteration
from .test_run_log import start as start_run

HOSTILE = ['</script><script>window.ran = 1</script>', '"><img src=x onerror="window.ran=1">',
           '\x1b[31mred\x07\u202e', "'; alert(1); '", '{{ 7 * 7 }}',
           '\u540d\u524d \u0627\u0633\u0645']


def hostile_scene():
    scene = Scene(HOSTILE, (120, 160))
    rng = np.random.default_rng(0)
    for i in range(12):
        scene.image(f'{i}{HOSTILE[i % 6].replace("/", "|")}.png')
        for k in range(3):
            x, y = int(rng.integers(100)), int(rng.integers(80))
            label = int(rng.integers(6))
            scene.truth(box(x, y, 30, 24, (120, 160)), label)
            scene.found(box(x + 2, y + 1, 30, 24, (120, 160)), 0.9 - 0.1 * k,
                        label if k else (label + 1) % 6)
        scene.found(box(2, 2, 9, 9, (120, 160)), 0.85, 0)
    return scene


def write(scene, folder, images=True):
    """truth.json, results.json and pictures; returns the options that name them."""
    folder.mkdir(exist_ok=True)
    (folder / 'truth.json').write_text(json.dumps(scene.data))
    (folder / 'results.json').write_text(json.dumps(scene.results))
    if images:
        (folder / 'images').mkdir()
        for image in scene.data['images']:
            picture = np.random.default_rng(0).integers(0, 255, (*scene.size, 3), np.uint8)
            cv2.imencode('.png', picture)[1].tofile(str(folder / 'images' / image['file_name']))
    return ['--results', str(folder / 'results.json'), '--ann', str(folder / 'truth.json'),
            '--resamples', '20']


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """(folder, page, numbers) of a report whose names are hostile."""
    folder = tmp_path_factory.mktemp('report')
    page = report(write(hostile_scene(), folder))
    numbers = json.loads((folder / 'results_report' / 'report.json').read_text())
    return folder, Path(page).read_text(encoding='utf-8'), numbers


def test_names_are_shown_and_never_run(made):
    _, page, _ = made
    own = re.findall(r'<script>(.*?)</script>', page, re.S)
    assert len(own) == 2 and 'window.ran' not in ''.join(own)
    assert '<img' not in page and '\x1b' not in page and '\x07' not in page and '\u202e' not in page
    assert '&lt;img src=x onerror=' in page and '\\x1b[31mred\\x07\\u202e' in page
    assert '{{ 7 * 7 }}' in page and '49' not in re.findall(r'<td>([^<]*)</td>', page)
    assert HOSTILE[5] in page
    addresses = [value for _, attrs in outline(page).found for key, value in attrs.items()
                 if key in ('src', 'href', 'srcset', 'action')]
    assert addresses and all(value.startswith('#') for value in addresses)


def test_numbers(made):
    folder, page, numbers = made
    model = numbers['models'][0]
    assert numbers['written_by'].startswith('mmdet_lordre')
    assert numbers['data']['objects'] == 36 and numbers['data']['images'] == 12
    assert f'{model["figures"]["mAP"]:.3f}' in page
    low, high = model['intervals']['mAP']
    assert low <= model['figures']['mAP'] <= high
    counts = np.array(model['confusion']['counts'])
    assert counts[:-1].sum() == 36 and counts.shape == (7, 7)
    # two of three detections of an object are of its class
    assert model['errors']['count']['class'] >= 10
    thresholds = json.loads((folder / 'results_report' / 'thresholds.json').read_text())
    assert set(thresholds['classes']) == set(HOSTILE) and 0 <= thresholds['default'] <= 1
    assert model['thresholds'] == thresholds
    # as predict reads it
    read = read_thresholds(folder / 'results_report' / 'thresholds.json')
    assert read.of(HOSTILE).tolist() == pytest.approx(list(thresholds['classes'].values()))


def examples_of(page):
    text = re.search(r'id="examples-data">(.*?)</script>', page, re.S)[1]
    return json.loads(text)


def test_pictures(made):
    _, page, _ = made
    examples = examples_of(page)
    assert len(examples) > 30 and all(e['s'].startswith('data:image/jpeg;base64,')
                                      for e in examples)
    assert all(path.startswith('M') for e in examples for path, *_ in e['t'] + e['d'])
    # every cell that is not empty has a cut
    cells = json.loads(re.search(r'id="confusion-data">(.*?)</script>', page, re.S)[1])['cells']
    assert cells and all(numbers and pictures for _, _, _, numbers, pictures in cells)


def test_the_page_does_not_grow_with_the_mistakes(tmp_path):
    """Crowded pictures, every object of them annotated as another class."""
    size = (400, 400)
    scene = Scene(('a', 'b'), size)
    for _ in range(2):
        scene.image()
        for i in range(600):
            disc = np.hypot(*np.mgrid[-7:7, -7:7]) < 6.5
            mask = np.zeros(size, bool)
            mask[i // 25 * 16:i // 25 * 16 + 14, i % 25 * 16:i % 25 * 16 + 14] = disc
            scene.truth(mask, i % 2)
            scene.found(mask, 0.5 + i / 2000, (i + i % 5 > 1) % 2)
    page = Path(report(write(scene, tmp_path / 'a')))
    assert page.stat().st_size < 2_000_000
    examples = examples_of(page.read_text())
    assert len(examples) < 200
    whole = max(examples, key=lambda example: len(example['t']))
    assert len(whole['t']) == 300
    assert sum(path.count('L') for path, *_ in whole['t'] + whole['d']) < 12_000


def test_again_and_over_foreign_files(made, tmp_path, capsys):
    folder, _, _ = made
    options = ['--results', f'{folder}/results.json', '--ann', f'{folder}/truth.json',
               '--resamples', '2']
    page = report([*options, '--out', str(tmp_path / 'a')])
    size = os.path.getsize(page) / 2**20
    assert f'report: {page} ({size:.1f} MiB)' in capsys.readouterr().out
    report([*options, '--out', str(tmp_path / 'a')])  # its own files
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'report.html').write_text('mine')
    with pytest.raises(UserError, match='was not written by lordre report: choose another'):
        report([*options, '--out', str(tmp_path / 'b')])
    assert (tmp_path / 'b' / 'report.html').read_text() == 'mine'


def test_without_images_and_with_others(tmp_path, capsys):
    first = random_scene(1, images=8)
    options = write(first, tmp_path / 'a', images=False)
    second = Scene(('class 0', 'class 1', 'class 2'), first.size)
    second.results = [r for r in first.results if r['score'] > 0.3]
    write(second, tmp_path / 'b', images=False)
    page = report([*options, '--against', f'{tmp_path}/b/results.json'])
    text = Path(page).read_text()
    assert 'masks are drawn on plain ground' in text and 'a/results' in text and 'b/results' in text
    assert all(e['s'] == '' and e['t'] + e['d'] for e in examples_of(text))
    numbers = json.loads((tmp_path / 'a' / 'results_report' / 'report.json').read_text())
    rows = numbers['comparisons'][0]['rows']
    assert [row['what'] for row in rows[:3]] == ['AP', 'AP50', 'AP75'] and len(rows) == 6
    ap = [model['figures']['mAP'] for model in numbers['models']]
    assert rows[0]['difference'] == pytest.approx(ap[1] - ap[0])
    low, high = rows[0]['interval']
    assert low <= rows[0]['difference'] <= high and rows[0]['real'] == (low > 0 or high < 0)


def test_the_same_results_do_not_differ(tmp_path):
    options = write(random_scene(2), tmp_path / 'a', images=False)
    report([*options, '--against', f'{tmp_path}/a/results.json'])
    numbers = json.loads((tmp_path / 'a' / 'results_report' / 'report.json').read_text())
    assert not any(row['real'] or row['difference'] for row in numbers['comparisons'][0]['rows'])


def test_nothing_found(tmp_path):
    scene = Scene().image().truth(box(0, 0, 9, 9)).image()
    page = report(write(scene, tmp_path / 'a', images=False))
    assert '0.000' in Path(page).read_text()


def test_a_run_without_predictions(tmp_path):
    start_run(tmp_path, '20260101_000000', [iteration(10, 5.0), iteration(20, 4.0)])
    (tmp_path / 'ceiling.json').write_text('{"LordreHead": 0.91, "x": "y", "<b>": {"AP": 0.5}}')
    page = Path(report([str(tmp_path)])).read_text()
    page = page[:page.index('<script>')]
    assert 'There are no predictions beside this run' in page and 'Parts of the loss' in page
    assert ceilings_of(find_source(str(tmp_path))) == {'LordreHead': 0.91, '<b>': 0.5}
    (tmp_path / 'ceiling.json').unlink()
    (tmp_path / 'plan').mkdir()
    (tmp_path / 'plan' / 'plan.json').write_text(json.dumps(dict(
        family='solov2', ceilings=dict(solov2=dict(AP=0.8), lordre=dict(AP=0.9)))))
    assert ceilings_of(find_source(str(tmp_path))) == dict(solov2=0.8)
    assert '<b>' not in page and 'ceiling of &lt;b&gt;' in page


@pytest.mark.parametrize('change, message', [
    (dict(image_id=99), r'result 1 is of image 99, which .*truth\.json does not have \(1 of 4'),
    (dict(category_id='x'), "result 1 is of category 'x', which"),
    (dict(score=float('nan')), 'result 1 has the score nan'),
    (dict(segmentation=None), 'result 1 cannot be drawn: it has no mask'),
    (dict(segmentation=dict(size=[40, 60], counts='_0')), 'result 1 has a damaged mask'),
    (dict(segmentation=dict(size=[4, 6], counts='h0')), 'result 1 cannot be drawn: .* 4x6'),
    (dict(segmentation=[[1, 2, 3, 4]]), 'result 1 cannot be drawn: .* no area')])
def test_results_that_cannot_be_used(change, message, tmp_path):
    scene = Scene().image().truth(box(0, 0, 9, 9))
    for _ in range(4):
        scene.found(box(0, 0, 9, 9), 0.5)
    scene.results[1].update(change)
    with pytest.raises(UserError, match=message):
        report(write(scene, tmp_path / 'a', images=False))


@pytest.mark.parametrize('argv, message', [
    ([], 'give a work folder or a file of results'), (['nothing'], 'no such file or folder'),
    (['{}/truth.json', '--ann', '{}/truth.json'], 'is an annotation file, not a list of results'),
    (['{}/results.json'], 'give the annotations that these results are for with --ann'),
    (['{}', '--ann', '{}/truth.json'], 'has no scalars'),
    (['{}/results.json', '--ann', '{}/truth.json', '--images', '{}/none'], 'no such folder'),
    (['{}/results.json', '--ann', '{}/truth.json', '--iou', '0'], '--iou must lie above 0'),
    (['x.pkl'], 'no such file'), (['{}/results.json', '--ann', '{}/results.json'],
                                  'not annotations: give the annotation file')])
def test_wrong_command_lines(made, argv, message):
    with pytest.raises(UserError, match=message):
        report([word.replace('{}', str(made[0])) for word in argv])


def test_classes_that_the_model_does_not_know(tmp_path):
    scene = Scene(('a', 'b', 'c')).image()
    scene.truth(box(4, 4, 10, 10)).truth(box(20, 4, 10, 10), 1).truth(box(40, 4, 10, 10), 2)
    found = annotated_of(scene.data, 'truth.json', ['c', 'a', 'd'])
    assert found.classes == ('a', 'c') and found.truth.label.tolist() == [0, 1]
    assert found.label == {10: 0, 30: 1}
    assert found.left_out == {'of classes that the model does not know': 1}


def test_polygons_and_lists_of_runs_are_masks_too(tmp_path):
    scene = Scene().image().truth(box(4, 4, 10, 10)).truth(box(30, 4, 10, 10))
    scene.found(box(4, 4, 10, 10), 0.9).found(box(30, 4, 10, 10), 0.8)
    scene.results[0]['segmentation'] = [[4, 4, 14, 4, 14, 14, 4, 14]]
    runs = np.diff(np.flatnonzero(np.diff(box(30, 4, 10, 10).T.ravel().astype(int))) + 1)
    first = 30 * 40 + 4
    counts = [first, *runs.tolist()]
    scene.results[1]['segmentation'] = dict(size=[40, 60], counts=[*counts, 2400 - sum(counts)])
    report(write(scene, tmp_path / 'a', images=False))
    numbers = json.loads((tmp_path / 'a' / 'results_report' / 'report.json').read_text())
    assert numbers['models'][0]['figures']['mAP'] == 1


def test_annotations_that_cannot_be_used_are_counted(tmp_path):
    scene = Scene().image().truth(box(4, 4, 10, 10))
    for change in (dict(image_id=7), dict(category_id=7), dict(segmentation=[]),
                   dict(segmentation=[[0, 0, 1, 1]])):
        scene.truth(box(4, 4, 10, 10))
        scene.data['annotations'][-1].update(change)
    scene.truth(box(30, 4, 10, 10))
    del scene.data['annotations'][-1]['area']
    page = Path(report(write(scene, tmp_path / 'a', images=False))).read_text()
    assert '2 objects' in page
    for words in ('1 of an unknown image', '1 of an unknown category', '1 without a mask',
                  '1 with a damaged mask'):
        assert words in page


def test_files_outside_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('out.png', 'in/a.png'):
        (tmp_path / name).write_bytes(b'')
    folder = str(tmp_path / 'in')
    assert inside(folder, 'a.png') == inside(folder, 'C:\\x\\a.png') == f'{folder}/a.png'
    for name in ('../out.png', f'{tmp_path}/out.png', 'a/../../out.png', '..\\out.png', '\x00', '',
                 'none.png'):
        assert inside(folder, name) is None
    assert inside(folder, '/elsewhere/a.png') == f'{folder}/a.png'


def test_objects_beyond_the_limit_of_detections_are_said(tmp_path, capsys):
    scene = Scene(('a',)).image()
    for k in range(110):
        scene.truth(box(k % 15 * 4, k // 15 * 4, 3, 3))
        scene.found(box(k % 15 * 4, k // 15 * 4, 3, 3), 0.5)
    argv = write(scene, tmp_path / 'data', images=False)
    page = Path(report(argv))
    said = 'only 100 detections of a class in an image count, and there are up to 110 objects'
    assert said in capsys.readouterr().out and said[1:] in page.read_text()
    page = Path(report([*argv, '--max-dets', '110']))
    assert 'only 100' not in capsys.readouterr().out and said[1:] not in page.read_text()
    assert json.loads((page.parent / 'report.json').read_text())['models'][0]['figures'][
        'AR@110'] == 1
