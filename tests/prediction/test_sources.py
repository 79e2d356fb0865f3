"""What can be given as a source, and how pictures are named."""
import itertools
import json
import os
import shutil

import mmcv
import numpy as np
import pytest
import torch
from PIL import Image

from mmdet_lordre.cli.demo import list_images
from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.pictures import BrokenPictureError, pixels_of
from mmdet_lordre.prediction.sources import open_source
from tests.cli.tiny import write_json


@pytest.fixture
def folder(pictures, tmp_path):
    """a.png, b.jpg, b.png, deeper/a.png, notes.txt."""
    root = tmp_path / 'photos'
    (root / 'deeper').mkdir(parents=True)
    for name in ('b.png', 'b.jpg', 'a.png', 'deeper/a.png'):
        shutil.copy(pictures / 'val' / '00.png', root / name)
    (root / 'notes.md').write_text('nothing')
    return root


def names(*args, **kwargs):
    return [picture.name for picture in open_source(*args, **kwargs)]


def test_folders(folder, monkeypatch):
    assert names(folder) == ['a', 'b', 'b_png']
    assert names(folder, recursive=True) == ['a', 'b', 'b_png', 'deeper/a']
    assert names(folder, recursive=True, without=folder / 'deeper') == ['a', 'b', 'b_png']
    assert len(open_source(folder)) == 3
    monkeypatch.chdir(folder)
    assert names('.') == names(folder)


def test_patterns_lists_and_files(folder, monkeypatch):
    assert names(folder / 'a.png') == ['a']
    assert names(f'{folder}/*.png') == ['a', 'b']
    assert names(f'{folder}/**/*.png') == ['a', 'b', 'deeper/a']
    assert names([folder / 'a.png', folder / 'deeper', np.zeros((4, 4, 3), np.uint8)]) == [
        'a', 'a_png', 'picture_000002']
    listing = folder / 'list.txt'
    listing.write_text('# some\ndeeper/a.png\n\nb.jpg\n../elsewhere/c.png\n')
    source = list(open_source(listing))
    assert [p.name for p in source][:2] == ['deeper/a', 'b']
    # nothing leads out of the folder that results are written to
    assert '..' not in source[2].name and not os.path.isabs(source[2].name)
    monkeypatch.chdir(folder.parent)
    listing.write_text('photos/a.png\n')
    assert os.path.samefile(next(iter(open_source(listing))).path, folder / 'a.png')


def test_links_in_a_circle(folder):
    (folder / 'c.png').symlink_to(folder / 'c.png')
    assert 'c' in names(folder)
    picture = next(one for one in open_source(folder) if one.name == 'c')
    with pytest.raises(BrokenPictureError, match='it is a link that leads in a circle'):
        picture.data()
    with pytest.raises(UserError, match=r'c\.png is a link that leads in a circle'):
        open_source(folder / 'c.png')


def test_links_that_lead_nowhere(folder):
    """A share that is not there, or data that git-annex has not fetched: not passed over."""
    (folder / 'gone.png').symlink_to('/nowhere/gone.png')
    (folder / 'folder.png').mkdir()
    for source in (folder, f'{folder}/*.png'):
        picture, = (one for one in open_source(source) if one.name == 'gone')
        with pytest.raises(BrokenPictureError, match='No such file'):
            picture.data()
        assert 'folder' not in names(source)


def test_coco_files(pictures):
    source = list(open_source(pictures / 'val.json'))
    assert [(p.name, p.image_id) for p in source][:2] == [('00', 100), ('01', 101)]
    assert [p.index for p in source] == [0, 1, 2, 3, 4]
    bare = json.loads((pictures / 'val.json').read_text())
    write_json(pictures / 'bare.json', dict(images=bare['images'], categories=[]))
    source = open_source(pictures / 'bare.json', images=str(pictures / 'val'))
    assert source.categories is None and len(source) == 5
    # two files may have the same ids
    source = open_source([pictures / 'bare.json'] * 2, images=str(pictures / 'val'))
    assert [(p.image_id, p.file) for p in source][::5] == [(None, '00.png'), (None, '00.png')]


def renamed(pictures, tmp_path, *file_names):
    """A COCO file in a folder of its own, whose first images have other names."""
    data = json.loads((pictures / 'val.json').read_text())
    for image, name in zip(data['images'], file_names):
        image['file_name'] = name
    (tmp_path / 'set').mkdir()
    shutil.copytree(pictures / 'val', tmp_path / 'set', dirs_exist_ok=True)
    write_json(tmp_path / 'set' / 'a.json', data)
    return str(tmp_path / 'set' / 'a.json')


@pytest.mark.parametrize('name', ['../other/secret.png', '{root}/other/secret.png'])
@pytest.mark.parametrize('there', [True, False])
def test_coco_files_read_nothing_outside_of_their_folder(pictures, tmp_path, name, there):
    """As for training, which names such an image; one that is not there is left out."""
    name = name.format(root=tmp_path)
    ann = renamed(pictures, tmp_path, name)
    if there:
        (tmp_path / 'other').mkdir()
        shutil.copy(pictures / 'val' / '00.png', tmp_path / 'other' / 'secret.png')
        with pytest.raises(UserError, match=r'secret\.png. lies outside of .*set: nothing is read'):
            open_source(ann)
        return
    first, second, *_ = open_source(ann)
    assert first.path is None and first.file == name and second.path.endswith('set/01.png')
    with pytest.raises(BrokenPictureError, match='no such file in the folder of the pictures'):
        first.data()


def test_coco_files_of_another_machine(pictures, tmp_path, capsys):
    """Read under their names here; results keep those of the file."""
    given = ['C:\\data\\00.png', '/home/me/01.png', '../x/02.png', 'http://localhost/a/03.png']
    source = open_source(renamed(pictures, tmp_path, *given))
    assert 'images: 4 found under another name (C:\\data\\00.png as 00.png)' in \
        capsys.readouterr().out
    found = list(source)
    assert [os.path.relpath(one.path, tmp_path) for one in found] == [
        f'set/0{number}.png' for number in range(5)]
    assert [one.file for one in found] == [*given, '04.png']
    assert [one.image_id for one in found] == [100, 101, 102, 103, 104]
    assert [one.name for one in found] == ['data/00', 'home/me/01', 'x/02', 'localhost/a/03', '04']


def test_addresses_in_coco_files_are_not_fetched(pictures, tmp_path):
    with pytest.raises(UserError, match='image 100 has no file_name that is a path: http://'):
        open_source(renamed(pictures, tmp_path, 'http://localhost/none.png'))


def test_arrays():
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert pixels_of(gray).shape == (3, 4, 3)
    bgra = np.zeros((3, 4, 4), np.uint8)
    assert pixels_of(bgra).shape == (3, 4, 3)
    assert pixels_of(Image.new('RGB', (4, 3), (255, 0, 1)))[0, 0].tolist() == [1, 0, 255]
    assert names(np.zeros((2, 5, 6, 3), np.uint8)) == ['picture_000000', 'picture_000001']
    with pytest.raises(UserError, match='uint8'):
        open_source(np.zeros((3, 4, 3)))
    with pytest.raises(UserError, match='shape'):
        open_source(np.zeros((3, 4, 7), np.uint8))
    with pytest.raises(UserError, match=r'\(3, 4, 5\): colors come last'):
        open_source(torch.zeros(3, 4, 5, dtype=torch.uint8))
    assert pixels_of(torch.ones(4, 5, 3, dtype=torch.uint8, device='cpu')).shape == (4, 5, 3)
    for wrong, said in ((np.zeros((0, 4), np.uint8), 'shape'), (b'bytes', 'not a bytes'),
                        (None, 'not a NoneType'), ({'a.png'}, 'not a set'),
                        (torch.zeros(4, 5, 3), 'float32')):
        with pytest.raises(UserError, match=said):
            open_source(wrong)


@pytest.mark.parametrize('mode', ['I;16', 'I;16B', 'I'])
def test_16_bits_of_pillow(mode):
    """``convert`` makes all of it white."""
    values = np.arange(12).reshape(3, 4) * 5000
    kind = {'I': np.int32, 'I;16B': '>u2'}.get(mode, np.uint16)
    image = Image.fromarray(values.astype(kind))
    assert image.mode == mode
    np.testing.assert_array_equal(pixels_of(image)[..., 1], values)
    with pytest.raises(UserError, match='uint8'):
        pixels_of(Image.fromarray(values.astype(np.float32)))


def test_one_after_the_other(folder):
    """Generators, of which no more is taken than is asked for, and no end is needed."""
    taken = []

    def frames():
        for number in itertools.count():
            taken.append(number)
            yield np.full((2, 3), number, np.uint8)
    source = open_source(frames())
    found = list(itertools.islice(source, 3))
    assert [p.pixels[0, 0, 0] for p in found] == [0, 1, 2] == taken
    assert [p.name for p in found] == ['picture_000000', 'picture_000001', 'picture_000002']
    paths = sorted(folder.glob('*.png'))
    assert [p.path for p in open_source(iter(paths))] == [*map(str, paths)] and len(paths) > 1
    nested = open_source([folder / 'b.png', iter(paths), np.zeros((2, 3), np.uint8)])
    assert [p.name for p in nested] == ['b', 'a', 'b_png', 'picture_000003']
    with pytest.raises(UserError, match=r'nowhere\.png'):
        list(open_source(p for p in ('nowhere.png',)))
    with pytest.raises(UserError, match='camera, and comes out of a generator'):
        list(open_source(number for number in (0,)))


@pytest.mark.parametrize('given, said', [
    ('nowhere.png', 'no such picture'), ('nowhere/*.png', 'no picture and no film fits'),
    ([], 'empty'), ('folder', '; recursive looks into folders'),
    ('list.txt', 'addresses in a list are not fetched'), ('empty.txt', 'lists no pictures')])
def test_what_cannot_be_meant(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'list.txt').write_text('http://localhost/a.png\n')
    (tmp_path / 'empty.txt').write_text('\n')
    with pytest.raises(UserError, match=said):
        open_source(given)


def test_names_of_hostile_lists(tmp_path):
    listing = tmp_path / 'list.txt'
    listing.write_text('/etc/x.png\n../../etc/x.png\nC:\\x.png\nA.png\na.png\n')
    found = names(listing)
    assert len({name.casefold() for name in found}) == 5
    for name in found:
        inside = os.path.realpath(tmp_path / 'out' / name)
        assert inside.startswith(f'{tmp_path / "out"}{os.sep}'), name


@pytest.mark.parametrize('look', ['predict', 'demo'])
def test_pictures_with_other_endings_are_counted(tmp_path, capsys, look):
    def names():
        if look == 'demo':
            return [path.name for path in list_images(tmp_path)]
        return [os.path.basename(picture.path) for picture in open_source(str(tmp_path))]
    for name in ('x.avif', 'y.AVIF', 'z.jp2', 'notes.txt', 'a.json', 'Thumbs.db'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(UserError, match=r'3 pictures with other endings are not looked at '
                                        r'\(.avif 2, .jp2 1\)'):
        names()
    (tmp_path / 'a.png').write_bytes(b'')
    assert names() == ['a.png']
    assert capsys.readouterr().out == (
        f'{tmp_path}: 3 pictures with other endings are not looked at (.avif 2, .jp2 1): give '
        'them by name, or as PNG\n')
    for name in ('x.avif', 'y.AVIF', 'z.jp2'):
        (tmp_path / name).unlink()
    assert names() == ['a.png'] and not capsys.readouterr().out


def test_pictures_of_pillow_are_upright(tmp_path):
    """As the same file is where it is given by its path."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / 'turned.png'
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as picture:
        found = pixels_of(picture)
    assert np.array_equal(found, np.rot90(pixels, -1)[..., ::-1])
    assert np.array_equal(found, mmcv.imread(str(path)))


def test_pictures_of_pillow_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r'the shape \(height, width, 3\), not \(3, 0'):
        pixels_of(Image.new('RGB', (0, 3)))
    path = tmp_path / 'cut.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with Image.open(path) as picture, pytest.raises(UserError, match=r'cannot be decoded: .*trunc'):
        pixels_of(picture)


def test_bytes_are_no_picture(tmp_path):
    with pytest.raises(UserError, match=r'not a bytes: decode .* PIL\.Image\.open\(io\.BytesIO'):
        pixels_of(b'\xff\xd8')
