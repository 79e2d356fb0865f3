"""Annotations stay with their own picture: names that tools write, and pictures that are gone."""
import unicodedata

import pytest

from mmdet_lordre.datasets.file_names import names_found
from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.datasets.formats.folder import Folder
from mmdet_lordre.datasets.formats.image_names import ImageNames
from mmdet_lordre.datasets.repairs import Repairs

from .exports import labelme_file, shape, via_polygon, via_regions
from .scene import ANGLE, HEIGHT, WIDTH, photo, text

NAMES = [f'{folder}/{number}.jpg' for folder in 'abc' for number in range(3)]


def labelme(root):
    for name in NAMES:
        photo(root / name)
        text((root / name).with_suffix('.json'), labelme_file(
            name[0], [shape('cat', ANGLE)], imagePath=name[2:]))
    return root


def cvat(root):
    for name in NAMES:
        photo(root / 'images' / name)
    points = ';'.join(f'{x},{y}' for x, y in ANGLE)
    text(root / 'annotations.xml', '<annotations>' + ''.join(
        f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}">'
        f'<polygon label="cat" points="{points}"/></image>' for name in NAMES) + '</annotations>')
    return root / 'images'


def via(root):
    for name in NAMES:
        photo(root / 'images' / name)
    text(root / 'via.json', {name: dict(filename=name, regions=via_regions(
        (via_polygon(ANGLE), 'cat'))) for name in NAMES})
    return root / 'images'


def listed(part):
    return [image['file_name'] for image in part.data['images']]


@pytest.mark.parametrize('write', [labelme, cvat, via])
def test_names_that_repeat_between_folders(write, tmp_path):
    images = write(tmp_path)
    part = open_data(tmp_path)['train']
    assert [tmp_path / name for name in listed(part)] == [images / name for name in NAMES]
    assert not part.notes


@pytest.mark.parametrize('write', [labelme, cvat, via])
def test_no_picture_gets_the_objects_of_another(write, tmp_path):
    images = write(tmp_path)
    for name in ('a/0.jpg', 'b/0.jpg'):
        (images / name).unlink()
    part = open_data(tmp_path)['train']
    assert part.notes and '2 images not found' in part.line() and 'a/0.jpg' in part.line()
    data = Repairs(part.data, part.source).make(part.folder).data
    there = [image['file_name'] for image in data['images']
             if (tmp_path / image['file_name']).is_file()]
    assert [tmp_path / name for name in there] == [
        images / name for name in NAMES if name not in ('a/0.jpg', 'b/0.jpg')]


def matched(root, files, *wanted):
    for name in files:
        photo(root / name)
    return ImageNames(Folder(root), wanted)


def test_another_name_is_said(tmp_path):
    names = matched(tmp_path, ['photos/a.jpg', 'photos/b.jpg'], (r'C:\me\a.jpg', 'json'),
                    ('/home/me/b.png', 'json'))
    assert names.found == ['photos/a.jpg', 'photos/b.jpg']
    assert names.notes() == [r"images: 2 found under another name (C:\me\a.jpg as photos/a.jpg)"]


@pytest.mark.parametrize('files, wanted', [
    (['x/0.jpg'], [('a/0.jpg', ''), ('b/0.jpg', '')]),              # several mean one file
    (['x/0.jpg'], [('a/0.jpg', ''), ('x/0.jpg', '')]),              # it is another's
    (['0.jpg', 'a/1.jpg'], [('a/0.jpg', '')]),                      # the folder is there
    (['0.jpg', 'a/1.jpg'], [('0.jpg', 'a')]),                       # so is its own
    (['c/0.jpg', 'c/1.jpg'], [('a/0.jpg', ''), ('c/1.jpg', '')])])  # a folder of others
def test_missing(tmp_path, files, wanted):
    names = matched(tmp_path, files, *wanted)
    assert names.found[0] is None and 'not found' in names.notes()[0]
    assert not (tmp_path / names.lost_name(0)).exists()


def test_a_folder_that_is_there_keeps_its_names(tmp_path):
    for name in ('0.jpg', 'a/1.jpg'):
        photo(tmp_path / name)
    assert names_found(str(tmp_path), ['a/0.jpg']) == [None]
    assert names_found(str(tmp_path), ['gone/0.jpg']) == ['0.jpg']


@pytest.mark.parametrize('said, stored', [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_letters_with_accents(tmp_path, said, stored):
    """An archive of a Mac may hold the accents apart from their letters."""
    stored_name, name = (unicodedata.normalize(form, 'café0.jpg') for form in (stored, said))
    photo(tmp_path / 'images' / stored_name)
    assert names_found(str(tmp_path / 'images'), [name]) == [stored_name]
    text(tmp_path / 'a.json', dict(images=[dict(
        id=1, file_name=name, width=WIDTH, height=HEIGHT)], annotations=[], categories=[
            dict(id=1, name='cat')]))
    part = open_data(tmp_path)['train']
    assert part.folder == str(tmp_path / 'images')
    repairs = Repairs(part.data, part.source).make(part.folder)
    assert 'found under another name' in '; '.join(repairs.notes)
    assert matched(tmp_path, [], (name, '')).found == [f'images/{stored_name}']
