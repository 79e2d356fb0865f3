"""What is put right in annotations, one kind at a time, and what is refused instead."""
import copy
import math

import numpy as np
import pytest
from pycocotools import mask as mask_api

from mmdet_lordre.datasets.file_names import base_names, names_found
from mmdet_lordre.datasets.repairs import Repairs
from mmdet_lordre.datasets.units import refuse_other_units
from mmdet_lordre.errors import UserError

POLYGON = [[2.0, 3.0, 12.0, 3.0, 12.0, 9.0, 2.0, 9.0]]


@pytest.fixture
def data():
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=20, height=16) for i in (5, 6)],
        categories=[dict(id=3, name='a'), dict(id=9, name='b')],
        annotations=[dict(id=i, image_id=5 + i % 2, category_id=(3, 9)[i % 2], iscrowd=0,
                          bbox=[2.0, 3.0, 10.0, 6.0], area=60.0,
                          segmentation=copy.deepcopy(POLYGON)) for i in (1, 2, 3, 4)])


def repair(data):
    return Repairs(data, 'a.json').make()


def test_good_annotations_are_left_as_they_are(data):
    before = copy.deepcopy(data)
    repairs = repair(data)
    assert repairs.notes == [] and repairs.data == before == data


@pytest.mark.parametrize('form', [str, float, lambda i: f'{i}.0'])
def test_ids_of_another_form(data, form):
    good = copy.deepcopy(data)
    for entry in (*data['images'], *data['categories'], *data['annotations']):
        for key in ('id', 'image_id', 'category_id'):
            if key in entry:
                entry[key] = form(entry[key])
    repairs = repair(data)
    assert repairs.data == good
    assert [note.split(':')[0] for note in repairs.notes] == ['categories', 'images',
                                                              'annotations']


def test_ids_that_are_words_are_numbered(data):
    good = copy.deepcopy(data)
    for entry in (*data['images'], *data['annotations']):
        key = 'id' if 'file_name' in entry else 'image_id'
        entry[key] = f'image-{entry[key]}'
    mended = repair(data).data
    numbers = {image['file_name']: image['id'] for image in mended['images']}
    assert numbers == {'5.png': 1, '6.png': 2}
    for ours, theirs in zip(mended['annotations'], good['annotations']):
        assert ours['image_id'] == numbers[f'{theirs["image_id"]}.png']


def test_ids_that_are_missing(data):
    del data['annotations'][1]['id']
    repairs = repair(data)
    assert [a['id'] for a in repairs.data['annotations']] == [1, 5, 3, 4]
    assert repairs.notes == ['annotations: 1 without an id: numbered']


def test_numbers_of_another_form(data):
    good = copy.deepcopy(data)
    data['images'][0].update(width='20', height=16.0)
    data['annotations'][0]['iscrowd'] = '0'
    data['annotations'][1]['iscrowd'] = False
    data['annotations'][2]['iscrowd'] = '1'
    good['annotations'][2]['iscrowd'] = 1
    assert repair(data).data == good
    data['annotations'][0]['iscrowd'] = 'no'
    with pytest.raises(UserError, match="iscrowd of annotation 1 is 'no': it must be 0 or 1"):
        repair(data)


@pytest.mark.parametrize('as_rle', [False, True])
def test_boxes_and_areas_from_masks(data, as_rle):
    good = copy.deepcopy(data)
    if as_rle:
        mask = np.zeros((16, 20), np.uint8, order='F')
        mask[3:9, 2:12] = 1
        encoded = mask_api.encode(mask)
        encoded['counts'] = encoded['counts'].decode()
        for entries in (data, good):
            entries['annotations'][0]['segmentation'] = encoded
    del data['annotations'][0]['bbox'], data['annotations'][0]['area']
    repairs = repair(data)
    assert repairs.data == good
    assert repairs.notes == ['annotations: 1 boxes computed from their masks',
                             'annotations: 1 areas computed']


def test_what_cannot_be_computed_is_left(data):
    data['annotations'][0].update(bbox=None, segmentation=[[1, 2, math.nan, 4, 5, 6]])
    assert repair(data).data['annotations'][0]['bbox'] is None


@pytest.mark.parametrize('name', [None, '', 12, ['a.png']])
def test_a_file_name_that_is_none(data, name):
    data['images'][1]['file_name'] = name
    with pytest.raises(UserError, match=r'a\.json: file_name of image 6 \(number 1\)'):
        repair(data)


def test_boxes_of_corners_are_refused(data):
    for annotation in data['annotations']:
        annotation['bbox'] = [2.0, 3.0, 12.0, 9.0]
    with pytest.raises(UserError, match='x1 y1 x2 y2'):
        refuse_other_units(data, 'a.json')


def test_polygons_as_parts_of_the_image_are_refused(data):
    for annotation in data['annotations']:
        annotation['segmentation'] = [[v / 20 for v in POLYGON[0]]]
    with pytest.raises(UserError, match='between 0 and 1'):
        refuse_other_units(data, 'a.json')


@pytest.mark.parametrize('name, last', [
    (r'images\0.jpg', '0.jpg'), ('/data/upload/1/abc-0.jpg', 'abc-0.jpg'),
    ('http://localhost:8080/data/a%20b.jpg?x=1', 'a b.jpg'), ('task/0.jpg', '0.jpg'),
    ('upload/1/0f3a9b2c-0.jpg', '0.jpg')])
def test_names_as_tools_write_them(tmp_path, name, last):
    (tmp_path / last).touch()
    assert last in base_names(name)
    assert names_found(str(tmp_path), [name]) == [last]
    # two entries that mean one file: neither is guessed
    assert names_found(str(tmp_path), [name, f'other/{last}']) == [None, None]


def test_a_name_that_leads_somewhere_is_kept(tmp_path):
    (tmp_path / 'a').mkdir()
    for path in ('0.jpg', 'a/0.jpg'):
        (tmp_path / path).touch()
    assert names_found(str(tmp_path), ['a/0.jpg', '0.jpg', 'gone.jpg', 'x' * 9999]) == [
        'a/0.jpg', '0.jpg', None, None]


def test_names_are_mended_in_the_copy(data, tmp_path):
    for name in ('5.png', '6.png'):
        (tmp_path / name).touch()
    data['images'][0]['file_name'] = r'C:\photos\5.png'
    repairs = Repairs(data, 'a.json').make(str(tmp_path))
    assert [image['file_name'] for image in repairs.data['images']] == ['5.png', '6.png']
    assert repairs.notes == [r'images: 1 found under another name (C:\photos\5.png as 5.png)']


def test_crowds_are_taken_when_asked(data):
    data['annotations'][0]['iscrowd'] = 1
    repairs = repair(data)
    assert repairs.notes == []
    repairs.take_crowds()
    assert repairs.data['annotations'][0]['iscrowd'] == 0 and len(repairs.notes) == 1
