"""``lordre predict`` as it is typed."""
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.cli.options import UsageError
from mmdet_lordre.cli.predict import main as predict
from mmdet_lordre.errors import UserError
from mmdet_lordre_command import main as lordre


def test_a_folder(work_folder, pictures, tmp_path, capsys):
    summary = predict([f'{pictures}/val', '--model', str(work_folder), '--out', f'{tmp_path}/out',
                       '--score-thr', '0', '--save', 'coco', 'png', 'pictures', '--batch', '2'])
    assert summary.pictures == 5 and summary.joined
    said = capsys.readouterr().out
    assert 'model: ' in said and '30 objects in 5 pictures (' in said and 'Predicting' in said
    entries = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert {entry['category_id'] for entry in entries} <= {1, 2, 3}
    assert len(list((tmp_path / 'out' / 'pictures').iterdir())) == 5


def test_pages_and_bits_that_are_not_read_are_said(work_folder, pictures, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    with Image.open(pictures / 'val' / '00.png') as picture:
        picture.save(tmp_path / 'in' / 'a.tif', save_all=True, append_images=[picture])
        picture.save(tmp_path / 'in' / 'b.tif')
    cv2.imwrite(f'{tmp_path}/in/c.png', np.full((48, 64), 900, np.uint16))
    predict([f'{tmp_path}/in', '--model', str(work_folder), '--out', f'{tmp_path}/out'])
    said = ' '.join(capsys.readouterr().out.split())
    assert f'16 bits ({tmp_path}/in/c.png: values from 900 to 900)' in said
    assert (f'1 image with several pages or frames ({tmp_path}/in/a.tif: 2 pages or frames, only '
            'the first is read)') in said


def test_processes_of_a_launcher(work_folder, pictures, tmp_path, monkeypatch, capsys):
    command = [f'{pictures}/val.json', '--model', f'{work_folder}/iter_3.pth', '--out',
               f'{tmp_path}/out', '--launcher', 'pytorch', '--score-thr', '0']
    with pytest.raises(UserError, match='needs RANK'):
        predict(command)
    for rank in range(2):
        for name, value in dict(RANK=rank, WORLD_SIZE=2, LOCAL_RANK=rank).items():
            monkeypatch.setenv(name, str(value))
        summary = predict(command)
        assert summary.pictures == (3, 2)[rank] and summary.joined == (rank == 1)
    assert 'when the last share is done' in capsys.readouterr().out
    entries = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert [e['image_id'] for e in entries[::6]] == [100, 101, 102, 103, 104]
    assert {entry['category_id'] for entry in entries} <= {3, 7, 20}


def test_classes_that_the_source_does_not_have(work_folder, pictures, tmp_path, capsys):
    data = json.loads((pictures / 'val.json').read_text())
    names = {category['id']: category['name'] for category in data['categories']}
    data['categories'][0]['name'] = 'other'
    ann = tmp_path / 'val.json'
    ann.write_text(json.dumps(data))
    predict([str(ann), '--images', f'{pictures}/val', '--model', f'{work_folder}/iter_3.pth',
             '--out', f'{tmp_path}/out', '--score-thr', '0'])
    free = max(names) + 1
    assert f"which the model finds: it is written with an id of its own (from {free} on)" in \
        capsys.readouterr().out
    written = json.loads((tmp_path / 'out' / 'images.json').read_text())
    lacking = names[data['categories'][0]['id']]
    assert {c['id']: c['name'] for c in written['categories']}[free] == lacking
    assert [image['id'] for image in written['images']] == [100, 101, 102, 103, 104]


def test_a_config_beside_the_checkpoint(work_folder, pictures, tmp_path):
    summary = predict([f'{pictures}/val/00.png', '--config', f'{work_folder}/tiny.py', '--model',
                       f'{work_folder}/iter_3.pth', '--out', f'{tmp_path}/out', '--tile', '64',
                       '--score-thr', '0'])
    assert summary.pictures == 1


@pytest.mark.parametrize('options, error, said', [
    (['--shard', '9/8'], UsageError, 'I/N'), (['--shard', 'x'], UsageError, 'I/N'),
    (['--tile', 'large'], UsageError, 'auto'), (['--save', 'tiff'], UserError, 'unknown format'),
    (['--score-thr', '3'], UsageError, 'score-thr'), (['--mm-per-pixel', '0'], UserError, 'mm-per'),
    (['--thresholds', 'nowhere'], UserError, 'no such file of thresholds'),
    (['--out', '{pictures}/val'], UserError, 'is the folder of the pictures')])
def test_wrong_options(work_folder, pictures, tmp_path, options, error, said):
    options = [option.format(pictures=pictures) for option in options]
    with pytest.raises(error, match=said):
        predict([f'{pictures}/val', '--model', str(work_folder), '--out', f'{tmp_path}/out',
                 *options])
    assert not (tmp_path / 'out').exists()
    assert len(list((pictures / 'val').iterdir())) == 5


@pytest.mark.parametrize('options, said', [
    (['--overlap', '0.3'], '--overlap needs --tile'),
    (['--simplify', '2'], '--simplify makes no difference to coco: add one of coco-annotations, '
                          'yolo, labelme, geojson to --save'),
    (['--mm-per-pixel', '0.5', '--save', 'png', 'coco'],
     '--mm-per-pixel makes no difference to png, coco: add one of csv, parquet to --save'),
    (['--recursive'], '--recursive is for folders, and none is given')])
def test_options_that_would_do_nothing(work_folder, pictures, tmp_path, options, said):
    command = [f'{pictures}/val/00.png', '--model', str(work_folder), '--out', f'{tmp_path}/out']
    with pytest.raises(UserError, match=said):
        predict([*command, *options])
    assert not (tmp_path / 'out').exists()


def test_options_that_do_something(work_folder, pictures, tmp_path):
    predict([f'{pictures}/val', '--model', str(work_folder), '--out', f'{tmp_path}/out',
             '--recursive', '--tile', '64', '--overlap', '0.3', '--simplify', '2',
             '--mm-per-pixel', '0.5', '--save', 'coco', 'labelme', 'csv'])
    assert 'area_mm2' in (tmp_path / 'out' / 'measurements.csv').read_text()


def test_one_line_of_error(work_folder, capsys):
    with pytest.raises(SystemExit):
        lordre(['predict', 'nowhere.png', '--model', str(work_folder)])
    assert capsys.readouterr().err == 'error: no such picture, film, folder or file: nowhere.png\n'
