"""``lordre check``: what is wrong in one part, what parts have in common, and JSON for programs."""
import json
import shutil

import pytest

from mmdet_lordre.cli.check import main as check
from mmdet_lordre.cli.check_dataset import main as check_dataset

from .tiny import make_coco, read_json, write_json


@pytest.fixture
def folder(tmp_path):
    """train.json and val.json with their images; one picture is in both."""
    make_coco(tmp_path, 'train', 'train.json', count=6)
    make_coco(tmp_path, 'val', 'val.json', count=4, seed=1)
    shutil.copy(tmp_path / 'train' / '03.png', tmp_path / 'val' / '02.png')
    return tmp_path


def test_the_old_name():
    assert check_dataset is check


def test_parts_are_compared(folder, capsys):
    both = check([str(folder)])
    assert [str(p) for p in both if p.kind == 'in another part'] == [
        'image 02.png: it is the same file as 03.png of train']
    out = capsys.readouterr().out
    assert 'in another part' in out and 'too good' in out
    assert f'train: {folder}/train.json' in out and f'val: {folder}/val.json' in out
    files = check([f'{folder}/train.json', '--val-ann', f'{folder}/val.json'])
    assert [str(p) for p in files] == [str(p) for p in both]
    alone = check([f'{folder}/val.json'])
    assert not [p for p in alone if p.kind == 'in another part']
    fast = check([str(folder), '--no-near-duplicates'])
    assert not [p for p in fast if p.kind == 'in another part']


def test_classes_that_one_part_lacks(folder, capsys):
    data = read_json(folder / 'val.json')
    data['categories'][0]['name'] = 'disc'
    for annotation in data['annotations']:
        annotation.update(category_id=data['categories'][0]['id'], iscrowd=0)
    write_json(folder / 'val.json', data)
    with pytest.raises(SystemExit):
        check([str(folder)])
    out = capsys.readouterr().out
    assert f"val has {len(data['annotations'])} of the class 'disc', which train does not" in out
    assert 'val has nothing of 2 classes that are learned (dot, box)' in out


def test_a_class_that_one_part_does_not_list(folder, capsys):
    data = read_json(folder / 'val.json')
    name = data['categories'].pop(0)['name']
    ids = {category['id'] for category in data['categories']}
    data['annotations'] = [a for a in data['annotations'] if a['category_id'] in ids]
    write_json(folder / 'val.json', data)
    check([f'{folder}/train.json', '--val-ann', f'{folder}/val.json'])
    out = capsys.readouterr().out
    assert f'val has nothing of 1 class that is learned ({name}): it is not measured' in out


def test_json(folder, capsys):
    data = read_json(folder / 'train.json')
    data['annotations'][1]['segmentation'] = [[1, 2, 3, 4]]
    data['images'][0]['file_name'] = 'gone\x1b<b>.png'
    write_json(folder / 'train.json', data)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        check([str(folder), '--json'])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    found = json.loads(out)
    train, val = found['parts']['train'], found['parts']['val']
    assert train['would_stop'] and not val['would_stop'] and found['between_parts'] == []
    assert train['kinds']['bad polygon'] == dict(
        count=1, treatment='stop', effect='training stops; left out with --skip-bad')
    problem = next(p for p in train['problems'] if p['kind'] == 'bad polygon')
    assert problem['of'] == 'annotation' and problem['id'] == 2 and problem['index'] == 1
    assert problem['what'] == 'a polygon of 2 points has no area'
    missing = next(p for p in train['problems'] if p['kind'] == 'image missing')
    assert missing['of'] == 'image' and missing['id'] == 100 and '\x1b' not in out
    assert [p['what'] for p in val['problems'] if p['kind'] == 'in another part'] == [
        'it is the same file as 03.png of train']
    assert val['learnable'].keys() == {'dot', 'box', 'bar'}


@pytest.mark.parametrize('options, said', [
    (['{}', '--val-ann', '{}/val.json'], 'has the parts train, val: with --val-ann give the file'),
    (['{}/train.json', '--val-images', '{}/val'], '--val-images is for --val-ann'),
    (['{}', '--clean', '{}/x.json'], 'has the parts train, val: check the file of one')])
def test_options_that_do_not_fit(folder, error_line, options, said):
    assert said in error_line(check, *(option.format(folder) for option in options))
