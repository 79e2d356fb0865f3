"""No command writes over what it did not make."""
import shutil

import cv2
import numpy as np
import pytest

from mmdet_lordre.cli.demo import free_names, list_images
from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.errors import UserError


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
    assert {name.name for name in names} == {'x_2.jpg', 'x_drawn.jpg'}


def test_pictures_of_earlier_calls(photos, tmp_path):
    out = tmp_path / 'out'
    paths = list_images(photos, out)
    out.mkdir()
    (out / 'x.jpg').write_text('of mine')
    with pytest.raises(UserError, match=r'x\.jpg is there already: .*--overwrite'):
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


def test_a_folder_with_images_that_are_none(trained, data, tmp_path, capsys, error_line):
    folder = tmp_path / 'p'
    folder.mkdir()
    shutil.copy(data / 'val' / '00.png', folder / 'good.png')
    (folder / 'empty.png').write_bytes(b'')
    header = bytearray((data / 'val' / '00.png').read_bytes())
    header[16:24] = (60000).to_bytes(4, 'big') * 2  # what a PNG says of its size
    (folder / 'huge.png').write_bytes(bytes(header))
    written = demo([str(folder), *trained, '--out', str(tmp_path / 'o'), '--score-thr', '0'])
    said = capsys.readouterr().out
    assert [path.name for path in written] == ['good.png']
    assert 'empty.png cannot be decoded' in said and 'huge.png cannot be decoded' in said
    assert '6 instances above 0; 1 picture in' in said
    assert 'is there already' in error_line(demo, folder, *trained, '--out', tmp_path / 'o')
    assert 'from 0 to 1, not 2' in error_line(demo, folder, *trained, '--score-thr', '2')
