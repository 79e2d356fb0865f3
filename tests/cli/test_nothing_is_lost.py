"""No command writes over what it did not make."""
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_lordre.checkpoints.reading import read_published
from mmdet_lordre.cli.check import main as check
from mmdet_lordre.cli.convert_checkpoint import main as convert_checkpoint
from mmdet_lordre.cli.demo import free_names, list_images
from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.cli.export_onnx import main as export_onnx
from mmdet_lordre.cli.polar_upper_bound import load as load_annotations
from mmdet_lordre.cli.prepare_cocofied_lvis import main as prepare_cocofied_lvis
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.errors import UserError
from mmdet_lordre.files import atomic_write, refuse_overwriting

from .tiny import read_json, write_json


@pytest.fixture
def photos(tmp_path):
    """Two photographs of one name, in a folder and in one of its folders."""
    for number, path in enumerate(('x.jpg', 'deeper/x.jpg')):
        (tmp_path / 'photos' / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'photos' / path), np.full((8, 8, 3), 90 * number, np.uint8))
    return tmp_path / 'photos'


def test_pictures_beside_the_photographs(photos):
    paths = list_images(photos, photos)
    names = free_names(photos, paths)
    assert not set(names) & set(paths) and len(set(names)) == 2
    assert {name.name for name in names} == {'x_drawn.jpg', 'x_drawn_2.jpg'}
    assert not {name.name for name in free_names(photos, paths[:1])} - {'x_drawn.jpg'}


def test_pictures_of_earlier_calls(photos, tmp_path):
    out = tmp_path / 'out'
    paths = list_images(photos, out)
    out.mkdir()
    (out / 'x.jpg').write_text('of mine')
    with pytest.raises(UserError, match=r'x\.jpg already exists: .*--overwrite'):
        free_names(out, paths)
    assert len(set(free_names(out, paths, overwrite=True))) == 2
    # a photograph is never written over
    shutil.copy(photos / 'x.jpg', photos / 'x_drawn.jpg')
    every = [*paths, photos / 'x_drawn.jpg']
    assert not set(free_names(photos, every, overwrite=True)) & set(every)


def test_drawn_pictures_are_not_drawn_again(photos):
    (photos / 'drawn').mkdir()
    shutil.copy(photos / 'x.jpg', photos / 'drawn' / 'x.jpg')
    assert len(list_images(photos, photos / 'drawn')) == 2
    assert len(list_images(photos)) == 3
    shutil.copy(photos / 'x.jpg', photos / 'x_drawn.jpg')
    assert [p.name for p in list_images(photos, photos)].count('x_drawn.jpg') == 0


def test_a_second_call_draws_the_same_pictures(photos, tmp_path):
    """Among the photographs, above them, and by another name of the folder."""
    (tmp_path / 'link').symlink_to(photos)
    for source, out in ((photos, photos), (photos, tmp_path / 'link'), (photos / 'deeper', photos)):
        paths = list_images(source, out)
        targets = free_names(out, paths)
        for path, target in zip(paths, targets):
            shutil.copy(path, target)
        assert paths and list_images(source, out) == paths
        assert free_names(out, paths, overwrite=True) == targets
        for target in targets:
            target.unlink()


def test_a_folder_with_images_that_are_none(trained, data, tmp_path, capsys, error_line):
    folder = tmp_path / 'p'
    folder.mkdir()
    shutil.copy(data / 'val' / '00.png', folder / 'good.png')
    (folder / 'empty.png').write_bytes(b'')
    header = bytearray((data / 'val' / '00.png').read_bytes())
    header[16:24] = (60000).to_bytes(4, 'big') * 2  # what a PNG says of its size
    (folder / 'huge.png').write_bytes(bytes(header))
    (folder / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    (folder / 'circle.png').symlink_to(folder / 'circle.png')
    written = demo([str(folder), *trained, '--out', str(tmp_path / 'o'), '--score-thr', '0'])
    said = capsys.readouterr().out
    assert [path.name for path in written] == ['good.png']
    assert all(f'{name}.png cannot be decoded' in said
               for name in ('empty', 'huge', 'gone', 'circle'))
    assert '6 instances of score 0 or more; 1 picture in' in said
    assert 'already exists' in error_line(demo, folder, *trained, '--out', tmp_path / 'o')


def test_files_that_are_there(tmp_path):
    kept, read = tmp_path / 'a.json', tmp_path / 'b.json'
    kept.write_text('of mine')
    read.write_text('read')
    (tmp_path / 'link.json').symlink_to(read)
    (tmp_path / 'dangling').symlink_to(tmp_path / 'gone')
    refuse_overwriting([tmp_path / 'new'], sources=[read, None, tmp_path / 'gone'])
    refuse_overwriting([kept], overwrite=True, sources=[read])
    for name in ('a.json', 'dangling'):
        with pytest.raises(UserError, match=f'{name} already exists: .*--overwrite'):
            refuse_overwriting([tmp_path / name])
    for name in ('b.json', 'link.json'):
        with pytest.raises(UserError, match=f'{name} is both an input and an output'):
            refuse_overwriting([tmp_path / name], overwrite=True, sources=[kept, read])


def test_results_of_earlier_tests(trained, data, tmp_path, error_line):
    """``--out``, ``--json-out``, ``--show-dir``: looked at before, replaced when asked for."""
    command = [*trained, '--ann', f'{data}/val.json', '--work-dir', f'{tmp_path}/w']
    options = dict(out=['--out', f'{tmp_path}/r.pkl'], json=['--json-out', f'{tmp_path}/r'],
                   show=['--show-dir', f'{tmp_path}/show'])
    (tmp_path / 'show').mkdir()
    earlier = dict(out=tmp_path / 'r.pkl', json=tmp_path / 'r.bbox.json',
                   show=tmp_path / 'show' / '03.png')
    for kind, path in earlier.items():
        path.write_text('of mine')
        assert f'{path} already exists' in error_line(run_test, *command, *options[kind])
        assert path.read_text() == 'of mine'
    assert not (tmp_path / 'r.segm.json').exists()
    assert 'give the beginning of file names, such as' in error_line(
        run_test, *command, '--json-out', f'{tmp_path}/show/')
    # nor is a test begun whose results have no place
    for kind in ('--out', '--json-out', '--show-dir'):
        assert 'cannot be written: there is a file' in error_line(
            run_test, *command, kind, f'{data}/val.json/r.pkl')
    assert len(list((tmp_path / 'show').iterdir())) == 1
    run_test([*command, *options['out'], *options['json'], *options['show'], '--overwrite'])
    assert all(path.stat().st_size > 100 for path in earlier.values())


def test_pictures_never_replace_what_is_tested_on(trained, data, tmp_path, error_line):
    shutil.copytree(data, tmp_path / 'd')
    images = tmp_path / 'd' / 'val'
    before = {path: path.read_bytes() for path in images.iterdir()}
    line = error_line(run_test, *trained, '--ann', tmp_path / 'd' / 'val.json', '--work-dir',
                      tmp_path / 'w', '--show-dir', images, '--overwrite')
    assert 'is both an input and an output' in line
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_results_that_nobody_asked_for(trained, data, tmp_path):
    """Of images without annotations; the next test does not replace them."""
    info = read_json(data / 'val.json')
    del info['annotations']
    ann = write_json(tmp_path / 'info.json', info)
    for number in range(2):
        run_test([*trained, '--ann', ann, '--images', f'{data}/val', '--work-dir',
                  f'{tmp_path}/w', '--out', f'{tmp_path}/{number}.pkl'])
    assert sorted(path.name for path in (tmp_path / 'w').glob('results*.segm.json')) == [
        'results.segm.json', 'results_1.segm.json']


def test_a_config_in_its_own_work_folder(trained, data, tmp_path):
    """mmengine writes the whole config into the work folder, under the name of the file."""
    folder = tmp_path / 'w'
    folder.mkdir()
    config = folder / 'mine.py'
    config.write_text(f"_base_ = '{trained[0]}'\n# a note of mine\n")
    text = config.read_text()
    run_test([str(config), trained[1], '--ann', f'{data}/val.json', '--work-dir', str(folder)])
    assert config.read_text() == text
    assert [path.name for path in folder.glob('*/mine.py')] == ['mine.py']


@pytest.mark.parametrize('command, options', [
    (export_onnx, ['config.py', 'weights.pth', 'out']),
    (convert_checkpoint, ['weights.pth', 'out']), (prepare_cocofied_lvis, ['lvis.json', 'out'])])
def test_single_files(command, options, tmp_path, error_line, monkeypatch):
    """Before anything is read or computed; what is read is never written over."""
    monkeypatch.chdir(tmp_path)
    for name in options:
        (tmp_path / name).write_text('of mine')
    assert 'out already exists: choose another' in error_line(command, *options)
    for source in options[:-1]:
        assert f'{source} is both an input and an output' in error_line(
            command, *options[:-1], source, '--overwrite')
    # no complaint of what is there
    assert 'already exists' not in error_line(command, *options, '--overwrite')
    assert all((tmp_path / name).read_text() == 'of mine' for name in options)


def test_a_work_folder_with_an_earlier_training(trained, data, tmp_path, error_line, capsys):
    """Neither its checkpoints nor what a training begins with are written over."""
    config, checkpoint = trained
    work = tmp_path / 'w'
    work.mkdir()
    for name in ('epoch_1.pth', 'epoch_7.pth', 'best_coco_segm_mAP_epoch_9.pth'):
        shutil.copy(checkpoint, work / name)
    (work / 'notes.pth.tmp').write_text('of mine')
    before = {path: path.read_bytes() for path in work.iterdir()}
    command = [config, '--train-ann', f'{data}/train.json', '--work-dir', str(work), '--no-report']
    line = error_line(train, *command)
    assert 'results of an earlier training (best_coco_segm_mAP_epoch_9.pth, epoch_7.pth' in line
    assert '--resume' in line and '--overwrite' in line
    line = error_line(train, *command, '--overwrite', '--load-from', work / 'epoch_1.pth')
    assert 'where this training would overwrite it: choose another --work-dir' in line
    for more, named in ((['--cfg-options', 'resume=True'], 'resume=True (of the config or'),
                        (['--resume'], '--resume'), (['--resume', checkpoint], '--resume')):
        line = error_line(train, *command, '--overwrite', *more)
        assert f'--overwrite replaces an earlier training, and {named}' in line
    assert {path: path.read_bytes() for path in work.iterdir()} == before
    train([*command, '--overwrite'])
    # an earlier best one would be taken for the best of this training
    assert sorted(path.name for path in work.glob('*.pth*')) == ['epoch_1.pth', 'notes.pth.tmp']


def test_files_of_others_in_a_work_folder(trained, data, tmp_path, error_line):
    config, checkpoint = trained
    (tmp_path / 'training.lock').write_text('my diary')
    line = error_line(train, config, '--train-ann', f'{data}/train.json', '--work-dir', tmp_path)
    assert 'training.lock is not a file that training wrote: move it' in line
    other = tmp_path / 'tiny.py'  # of the same name, and another one
    other.write_text('# of mine\n')
    run_test([config, checkpoint, '--ann', f'{data}/val.json', '--work-dir', str(tmp_path)])
    assert other.read_text() == '# of mine\n'
    assert [path.name for path in tmp_path.glob('*/tiny.py')] == ['tiny.py']
    other.unlink()
    for rate in (0.5, 0.6):  # what a run has written there it may replace
        run_test([config, checkpoint, '--ann', f'{data}/val.json', '--work-dir', str(tmp_path),
                  '--cfg-options', f'model.test_cfg.mask_thr={rate}'])
        assert f'mask_thr={rate}' in other.read_text()


def test_links(photos, trained, tmp_path, error_line):
    """Other names of what is read, and names that lead to somebody's file."""
    out, kept = tmp_path / 'out', tmp_path / 'kept.txt'
    out.mkdir()
    kept.write_text('of mine')
    os.link(photos / 'x.jpg', out / 'x.jpg')
    os.symlink(kept, out / 'x_2.jpg')
    before = (photos / 'x.jpg').read_bytes()
    assert [path.name for path in free_names(out, [photos / 'x.jpg', photos / 'deeper' / 'x.jpg'],
                                             overwrite=True)] == ['x_2.jpg', 'x_3.jpg']
    demo([str(photos / 'x.jpg'), *trained, '--out', str(out), '--overwrite'])
    assert (photos / 'x.jpg').read_bytes() == before and kept.read_text() == 'of mine'
    (out / 'link').symlink_to(kept)
    with pytest.raises(UserError, match=r'is a link to .*kept.txt, which would be overwritten'):
        refuse_overwriting([out / 'link'], overwrite=True)


def test_names_of_unfinished_files(tmp_path):
    """Somebody's own file of the name, and a link of the name to what is read."""
    kept, path = tmp_path / 'a.json.tmp', tmp_path / 'a.json'
    kept.write_text('of mine')
    os.symlink(kept, tmp_path / 'a.json.2.tmp')
    with atomic_write(path) as name:
        Path(name).write_text('new')
    assert kept.read_text() == 'of mine' and path.read_text() == 'new'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.json', 'a.json.2.tmp', 'a.json.tmp']


def test_a_clean_copy_never_replaces_what_is_checked(data, tmp_path, error_line):
    shutil.copytree(data, tmp_path / 'd')
    folder = tmp_path / 'd'
    (folder / 'val.json').unlink()
    shutil.rmtree(folder / 'val')
    os.link(folder / 'train.json', tmp_path / 'hard.json')
    os.symlink(folder, tmp_path / 'link')
    line = error_line(check, folder, '--clean', folder / 'train' / '00.png', '--overwrite')
    assert '00.png must end in .json' in line
    # an earlier copy may lie among the images
    copy = folder / 'train' / 'clean.json'
    copy.write_text('of an earlier call')
    check([str(folder / 'train.json'), '--clean', str(copy), '--overwrite'])
    assert len(read_json(copy)['images']) == 12
    copy.unlink()
    for target in (folder / 'train.json', tmp_path / 'hard.json', tmp_path / 'link' / 'train.json'):
        for ann in (folder, folder / 'train.json'):
            assert 'is both an input and an output' in error_line(
                check, ann, '--clean', target, '--overwrite', '--no-images')


def test_an_address_keeps_its_slashes():
    with pytest.raises(UserError, match=r'https://a/b\.jpg: images are not downloaded here'):
        list_images('https://a/b.jpg')
    with pytest.raises(UserError, match=r'https://a/b\.pth: download the file first'):
        read_published('https://a/b.pth')


@pytest.mark.linux
def test_a_pipe_is_no_photograph(photos):
    os.mkfifo(photos / 'pipe.jpg')
    assert [path.name for path in list_images(photos)] == ['x.jpg', 'x.jpg']
    with pytest.raises(UserError, match=r'pipe\.jpg is no file'):
        load_annotations(photos / 'pipe.jpg')
