"""``lordre split``: files that training takes, groups that stay together, nothing written over."""
import os
import shlex

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmdet_lordre.cli.main import run
from mmdet_lordre.cli.plan import parse_args as plan_args
from mmdet_lordre.cli.split import main as split
from mmdet_lordre.cli.train import main as train

from ..datasets.pictures import texture
from .tiny import make_coco, read_json, write_config, write_json


def names_of(path):
    return {image['file_name'] for image in read_json(path)['images']}


def test_parts_are_trained_on(data, tmp_path, capsys):
    files = split([f'{data}/train.json', '--out', str(tmp_path / 'out'), '--val', '0.25',
                   '--test', '0.25'])
    assert sorted(os.listdir(tmp_path / 'out')) == ['test.json', 'train.json', 'val.json']
    parts = [read_json(path) for path in files.values()]
    whole = read_json(f'{data}/train.json')
    assert [len(part['images']) for part in parts] == [6, 3, 3]
    for key in ('images', 'annotations'):
        entries = sorted((entry for part in parts for entry in part[key]), key=lambda e: e['id'])
        assert entries == whole[key]
    for part in parts:
        assert part['categories'] == whole['categories']
        ids = {image['id'] for image in part['images']}
        assert all(annotation['image_id'] in ids for annotation in part['annotations'])
    # the line that is printed is the command line that trains
    line = capsys.readouterr().out.strip().splitlines()[-1]
    words = line.split()
    assert words[:3] == ['lordre', 'train', 'CONFIG']
    runner = train([write_config(tmp_path / 'tiny.py'), *words[3:], '--work-dir',
                    f'{tmp_path}/work'])
    assert runner.iter == 2


def test_the_line_can_be_copied(tmp_path, monkeypatch, capsys):
    """Names with spaces are quoted, and the line holds in any folder."""
    make_coco(tmp_path / 'my data', "Ann's images", 'all.json', count=6)
    monkeypatch.chdir(tmp_path)
    files = split(['my data/all.json', "my data/Ann's images", '--out', 'two parts'])
    plan, auto, words = map(shlex.split, capsys.readouterr().out.strip().splitlines()[-3:])
    images = str(tmp_path / 'my data' / "Ann's images")
    assert words == ['lordre', 'train', 'CONFIG', '--train-ann', files['train'], '--val-ann',
                     files['val'], '--train-images', images, '--val-images', images]
    assert files['train'] == str(tmp_path / 'two parts' / 'train.json')
    assert auto == ['lordre', 'train', '--auto', *words[3:]]
    args = plan_args(plan[2:])
    assert (args.data, args.val) == (files['train'], files['val'])
    assert args.images == args.val_images == images


def test_folds(data, tmp_path):
    files = split([f'{data}/train.json', '--out', str(tmp_path / 'out'), '--folds', '3'])
    assert list(files) == ['fold1_train', 'fold1_val', 'fold2_train', 'fold2_val', 'fold3_train',
                           'fold3_val']
    everything = names_of(f'{data}/train.json')
    folds = [names_of(files[f'fold{k}_val']) for k in (1, 2, 3)]
    assert sorted(name for fold in folds for name in fold) == sorted(everything)
    for k, fold in enumerate(folds, 1):
        assert names_of(files[f'fold{k}_train']) == everything - fold


def test_the_same_seed(data, tmp_path):
    def parts(out, seed):
        files = split([f'{data}/train.json', '--out', str(tmp_path / out), '--seed', str(seed)])
        return [open(path).read() for path in files.values()]
    assert parts('a', 3) == parts('b', 3)
    assert len({tuple(parts(f'c{seed}', seed)) for seed in range(4)}) > 1


@pytest.fixture
def pictures(tmp_path):
    """Twenty pictures in two folders; each of the last ten shows one of the first."""
    folder = tmp_path / 'images'
    images = []
    for index in range(20):
        name = f'{"ab"[index >= 10]}/p{index // 2}_{index}.{"png" if index < 10 else "jpg"}'
        picture = texture(index % 10)
        if index >= 10:
            picture = ImageOps.mirror(picture).resize((120, 100))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
        images.append(dict(id=index + 1, file_name=name, width=picture.width,
                           height=picture.height))
    return write_json(tmp_path / 'all.json', dict(
        images=images, categories=[dict(id=1, name='blob')], annotations=[
            dict(id=k + 1, image_id=k + 1, category_id=1, bbox=[5, 5, 20, 20], area=400.0,
                 iscrowd=0, segmentation=[[5, 5, 25, 5, 25, 25, 5, 25]]) for k in range(20)]))


def numbers(path):
    return {int(name.split('_')[1].split('.')[0]) for name in names_of(path)}


def test_near_duplicates_are_never_divided(pictures, tmp_path, capsys):
    for seed in range(5):
        files = split([pictures, '--out', str(tmp_path / f'{seed}'), '--val', '0.3', '--seed',
                       str(seed)])
        train_part, val_part = map(numbers, files.values())
        assert not {k % 10 for k in train_part} & {k % 10 for k in val_part} and len(val_part) == 6
    assert 'kept together: 20 images in 10 groups that show the same picture' in (
        capsys.readouterr().out)
    files = split([pictures, '--out', str(tmp_path / 'alone'), '--val', '0.3',
                   '--no-near-duplicates'])
    train_part, val_part = map(numbers, files.values())
    assert {k % 10 for k in train_part} & {k % 10 for k in val_part}


def test_groups(pictures, tmp_path, error_line):
    out = str(tmp_path / 'folders')
    files = split([pictures, '--out', out, '--val', '0.5', '--group', 'folder',
                   '--no-near-duplicates'])
    assert sorted(map(sorted, map(numbers, files.values()))) == [
        list(range(10)), list(range(10, 20))]
    files = split([pictures, '--out', str(tmp_path / 'pairs'), '--val', '0.3', '--group',
                   r'/(p\d+)_', '--no-near-duplicates'])
    train_part, val_part = map(numbers, files.values())
    assert not {k // 2 for k in train_part} & {k // 2 for k in val_part} and len(val_part) == 6
    # folders and pictures together make one group of all
    line = error_line(split, pictures, '--out', tmp_path / 'x', '--group', 'folder')
    assert '20 images in 1 group cannot be divided into 2 parts' in line
    line = error_line(split, pictures, '--out', tmp_path / 'x', '--group', 'patient')
    assert 'no file name has it' in line and not (tmp_path / 'x').exists()


def test_parts_that_there_are_become_one(tmp_path, capsys):
    """Their classes are in another order, and ids of both begin at 1."""
    make_coco(tmp_path, 'train/images', 'train.json', count=6)
    path = make_coco(tmp_path, 'val/images', 'val.json', count=4, seed=1)
    data = read_json(path)
    data['categories'].reverse()
    write_json(path, data)
    files = split([str(tmp_path), '--out', str(tmp_path / 'out'), '--val', '0.5'])
    parts = [read_json(path) for path in files.values()]
    names = {image['file_name'] for part in parts for image in part['images']}
    assert names == {f'train/images/0{k}.png' for k in range(6)} | {
        f'val/images/0{k}.png' for k in range(4)}
    assert 'the parts train, val are merged and split again' in capsys.readouterr().out

    def by_class(files):
        found = []
        for part in files:
            label = {category['id']: category['name'] for category in part['categories']}
            found += [(label[a['category_id']], tuple(a['bbox'])) for a in part['annotations']]
        return sorted(found)
    before = [read_json(tmp_path / name) for name in ('train.json', 'val.json')]
    assert by_class(parts) == by_class(before)


@pytest.mark.parametrize('options, said', [
    (['--val', '0.5', '--test', '0.5'], 'leave nothing to train on'),
    (['--folds', '1'], 'no number of folds'),
    (['--folds', '2', '--test', '0.1'], 'split off the test part first'),
    (['--folds', '40'], '12 images in 12 groups cannot be divided into 40 parts'),
    (['--val', '0.01'], 'no image is left for val'),
    (['--group', '('], 'is no regular expression'),
    (['--format', 'yolo'], 'train.json is read as coco, not as yolo: leave --format out')])
def test_what_cannot_be_divided(data, tmp_path, error_line, options, said):
    assert said in error_line(split, f'{data}/train.json', '--out', tmp_path / 'out', *options)
    assert not (tmp_path / 'out').exists()


def test_nothing_is_written_over(data, tmp_path, error_line):
    (tmp_path / 'val.json').write_text('mine')
    assert 'val.json already exists: choose another --out' in error_line(
        split, f'{data}/train.json', '--out', tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['val.json']


def test_hostile_names(tmp_path, capsys):
    """Names reach the terminal as text, and lead to no file elsewhere."""
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / 'a.png')
    name = 'x\x1b[31m<script>'
    images = [dict(id=k, file_name=file, width=20, height=20) for k, file in enumerate(
        ['a.png', '../../../etc/passwd', 'b\x1b]0;x\x07.png', 'c.png'], 1)]
    path = write_json(tmp_path / 'a.json', dict(
        images=images, categories=[dict(id=1, name=name)], annotations=[]))
    files = split([path, '--out', str(tmp_path / 'o\x1b[0m'), '--val', '0.5'])
    out = capsys.readouterr().out
    assert '\x1b' not in out and '\\x1b[31m' in out
    assert read_json(files['train'])['categories'][0]['name'] == name


@pytest.mark.parametrize('command, said', [
    ('plan', '--images / --val-images'), ('check', 'the second argument / --val-images'),
    ('split', 'the second argument')])
def test_a_command_names_its_own_options_for_the_images(command, said, tmp_path, capsys):
    make_coco(tmp_path, 'images', 'a.json', count=2)
    (tmp_path / 'images').rename(tmp_path / 'other')
    with pytest.raises(SystemExit):
        run(command, [f'{tmp_path}/a.json'] + ['--out', f'{tmp_path}/x'] * (command == 'split'))
    assert capsys.readouterr().err.endswith(f'; say where with {said}\n')
