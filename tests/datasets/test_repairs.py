"""What is put right in annotations, one kind at a time, and what is refused instead."""
import copy
import math

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from mmdet_lordre.datasets.annotation_rules import annotation_problems, cleaned
from mmdet_lordre.datasets.file_names import base_names, names_found
from mmdet_lordre.datasets.formats.coco_data import Builder
from mmdet_lordre.datasets.repairs import Repairs
from mmdet_lordre.datasets.units import refuse_other_units
from mmdet_lordre.datasets.usable import usable_annotations
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


def test_true_refers_to_nothing(data):
    data['categories'][0]['id'] = 1
    data['annotations'][0]['category_id'] = True
    assert repair(data).data['annotations'][0]['category_id'] is None


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
    assert repair(data).data['annotations'][0]['iscrowd'] == 'no'  # the rules name it


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
    assert repairs.notes == ['annotations: 1 box computed from masks',
                             'annotations: 1 area computed']


@pytest.mark.parametrize('as_rle', [False, True])
@pytest.mark.parametrize('area', [0, -1.0])
@pytest.mark.parametrize('box', [[0, 0, 0, 0], [2.0, 3.0, 10.0, 0], [12.0, 9.0, -10.0, -6.0]])
def test_boxes_and_areas_of_no_size(data, as_rle, area, box):
    """They are computed like missing ones: the object would be left out of training."""
    good = copy.deepcopy(data)
    if as_rle:
        for annotation in (*data['annotations'], *good['annotations']):
            encoded = mask_api.merge(mask_api.frPyObjects(POLYGON, 16, 20))
            annotation['segmentation'] = dict(encoded, counts=encoded['counts'].decode())
    data['annotations'][0]['area'] = area
    data['annotations'][2]['bbox'] = box
    assert [p.kind for p in annotation_problems(data)] == ['empty', 'empty']
    repairs = repair(data)
    assert repairs.data == good and not list(annotation_problems(repairs.data))
    assert repairs.notes == [
        'annotations: 1 box without width or height computed from masks',
        'annotations: 1 area of 0 or less computed from masks']


@pytest.mark.parametrize('counts', [[320], [320, 0], [40, 0, 280]], ids=str)
def test_an_empty_mask_stays_empty(data, counts):
    nothing = dict(size=[16, 20], counts=counts)
    for annotation, change in zip(data['annotations'], (
            dict(segmentation=nothing, area=0), dict(segmentation=nothing, bbox=[2, 3, 0, 0]),
            dict(segmentation=[], area=0), dict(bbox=[math.inf, 3, -math.inf, 0]))):
        annotation.update(change)
    before = copy.deepcopy(data)
    repairs = repair(data)
    assert repairs.data == before and repairs.notes == []
    assert [p.kind for p in annotation_problems(repairs.data)] == ['empty'] * 3 + ['not finite']


@pytest.mark.parametrize('counts', [[320], [320, 0], [40, 0, 280]], ids=str)
def test_the_box_of_an_empty_mask(data, counts):
    """It has no size, whatever made it."""
    nothing = dict(size=[16, 20], counts=counts)
    data['annotations'][0]['segmentation'] = nothing
    del data['annotations'][0]['bbox']
    assert repair(data).data['annotations'][0]['bbox'] == [0, 0, 0, 0]
    builder = Builder('a format', 'a', 'b')
    image = builder.image('train', 'x.png', 20, 16)
    builder.add('train', image, 'a', nothing)
    added, = builder.parts['train'][1]
    assert added['bbox'] == [0, 0, 0, 0] and added['area'] == 0


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


@pytest.mark.parametrize('box, said', [
    ([7, 6, 10, 6], 'center x, center y, width and height, as their masks show'),
    ([3, 2, 6, 10], 'y x height width'), ([3, 2, 9, 12], 'y1 x1 y2 x2')])
def test_boxes_in_other_orders_are_refused(data, box, said):
    for annotation in data['annotations']:
        annotation['bbox'] = box
    with pytest.raises(UserError, match=said):
        refuse_other_units(data, 'a.json')


def test_boxes_that_have_nothing_to_do_with_their_masks(data):
    assert refuse_other_units(data, 'a.json') is None
    for annotation in data['annotations']:
        annotation['bbox'] = [12, 1, 3, 2]
    assert 'a.json: 100% of the boxes lie elsewhere than their masks' in \
        refuse_other_units(data, 'a.json')


def test_images_without_a_size(data):
    for image in data['images']:
        image['width'] = 0
    usable = usable_annotations(data, list(annotation_problems(data)))
    with pytest.raises(UserError, match=r'in images whose width or height .* is no number of'):
        usable.demand_usable('a.json')


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


def test_folders_with_escapes(tmp_path):
    (tmp_path / 'a b').mkdir()
    for path in ('a b/0.jpg', '0.jpg'):
        (tmp_path / path).touch()
    assert names_found(str(tmp_path), ['a%20b/0.jpg', '0.jpg']) == ['a b/0.jpg', '0.jpg']


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


@pytest.mark.parametrize('mark', [1, True, '1', 1.0])
def test_what_is_to_be_ignored_is_a_crowd(data, mark):
    """mmdet would learn it as background, and evaluation count it."""
    data['annotations'][1]['ignore'], data['annotations'][2]['ignore'] = mark, 0
    data['annotations'][3]['ignore'] = '0'
    repairs = repair(data)
    assert [a['iscrowd'] for a in repairs.data['annotations']] == [0, 1, 0, 0]
    assert not any(a.get('ignore') for a in repairs.data['annotations'])
    assert repairs.notes == ['annotations: 1 with ignore=1 is taken as a crowd region, neither '
                             'learned nor counted']
    repairs.data['annotations'][0]['iscrowd'] = 1
    repairs.take_crowds()
    assert [a['iscrowd'] for a in repairs.data['annotations']] == [0, 1, 0, 0]


def test_what_refers_to_nothing_does_not_come_to_mean_another(data):
    """Ids are words, numbered from 1; a number among the references is none of them."""
    for image in data['images']:
        image['id'] = f'image-{image["id"]}'
    data['annotations'][0]['image_id'] = 'image-5'
    data['annotations'][1]['image_id'] = 2
    mended = repair(data).data
    assert [a['image_id'] for a in mended['annotations']] == [1, None, None, None]


def test_references_alone_may_be_text(data):
    good = copy.deepcopy(data)
    for annotation in data['annotations']:
        annotation['image_id'] = str(annotation['image_id'])
    repairs = repair(data)
    assert repairs.data == good and repairs.notes == ['images: 4 ids read as whole numbers']


@pytest.mark.parametrize('number', [-1, 2**63, 1.5, math.nan])
def test_ids_that_evaluation_cannot_count_with(data, number):
    data['annotations'][2]['id'] = number
    assert [a['id'] for a in repair(data).data['annotations']] == [1, 2, 3, 4]


def test_annotation_0_is_numbered(data):
    """pycocotools counts what is matched with annotation 0 as a false positive."""
    data['annotations'][0]['id'] = 0
    repairs = repair(data)
    assert [a['id'] for a in repairs.data['annotations']] == [5, 2, 3, 4]
    assert repairs.notes == ['annotations: id 0, which pycocotools takes for none, is 5']


def test_names_of_classes_that_are_numbers(data):
    data['categories'][0]['name'] = 7
    assert [c['name'] for c in repair(data).data['categories']] == ['7', 'b']


def test_a_file_without_annotations_stays_without(data, tmp_path):
    """Images to test on: an empty list would be evaluated."""
    del data['annotations']
    data['images'][0]['id'] = '5'
    repairs = repair(data)
    assert 'annotations' not in repairs.data and len(repairs.notes) == 1
    assert 'annotations' not in cleaned(repairs.data, [])


def test_missing_sizes_are_read_from_the_images(data, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in (('5.png', {}), ('6.png', dict(exif=exif))):
        Image.new('RGB', (20, 16)).save(tmp_path / name, **options)
    for image in data['images']:
        del image['width'], image['height']
    repairs = Repairs(data, 'a.json').make(str(tmp_path))
    assert [(i['width'], i['height']) for i in repairs.data['images']] == [(20, 16), (16, 20)]
    assert repairs.notes == ['images: 2 sizes read from the image files']
    data['images'][0]['file_name'] = 'gone.png'
    assert 'width' not in Repairs(data, 'a.json').make(str(tmp_path)).data['images'][0]


def test_names_of_lvis(data):
    for image in data['images']:
        image['coco_url'] = f'http://images.cocodataset.org/train2017/{image.pop("file_name")}'
    assert [image['file_name'] for image in repair(data).data['images']] == [
        'train2017/5.png', 'train2017/6.png']


def test_run_lengths_as_fractions(data):
    runs = dict(size=[16.0, 20.0], counts=[35.0, 6, 10.0, 6.0, 263])
    data['annotations'][0]['segmentation'] = runs
    data['annotations'][1]['segmentation'] = dict(size=[16, 20], counts=[35.5, 284.5])
    repairs = repair(data)
    assert repairs.data['annotations'][0]['segmentation'] == dict(
        size=[16, 20], counts=[35, 6, 10, 6, 263])
    assert repairs.notes == [
        'annotations: 2 lists of run lengths read as whole numbers']
    assert type(runs['size'][0]) is float
    kinds = [problem.kind for problem in annotation_problems(repairs.data)]
    assert kinds == ['bad run lengths']


def test_run_lengths_beyond_all_images(data):
    """pycocotools counts in 32 bits."""
    data['images'][0].update(width=100_000, height=100_000)
    for annotation in data['annotations']:
        annotation['segmentation'] = dict(size=[100_000, 100_000], counts=[10**10])
        del annotation['bbox']
    assert all('bbox' not in a for a in repair(data).data['annotations'])


@pytest.mark.parametrize('count', [1, 3])
@pytest.mark.parametrize('as_rle', [False, True])
def test_units_of_few_annotations(data, count, as_rle):
    data['annotations'] = data['annotations'][:count]
    if as_rle:
        for annotation in data['annotations']:
            encoded = mask_api.merge(mask_api.frPyObjects(annotation['segmentation'], 16, 20))
            encoded['counts'] = encoded['counts'].decode()
            annotation['segmentation'] = encoded
    refuse_other_units(data, 'a.json')
    for annotation in data['annotations']:
        annotation['bbox'] = [2, 3, 12, 9]
    with pytest.raises(UserError, match=r'a\.json: its boxes are x1 y1 x2 y2'):
        refuse_other_units(data, 'a.json')
    for annotation in data['annotations']:
        annotation['bbox'] = [0.1, 0.2, 0.5, 0.4]
    with pytest.raises(UserError, match=r'a\.json: its boxes lie between 0 and 1'):
        refuse_other_units(data, 'a.json')


def test_one_wrong_box_is_not_all_of_them(data):
    data['annotations'][0]['bbox'] = [2, 3, 12, 9]
    refuse_other_units(data, 'a.json')
