"""Annotations as people have them are reported on as they are tested on."""
import json
from pathlib import Path

import pytest

from mmdet_lordre.cli.report import main as report
from mmdet_lordre.errors import UserError

from ..datasets.formats import exports
from .scenes import Scene, box
from .test_report import write


def corners(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def scene():
    """Four objects in two images, of which three are found, one of them as another class."""
    scene = Scene()
    for i in range(2):
        scene.image()
        for k, x in enumerate((4, 30)):
            scene.truth(box(x, 4, 10, 12), k)
            scene.data['annotations'][-1]['segmentation'] = [corners(x, 4, 10, 12)]
            scene.found(box(x + i, 4, 10, 12), 0.9 - 0.1 * k, k if i == 0 else 0)
    return scene


def reported(made, folder, capsys, images=True):
    """(numbers, what was said)."""
    report([*write(made, folder, images), '--out', str(folder / 'out')])
    return json.loads((folder / 'out' / 'report.json').read_text()), capsys.readouterr().out


def every(key, change, name='annotations', step=1):
    def of(scene):
        for entry in scene.data[name][::step]:
            entry[key] = change(entry.get(key))
    return of


def text_ids(scene):
    for entry in scene.data['images']:
        entry['id'] = f'img_{entry["id"]}'
    for entry in scene.data['categories']:
        entry['id'] = f'class {entry["id"]}'
    for entry in scene.data['annotations']:
        entry.update(image_id=f'img_{entry["image_id"]}',
                     category_id=f'class {entry["category_id"]}')


def as_the_file_has_them(scene):
    text_ids(scene)
    for entry in scene.results:
        entry.update(image_id=f'img_{entry["image_id"]}',
                     category_id=f'class {entry["category_id"]}')


def as_a_test_numbers_them(scene):
    text_ids(scene)
    for entry in scene.results:
        entry['category_id'] //= 10


@pytest.mark.parametrize('change, said', [
    (every('segmentation', lambda s: s[0], step=2), '2 polygons in other brackets'),
    (every('segmentation', lambda s: s[0]), '4 polygons in other brackets'),
    (every('image_id', str), 'images: 4 ids read as whole numbers'),
    (every('category_id', str, step=2), 'categories: 2 ids read as whole numbers'),
    (every('width', float, 'images'), 'images: 2 sides read as whole numbers'),
    (every('height', lambda _: None, 'images'), 'images: 2 sizes read from the image files'),
    (every('area', lambda _: None), '4 areas computed'),
    (as_the_file_has_them, 'images: 2 ids other than whole numbers'),
    (as_a_test_numbers_them, 'categories: 2 ids other than whole numbers')])
def test_what_is_put_right_gives_the_figures_of_a_clean_file(change, said, tmp_path, capsys):
    clean, out = reported(scene(), tmp_path / 'clean', capsys)
    assert 'repair' not in out and 'left out' not in out and 'repairs' not in clean['data']
    assert 0 < clean['models'][0]['figures']['mAP'] < 1
    made = scene()
    change(made)
    mended, out = reported(made, tmp_path / 'mended', capsys)
    assert mended['models'][0]['figures'] == clean['models'][0]['figures']
    assert mended['data']['objects'] == 4 and not mended['data']['left_out']
    assert said in out and 'made in a copy' in out and 'left out' not in out
    assert said in mended['data']['repairs'][-1] or said in ' '.join(mended['data']['repairs'])
    assert 'repaired in a copy' in (tmp_path / 'mended' / 'out' / 'report.html').read_text()


def test_what_is_left_out_is_a_line(tmp_path, capsys):
    made = scene()
    changes = (dict(segmentation=[[0, 0, 1, 1]]), dict(segmentation=[[0, 0, 1]]), dict(image_id=9),
               dict(segmentation=[]), dict(bbox='x'), dict(id=1))
    for change in changes:
        made.truth(box(4, 4, 10, 10))
        made.data['annotations'][-1].update(change)
    _, out = reported(made, tmp_path / 'a', capsys)
    line, = (line for line in out.splitlines() if 'left out' in line)
    assert line.startswith(f'{tmp_path}/a/truth.json: left out 6 annotations: ')
    for words in ('2 with a damaged mask', '1 of an unknown image', '1 without a mask',
                  '1 with a damaged box', '1 with the id of another one'):
        assert words in line


def test_two_images_of_one_id_are_said(tmp_path, capsys):
    made = scene()
    made.data['images'].append(dict(made.data['images'][0]))
    numbers, out = reported(made, tmp_path / 'a', capsys)
    assert 'images: left out 1 with the id of another one' in out and numbers['data']['images'] == 2


def test_sizes_that_are_nowhere(tmp_path, capsys):
    made = scene()
    del made.data['images'][0]['width']
    with pytest.raises(UserError, match=r'image 1\.png has no width: .* --images'):
        reported(made, tmp_path / 'a', capsys, images=False)


def test_images_without_names_are_no_obstacle(tmp_path, capsys):
    made = scene()
    for image in made.data['images']:
        del image['file_name']
    numbers, out = reported(made, tmp_path / 'a', capsys, images=False)
    assert numbers['data']['images'] == 2 and 'repair' not in out


def test_polygons_in_parts_of_the_image_are_refused(tmp_path, capsys):
    made = scene()
    every('segmentation', lambda s: [[v / 60 for v in s[0]]])(made)
    with pytest.raises(UserError, match='polygons lie between 0 and 1'):
        reported(made, tmp_path / 'a', capsys)


def test_ids_that_may_be_meant_in_two_ways_are_said(tmp_path, capsys):
    made = scene()
    ids = {1: 2, 2: 'x'}
    for entry in made.data['images']:
        entry['id'] = ids[entry['id']]
    for entry in made.data['annotations']:
        entry['image_id'] = ids[entry['image_id']]
    made.results = [dict(entry, image_id=2) for entry in made.results if entry['image_id'] == 1]
    numbers, out = reported(made, tmp_path / 'a', capsys)
    assert 'results.json: its ids are taken as' in out
    assert numbers['models'][0]['figures']['mAP'] > 0


def test_a_folder_of_another_format(tmp_path, capsys):
    """The part that a test takes, with its ids."""
    from mmdet_lordre.config.own_data import choose_part
    from mmdet_lordre.datasets.formats import open_data
    source, _ = exports.yolo(tmp_path / 'set')
    part = choose_part(open_data(str(source)), ('test', 'val'), str(source))
    results = [dict(image_id=a['image_id'], category_id=a['category_id'], score=0.5,
                    segmentation=a['segmentation']) for a in part.data['annotations']]
    (tmp_path / 'r.json').write_text(json.dumps(results))
    capsys.readouterr()
    page = report([f'{tmp_path}/r.json', '--ann', str(source), '--out', f'{tmp_path}/out',
                   '--resamples', '2'])
    out = capsys.readouterr().out
    assert 'read as YOLO' in out and 'data:image/jpeg' in Path(page).read_text()
    numbers = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert numbers['models'][0]['figures']['mAP'] == 1
