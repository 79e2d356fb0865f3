"""Reading annotation files and finding their images."""
import json
import os
from pathlib import Path

import pytest

from mmdet_lordre.datasets.coco_file import (
    class_names,
    clean_name,
    find_images,
    read_annotations,
    write_annotations,
)
from mmdet_lordre.datasets.file_names import names_found
from mmdet_lordre.errors import UserError

from ..cli.tiny import NAMES, make_coco, read_json, write_json


@pytest.fixture
def ann(tmp_path):
    return make_coco(tmp_path, count=4)


def test_names_of_lists_in_other_places(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"images": [{"images": 1, "images": 2}], "categories": [{"name": "images"}]}')
    assert read_annotations(path)['images'] == [dict(images=2)]


def test_a_byte_order_mark(ann, tmp_path):
    path = tmp_path / 'bom.json'
    path.write_text(Path(ann).read_text(), encoding='utf-8-sig')
    assert path.read_bytes()[:3] == b'\xef\xbb\xbf'
    assert read_annotations(path) == read_json(ann)


@pytest.mark.parametrize('content, said', [
    (b'', 'not JSON'), (b'{"images": [', 'not JSON'), ('{}'.encode('utf-16'), 'but in UTF-16'),
    (b'"\xe4"', 'not JSON in UTF-8'), (b'[' * 100_000, 'nested too deeply'),
    (b'{"id": 1}\n{"id": 2}', 'a second value begins in line 2'),
    (b'[]', 'no list "images"'), (b'5', 'no list "images"'),
    (b'{"images": []}', 'no list "categories"$'),
    (b'{"images": [], "Categories": []}', 'no list "categories", but "Categories": rename that'),
    (b'{"images": [1], "categories": [1], "annotation": []}', 'no list "annotations", but "annot'),
    (b'{"images": [], "images": [{"a": {}}], "categories": []}', 'has two lists "images", of'),
    (b'{"images": [], "categories": []}', 'lists no images')])
def test_no_annotation_file(tmp_path, content, said):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_annotations(path)
    assert str(path) in str(error.value)


@pytest.mark.linux
def test_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match='is a folder'):
        read_annotations(tmp_path)
    with pytest.raises(UserError, match='no such annotation file'):
        read_annotations(tmp_path / 'a.json')
    with pytest.raises(UserError, match=r'^http://host/a\.json: annotations are not downloaded'):
        read_annotations('http://host/a.json')
    os.mkfifo(tmp_path / 'pipe.json')
    with pytest.raises(UserError, match='no ordinary file'):
        read_annotations(tmp_path / 'pipe.json')


def test_folders_of_images(ann, tmp_path):
    data = read_json(ann)
    assert find_images(data, ann) == str(tmp_path / 'images')
    with pytest.raises(UserError, match=r'^http://host/x: images are not downloaded'):
        find_images(data, ann, 'http://host/x')
    with pytest.raises(UserError, match='no such folder of images'):
        find_images(data, ann, str(tmp_path / 'gone'))
    with pytest.raises(UserError, match=r"no '00\.png', for one; give the folder"):
        find_images(data, ann, str(tmp_path))
    for name in ('img', 'imgs', 'JPEGImages'):
        (tmp_path / 'images').rename(tmp_path / name)
        assert find_images(data, ann) == str(tmp_path / name)
        (tmp_path / name).rename(tmp_path / 'images')


@pytest.mark.parametrize('form', ['images\\{}', 'http://[::1/{}', '/data/upload/1/{}', 'task/{}'])
def test_the_folder_is_found_by_names_of_tools(ann, tmp_path, form):
    data = read_json(ann)
    for image in data['images']:
        image['file_name'] = form.format(image['file_name'])
    folder = Path(find_images(data, ann))
    found = names_found(str(folder), [image['file_name'] for image in data['images']])
    assert [(folder / name).resolve() for name in found] == sorted(
        (tmp_path / 'images').resolve().iterdir())


def test_class_names():
    def names(*categories):
        return class_names(dict(categories=list(categories)), 'a.json')
    assert names(dict(id=1, name='a'), dict(id=0, name=5)) == ('a', '5')
    for name in (None, '', ['a'], {}, True, 0.5):
        with pytest.raises(UserError, match=r'a\.json: the name of category 1 is'):
            names(dict(id=1, name=name))
    with pytest.raises(UserError, match="a name of its own; twice: 'a'"):
        names(dict(id=1, name='a'), dict(id=2, name='a'))
    # Roboflow's heading of the name of a class
    data = dict(categories=[dict(id=0, name='a', supercategory='none'), dict(id=1, name='a')],
                annotations=[dict(category_id=1)])
    with pytest.raises(UserError, match='twice: \'a\': take the one of id 0 out of "categories"'):
        class_names(data, 'a.json')
    with pytest.raises(UserError, match='an id of its own; twice: 1'):
        names(dict(id=1, name='a'), dict(id=1, name='b'))
    with pytest.raises(UserError, match='an id of its own; one has none'):
        names(dict(name='a'))
    many = [dict(id=i, name=f'class {i}') for i in range(20_000)]
    assert len(names(*many)) == 20_000


def test_writing(ann, tmp_path, monkeypatch):
    from mmdet_lordre.datasets import coco_file
    data = dict(read_json(ann), info=dict(year=2026), licenses=[])
    for size in (1, 3, 10_000):
        monkeypatch.setattr(coco_file, '_PIECE', size)
        path = write_annotations(data, str(tmp_path / 'new' / 'a.json'))
        with open(path) as file:
            assert json.load(file) == data
    with pytest.raises(UserError, match='cannot be written'):
        write_annotations(data, f'{ann}/a.json')
    assert [c['name'] for c in data['categories']] == list(NAMES)


def test_copies_of_files_of_one_name_differ(tmp_path):
    names = {clean_name(str(tmp_path / split / 'a.json'), 'out') for split in ('train', 'valid')}
    assert len(names) == 2 and all(name.endswith('.json') for name in names)


def test_no_images_listed(tmp_path):
    path = write_json(tmp_path / 'a.json', dict(images=[], annotations=[], categories=[
        dict(id=1, name='a')]))
    with pytest.raises(UserError, match='lists no images: nothing to learn from'):
        read_annotations(path)
