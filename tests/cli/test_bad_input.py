"""Wrong input ends in one line that names what and where, before training starts."""
import os
import shutil

import pytest

from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train

from .tiny import make_coco, read_json, write_config, write_json


@pytest.fixture
def bad(tmp_path):
    """(folder, config, train) with a data set that the test spoils."""
    make_coco(tmp_path, 'train', 'train.json', count=6)
    config = write_config(tmp_path / 'bad.py')
    return tmp_path, config, ['--train-ann', f'{tmp_path}/train.json', '--work-dir',
                              f'{tmp_path}/work']


def spoil(folder, change):
    data = read_json(folder / 'train.json')
    change(data)
    write_json(folder / 'train.json', data)


def test_by_the_script(run_script, bad):
    """The real script: one line on stderr, status 1, nothing of a traceback."""
    folder, config, options = bad
    (folder / 'train.json').unlink()
    done = run_script('train.py', config, *options)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == \
        f'error: no such annotation file: {folder}/train.json'
    assert 'Traceback' not in done.stderr + done.stdout
    assert not (folder / 'work').exists()


def test_missing_annotation_file_of_the_config(bad, error_line):
    _, config, _ = bad
    line = error_line(train, config, '--cfg-options', 'model.mask_head.num_classes=80')
    assert 'nowhere/train.json' in line


def test_image_missing_on_disk(bad, error_line):
    folder, config, options = bad
    (folder / 'train' / '03.png').unlink()
    line = error_line(train, config, *options, '--train-images', folder / 'train')
    assert str(folder / 'train' / '03.png') in line


def test_one_missing_image_among_many(bad, error_line):
    """Beyond the first images, by which the folder is found, every other one is looked for."""
    folder, config, options = bad
    make_coco(folder, 'train', 'train.json', count=30)
    (folder / 'train' / '29.png').unlink()
    line = error_line(train, config, *options)
    assert 'missing on disk' in line and '29.png' in line and 'train.json' in line


def test_image_that_does_not_decode(bad, error_line):
    folder, config, options = bad
    (folder / 'train' / '04.png').write_text('no image')
    line = error_line(train, config, *options)
    assert str(folder / 'train' / '04.png') in line and 'decoded' in line
    assert not (folder / 'work').exists()  # before training started


def test_image_that_fails_while_training(bad, error_line):
    """A header that is fine and pixels that are not: found by the worker that loads it."""
    folder, config, options = bad
    path = folder / 'train' / '04.png'
    path.write_bytes(path.read_bytes()[:60])
    line = error_line(train, config, *options, '--cfg-options',
                      'train_dataloader.num_workers=1')
    assert str(path) in line and 'decoded' in line


def test_image_of_another_size(bad, error_line):
    folder, config, options = bad
    spoil(folder, lambda data: data['images'][2].update(width=65))
    line = error_line(train, config, *options)
    assert '65x48' in line and '02.png is 64x48' in line


def test_polygon_of_two_points(bad, error_line, capsys):
    folder, config, options = bad

    def two_points(data):
        data['annotations'][0]['segmentation'] = [[1, 2, 3, 4]]
    spoil(folder, two_points)
    line = error_line(train, config, *options)
    assert 'annotation 1 (image 00.png)' in line and '2 points' in line
    assert f'{folder}/train.json' in line
    # and on request the rest is trained on
    train([config, *options, '--skip-bad'])
    assert 'left out' in capsys.readouterr().out


def test_class_counts(bad, trained, data, error_line):
    folder, config, options = bad
    line = error_line(train, config, '--cfg-options', 'model.mask_head.num_classes=5')
    assert 'model.mask_head.num_classes=5' in line and '80 classes' in line
    # of a checkpoint that training shall go on from
    make_coco(folder, 'train', 'train.json', count=6, names=('a', 'b'), ids=(1, 2))
    line = error_line(train, config, *options, '--resume', trained[1])
    assert 'cannot be resumed' in line and '3 classes before, 2 now' in line
    assert 'List the classes of the data as dot, box, bar in this order' in line


@pytest.mark.linux
def test_paths_and_names(bad, trained, data, error_line):
    folder, config, options = bad
    assert error_line(train, folder / 'badd.py').endswith(
        f'no such config: {folder}/badd.py (did you mean {folder}/bad.py?)')
    assert 'no such config' in error_line(run_test, 'nowhere.py', trained[1])
    assert error_line(train, folder).endswith('is no file: a folder; give a config in it')
    os.mkfifo(folder / 'pipe.py')
    assert error_line(train, folder / 'pipe.py').endswith('pipe.py is no file: give an ordinary '
                                                          'one')
    line = error_line(run_test, *trained, '--eval', 'segm', 'mAP')
    assert "--eval: unknown metric 'mAP'" in line and 'segm, bbox' in line
    assert 'no such checkpoint: gone.pth' in error_line(run_test, config, 'gone.pth')
    assert 'no such checkpoint' in error_line(train, config, *options, '--load-from', 'gone.pth')
    work = os.path.dirname(trained[1])
    assert f'{work} is a folder: give a checkpoint in it, such as {trained[1]}' in error_line(
        train, config, *options, '--load-from', work)
    assert '.pkl' in error_line(run_test, *trained, '--out', 'results.txt')
    assert error_line(train, config, *options, '--val-ann', 'no.json').endswith(
        'no such annotation file: no.json')
    assert '--train-ann' in error_line(train, config, '--val-ann', f'{data}/val.json')


def test_not_a_coco_file(bad, error_line):
    folder, config, options = bad
    (folder / 'train.json').write_text('{"images": [')
    assert 'is not JSON' in error_line(train, config, *options)
    write_json(folder / 'train.json', dict(images=[]))
    assert '"categories"' in error_line(train, config, *options)


def test_images_that_are_nowhere(bad, error_line):
    folder, config, options = bad
    shutil.move(folder / 'train', folder / 'elsewhere')
    line = error_line(train, config, *options)
    assert '00.png' in line and '--train-images' in line
    assert str(folder) in line
