"""``lordre browse``: a page that stands alone, mosaics beside it, and names that do nothing."""
import errno
import os
import re
from pathlib import Path

import cv2
import pytest

from mmdet_lordre.cli.browse import main as browse

from .tiny import make_coco, read_json, write_json


def read(page):
    return Path(page).read_text(encoding='utf-8')


def test_a_page(data, tmp_path, capsys):
    page = browse([str(data), '--out', str(tmp_path / 'out'), '--tiles', '6'])
    text = read(page)
    for said in ('train: dot', 'val: bar', 'Chosen at random', 'Most crowded', 'Largest objects',
                 'Objects of each class', '<dd>5</dd>', 'can be learned'):
        assert said in text, said
    # nothing is asked of anybody, and every picture is in the page
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert 'default-src &#39;none&#39;' in text and '<img ' in text
    assert text.count('<img ') == text.count('data:image/jpeg')
    files = sorted(os.listdir(tmp_path / 'out'))
    assert files[-1] == 'index.html' and '001_pictures_train_chosen_at_random.jpg' in files
    for name in files[:-1]:
        assert cv2.imread(str(tmp_path / 'out' / name)) is not None
    out = capsys.readouterr().out
    assert f'{page}: ' in out and f'{len(files) - 1} mosaics beside it' in out
    # the same again
    again = read(browse([str(data), '--out', str(tmp_path / 'again'), '--tiles', '6']))
    assert re.findall('data:[^"]*', again) == re.findall('data:[^"]*', text)


def test_doubts_are_shown(tmp_path):
    path = make_coco(tmp_path, count=6)
    changed = read_json(path)
    changed['annotations'].append(dict(changed['annotations'][0], id=99, iscrowd=0))
    changed['annotations'][1]['segmentation'] = [[0, 0, 2, 0, 2, 2, 0, 2]]
    cv2.imwrite(f'{tmp_path}/images/05.png', cv2.imread(f'{tmp_path}/images/04.png'))
    write_json(path, changed)
    page = browse([path, '--out', str(tmp_path / 'out'), '--near-duplicates'])
    text = read(page)
    for said in ('Annotated twice', 'it covers what annotation 1 covers', 'Same picture twice',
                 'Tiny'):
        assert said in text, said


def test_hostile_names(tmp_path, capsys):
    """Neither a class nor a file writes HTML, acts on a terminal, or leads out of the folder."""
    path = make_coco(tmp_path, count=4)
    changed = read_json(path)
    evil = '"><script>alert(1)</script>\x1b[31m\u202e'
    changed['categories'][0]['name'] = evil
    changed['images'][2]['file_name'] = f'../{evil}.png'
    changed['images'][3]['file_name'] = '../../secret.png'
    write_json(path, changed)
    page = browse([path, '--out', str(tmp_path / 'out')])
    text = read(page)
    assert '<script>alert' not in text and '\x1b' not in text and '\u202e' not in text
    assert '&lt;script&gt;alert(1)' in text
    assert all(re.fullmatch(r'[a-z0-9_]+\.(jpg|html)', name)
               for name in os.listdir(tmp_path / 'out'))
    assert '\x1b' not in (out := capsys.readouterr().out) and '2 images of those shown' in out


def test_without_objects_and_without_images(tmp_path, capsys):
    path = make_coco(tmp_path, count=3)
    changed = read_json(path)
    changed['annotations'] = []
    write_json(path, changed)
    text = read(browse([path, '--out', str(tmp_path / 'out')]))
    assert 'Chosen at random' in text and 'Largest objects' not in text
    os.remove(tmp_path / 'images' / '02.png')
    browse([path, '--out', str(tmp_path / 'other')])
    assert '1 image of those shown could not be read' in capsys.readouterr().out


@pytest.mark.parametrize('options, said', [
    (['--out', '{}/full'], 'full already exists: choose another --out'),
    (['--out', '{}/full/x'], 'x already exists'),
    (['--out', '{}/new', '--tiles', '0'], '--tiles: 0 is not from 1 to 500')])
def test_nothing_is_written_over(data, tmp_path, error_line, options, said):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'x').write_text('mine')
    options = [option.format(tmp_path) for option in options]
    assert said in error_line(browse, f'{data}/train.json', *options)
    assert os.listdir(tmp_path) == ['full'] and os.listdir(tmp_path / 'full') == ['x']


def test_a_full_disk_leaves_nothing(data, tmp_path, error_line, monkeypatch):
    """Neither a page without pictures, nor a folder that the next call would refuse."""
    written = []

    def full(path, content):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        written.append(path)
        with open(path, 'wb') as file:
            return file.write(content)
    monkeypatch.setattr(Path, 'write_bytes', full)
    out = tmp_path / 'out'
    line = error_line(browse, data, '--out', out, '--tiles', '2')
    assert f'{out} cannot be written: No space left on device' in line and len(written) == 2
    assert not out.exists()


@pytest.mark.parametrize('options, said', [
    (['ANN', '--batches', '3'], '--batches is for --through, which is not given'),
    (['--through', 'CONFIG', '--tiles', '24'], '--tiles is for ANN, which is not given'),
    (['--through', 'CONFIG', '--near-duplicates'], '--near-duplicates is for ANN, which is not'),
    (['--through', 'CONFIG', '--follow-links'], '--follow-links is for ANN, which is not given'),
    (['--through', 'CONFIG', '--format', 'coco'], '--format is for ANN, which is not given')])
def test_options_without_effect(data, tmp_path, error_line, options, said):
    known = dict(ANN=f'{data}/train.json', CONFIG='c.py')
    options = [known.get(option, option) for option in options]
    assert said in error_line(browse, *options, '--out', tmp_path / 'out')
