"""tools/demo.py: folders, single images, modes."""
import shutil
from pathlib import Path

import cv2
import pytest

from mmdet_lordre.cli.demo import list_images
from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.errors import UserError

from .tiny import HEIGHT, WIDTH


def test_a_folder_by_the_script(run_script, trained, data, tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'deeper').mkdir(parents=True)
    shutil.copy(data / 'val' / '00.png', folder / 'one.png')
    shutil.copy(data / 'val' / '02.png', folder / 'deeper' / 'one.png')
    shutil.copy(data / 'val' / '03.png', folder / 'gr\u00fcn und blau.png')
    (folder / 'broken.jpg').write_text('no image')
    (folder / 'notes.txt').write_text('no image either')
    done = run_script('demo.py', folder, *trained, '--out', tmp_path / 'out', '--score-thr', '0')
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {
        'one.png', 'one_2.png', 'gr\u00fcn und blau.png'}
    assert '3 pictures in' in done.stdout and 'left out: ' in done.stdout
    assert 'Drawing' in done.stdout  # the progress bar
    assert 'Traceback' not in done.stderr


def test_broken_pictures_do_not_stop_the_others(trained, data, tmp_path, capsys):
    """Also those of which Pillow shows a part."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    shutil.copy(data / 'val' / '00.png', folder / 'z.png')
    photo = cv2.imencode('.jpg', cv2.resize(cv2.imread(f'{data}/val/00.png'), (640, 480)))[1]
    (folder / 'half.jpg').write_bytes(photo.tobytes()[:len(photo) // 2])
    (folder / 'link.png').symlink_to('/gone.png')
    written = demo([str(folder), *trained, '--out', f'{tmp_path}/out', '--score-thr', '0'])
    assert [path.name for path in written] == ['z.png']
    said = capsys.readouterr().out
    assert 'half.jpg cannot be decoded' in said and 'link.png cannot be decoded' in said


def test_only_pictures_are_looked_at(tmp_path, monkeypatch, capsys):
    """A folder may hold millions of other files, on a disk far away."""
    for name in ('a.PNG', 'notes.txt', 'b.heic', 'deeper/c.jpg', 'd.png/e.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('x')
    (tmp_path / 'gone.png').symlink_to('nowhere')
    (tmp_path / 'link').symlink_to('deeper')
    looked_at, exists = [], Path.exists

    def counted(path):
        looked_at.append(path.name)
        return exists(path)
    monkeypatch.setattr(Path, 'exists', counted)
    found = list_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        'a.PNG', 'deeper/c.jpg', 'gone.png']
    assert sorted(looked_at) == ['a.PNG', 'c.jpg', 'gone.png']
    assert '1 picture with other endings is not looked at (.heic 1)' in capsys.readouterr().out


def test_one_image(trained, data, tmp_path):
    written = demo([f'{data}/val/00.png', *trained, '--out', str(tmp_path), '--score-thr', '0'])
    assert [p.name for p in written] == ['00.png']
    picture = cv2.imread(str(written[0]))
    # small images are enlarged by a whole factor; names may stand below
    assert picture.shape[1] % WIDTH == 0
    assert picture.shape[0] >= HEIGHT * picture.shape[1] // WIDTH


def test_a_work_folder_alone(trained, data, tmp_path):
    config, checkpoint = trained
    shutil.copy(checkpoint, tmp_path / 'iter_7.pth')
    shutil.copy(config, tmp_path / 'mine.py')
    written = demo([f'{data}/val/00.png', '--score-thr', '0', str(tmp_path), '--out',
                    str(tmp_path / 'out')])
    assert [p.name for p in written] == ['00.png']


def test_several_images(trained, data, tmp_path):
    written = demo([f'{data}/val/00.png', f'{data}/val/03.png', *trained, '--out',
                    str(tmp_path), '--score-thr', '0'])
    assert [p.name for p in written] == ['00.png', '03.png']


@pytest.mark.parametrize('option', [['--activation-maps'], ['--mode', 'activation-maps']])
def test_activation_maps(trained, data, tmp_path, option):
    masks = demo([f'{data}/val/00.png', *trained, '--out', f'{tmp_path}/m', '--score-thr', '0'])
    sheet = demo([f'{data}/val/00.png', *trained, '--out', f'{tmp_path}/a', '--score-thr', '0',
                  *option])
    # the picture and a tile for each of the six instances, four in a row
    small, large = (cv2.imread(str(p[0])) for p in (masks, sheet))
    assert large.shape[1] == 4 * small.shape[1] + 12
    assert large.shape[0] == 2 * HEIGHT * small.shape[1] // WIDTH + 4


def test_the_photograph_itself_is_not_written_over(trained, data, tmp_path):
    photo = tmp_path / 'a.png'
    shutil.copy(data / 'val' / '00.png', photo)
    before = photo.read_bytes()
    demo([str(photo), *trained, '--out', str(tmp_path), '--score-thr', '0'])
    assert photo.read_bytes() == before
    assert (tmp_path / 'a_drawn.png').exists()


def test_wrong_input(trained, data, tmp_path, error_line):
    image = f'{data}/val/00.png'
    assert 'no such image' in error_line(demo, 'nowhere', *trained)
    (tmp_path / 'empty').mkdir()
    assert 'no images in' in error_line(demo, tmp_path / 'empty', *trained)
    line = error_line(demo, image, *trained, '--mode', 'sketch')
    assert 'sketch' in line and 'activation-maps' in line
    with pytest.raises(UserError, match='--activation-maps: not allowed with argument --mode'):
        demo([image, *trained, '--mode', 'rays', '--activation-maps'])
    line = error_line(demo, image, *trained, '--mode', 'rays', '--score-thr', '0')
    assert 'PolarMask' in line
    broken = tmp_path / 'broken.jpg'
    broken.write_text('no image')
    assert str(broken) in error_line(demo, broken, *trained)
    assert 'no such checkpoint' in error_line(demo, image, trained[0], 'nowhere.pth')
