"""The rules, one by one."""
import math
import os

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from mmdet_lordre.datasets.annotation_rules import (
    KINDS,
    annotation_problems,
    check_structure,
    cleaned,
    run_length_problem,
)
from mmdet_lordre.datasets.image_rules import (
    annotated_as_stored,
    image_file_problems,
    image_problem,
    image_size,
    listed_image_problems,
)
from mmdet_lordre.datasets.kept_rules import crossing_polygons, unusual_annotations
from mmdet_lordre.errors import UserError

from ..cli.tiny import IDS, make_coco, read_json

SQUARE = [[2, 2, 9, 2, 9, 9, 2, 9]]


@pytest.fixture
def data(tmp_path):
    return read_json(make_coco(tmp_path, count=4))


def encoded(height, width, text=True):
    mask = np.zeros((height, width), np.uint8, order='F')
    mask[2:9, 3:7] = 1
    found = mask_api.encode(mask)
    return dict(size=found['size'], counts=found['counts'].decode() if text else found['counts'])


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize('change, kind, said', [
    (dict(image_id=99), 'unknown image', 'image_id is not in'),
    (dict(category_id=IDS[0] + 1), 'unknown category', 'category_id 4 is not in'),
    (dict(id=2), 'duplicate id', 'another annotation'),
    (dict(bbox=[1, 2, 3]), 'bad box', 'its bbox is [1, 2, 3]'),
    (dict(bbox=[1, 2, 3, '4']), 'bad box', 'its bbox is [1'),
    (dict(bbox=[1, NAN, 3, 4]), 'not finite', 'bbox is [1, nan, 3, 4]'),
    (dict(bbox=[1, 1e9, 3, 4]), 'bad box', 'far out of the image'),
    (dict(bbox=[1, 10**400, 3, 4]), 'not finite', 'bbox is'),
    (dict(area=None), 'bad area', 'no area'),
    (dict(area=INF), 'not finite', 'area is inf'),
    (dict(segmentation=[]), 'no mask', 'no segmentation'),
    (dict(segmentation=5), 'bad polygon', 'neither'),
    (dict(segmentation=[[1, 2, 3, 4]]), 'bad polygon', '2 points'),
    (dict(segmentation=[*SQUARE, [1, 2, 3, 4]]), 'bad polygon', '2 points'),
    (dict(segmentation=[[1, 1, 9, 1, 9, 9, 4]]), 'bad polygon', '7 numbers'),
    (dict(segmentation=[1, 1, 9, 1, 9, 9]), 'bad polygon', 'not a list of polygons'),
    (dict(segmentation=[[1, 1, 9, 1, 9, NAN]]), 'not finite', 'NaN'),
    (dict(segmentation=[[1, 1, 9, 1, 9, 1e9]]), 'bad polygon', '1000000000 px'),
    (dict(segmentation=[[3, 3, 1e300, 3, 9, 9]]), 'bad polygon', '1e+300 px'),
    (dict(segmentation=encoded(64, 48)), 'bad run lengths',
     '64x48 (height x width), the image 48x64'),
    (dict(segmentation=dict(size=[48, 64])), 'bad run lengths', 'lacks size or counts'),
    (dict(segmentation=dict(size=[48, 64], counts=[5, 5])), 'bad run lengths',
     'add up to 10 px, the image has 3072'),
    (dict(segmentation=dict(size=[48, 64], counts='\x00\x01')), 'bad run lengths', 'damaged'),
    (dict(segmentation=dict(size=[48, 64], counts='oooo')), 'bad run lengths', 'damaged'),
    (dict(bbox=[100, 2, 3, 3]), 'outside', 'does not touch'),
    (dict(bbox=[1, 2, 0.5, 3]), 'empty', '0.5x3'),
    (dict(area=0), 'empty', 'area 0'),
    (dict(segmentation=[[3, 3, 3, 3, 3, 3]]), 'no pixels', '0 px'),
    (dict(segmentation=[[3, 3, 4, 3, 4, 4, 3, 4]]), 'tiny', '1 px'),
    (dict(segmentation=[[-9, 2, 9, 2, 9, 9, -9, 9]]), 'beyond the border', 'out of the image'),
    (dict(segmentation=[[2, 2, 19, 19, 19, 2, 2, 19]], bbox=[2, 2, 17, 17]), 'self-crossing',
     'crosses itself'),
    (dict(segmentation=[[5, 5, 19, 5, 19, 9, 5, 9]]), 'mask outside box', '10 px out of its box'),
    (dict(segmentation=[[3, 3, 9, 3, 9, 5, 3, 5]]), 'box beyond mask', '7x7 px, its mask 6x2'),
    (dict(iscrowd=2), 'bad crowd flag', 'its iscrowd is 2, neither 0 nor 1'),
    (dict(iscrowd='yes'), 'bad crowd flag', "its iscrowd is 'yes'"),
    (dict(iscrowd=1), 'crowd', 'crowd region')])
def test_each_kind(data, change, kind, said):
    first = data['annotations'][0]
    first.update(dict(bbox=[2, 2, 7, 7], area=49.0, segmentation=SQUARE, iscrowd=0) | change)
    if kind == 'duplicate id':
        data['annotations'][0], data['annotations'][1] = data['annotations'][1::-1]
    quick = list(annotation_problems(data, need_masks=True))
    found = [p for p in [*quick, *unusual_annotations(data, quick)]
             if p.kind != 'crowd' or kind == 'crowd']
    assert [p.kind for p in found][:1] == [kind] and said in str(found[0])
    assert str(found[0]).startswith(f'annotation {first["id"]} (image ')
    assert (kind in [p.kind for p in quick]) == (KINDS[kind][0] != 'kept')


@pytest.mark.parametrize('text', [True, False])
@pytest.mark.parametrize('seed', range(5))
def test_run_lengths_of_pycocotools_are_read(seed, text):
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 200, 2))
    mask = rng.random((height, width)) < rng.random() ** 3
    mask[:height // 2] = seed % 2
    found = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = found['counts'].decode() if text else found['counts']
    assert run_length_problem(dict(size=[height, width], counts=counts), height, width) is None
    cut = counts[:-1]
    assert run_length_problem(dict(size=[height, width], counts=cut), height, width)


def test_self_crossing():
    star = np.array([(math.cos(a), math.sin(a)) for a in np.arange(5) * 4 * math.pi / 5])
    around = star[np.argsort(np.arctan2(*star.T))]
    touches = np.array([[0, 0], [2, 0], [1, 0], [1, 2.]])
    assert crossing_polygons([star, around, touches, star[:3], star + 5]).tolist() == [
        True, False, False, False, True]


def test_images_in_the_list(data):
    data['images'].append(dict(data['images'][0], file_name='other.png'))
    data['images'].append(dict(data['images'][0], id=7,
                               file_name=f'./{data["images"][0]["file_name"]}'))
    kinds = [(p.index, p.kind) for p in listed_image_problems(data, thorough=True)]
    assert (1, 'image without instances') in kinds
    assert [kind for index, kind in kinds if index > 3] == [
        'duplicate image id', 'file named twice', 'image without instances']


def test_images_without_objects_say_whether_crowds_are_there(data):
    data['annotations'] = [dict(data['annotations'][0], iscrowd=1)]
    whats = {p.where: p.what for p in listed_image_problems(data, thorough=True)
             if p.kind == 'image without instances'}
    crowded = next(image['file_name'] for image in data['images']
                   if image['id'] == data['annotations'][0]['image_id'])
    assert whats.pop(f'image {crowded}') == 'it has no annotation other than crowds'
    assert whats and set(whats.values()) == {'it has no annotation'}


def test_images_on_the_disk(tmp_path):
    def problem(picture, name='a.png', said=None, **save):
        path = tmp_path / name
        picture.save(path, **save)
        width, height = said or picture.size
        found = image_problem(str(path), width, height, thorough=True)
        return found and found[0]
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    assert problem(photo) is None and problem(photo, 'a b \u00fc.jpg') is None
    for mode in ('L', 'RGBA', 'P', '1', 'LA'):
        assert problem(photo.convert(mode)) == 'not 8-bit color'
    assert problem(photo.convert('CMYK'), 'c.jpg') == 'not 8-bit color'
    deep = Image.fromarray(np.full((40, 60), 40000, np.uint16))
    assert problem(deep) == 'not 8-bit color'
    assert 'or all 16 by a planned config' in KINDS['not 8-bit color'][1]
    assert problem(photo, said=(40, 60)) == 'image of another size'
    assert problem(photo.resize((1, 1))) == 'extreme shape'
    assert problem(photo.resize((4000, 1))) == 'extreme shape'
    exif = Image.Exif()
    exif[0x0112] = 6
    assert problem(photo, 't.jpg', said=(40, 60), exif=exif) == 'turned by its tag'
    assert problem(photo, 't.jpg', exif=exif) == 'image of another size'
    path = str(tmp_path / 't.jpg')
    assert image_problem(path, 60, 40, upright=False) is None
    assert 'color_ignore_orientation' in image_problem(path, 60, 40)[1]


@pytest.mark.parametrize('tag', range(1, 9))
@pytest.mark.parametrize('side', [40, 60])
def test_orientation_that_the_size_does_not_tell(tmp_path, tag, side):
    exif = Image.Exif()
    exif[0x0112] = tag
    path = str(tmp_path / 'a.jpg')
    Image.new('RGB', (60, side)).save(path, exif=exif)
    size = (side, 60) if tag > 4 else (60, side)
    found = image_problem(path, *size)
    assert (found is not None and found[0] == 'turned by its tag') == (
        tag in (2, 3, 4) or (tag > 4 and side == 60))
    assert image_problem(path, 60, side, upright=False) is None


@pytest.mark.parametrize('tag', range(1, 9))
@pytest.mark.parametrize('side', [40, 60])
@pytest.mark.parametrize('upright', [True, False])
def test_tiff_files_are_always_turned(tmp_path, tag, side, upright):
    """OpenCV turns them whatever it is told, and Pillow has turned their size already."""
    exif = Image.Exif()
    exif[0x0112] = tag
    path = str(tmp_path / 'a.tif')
    Image.new('RGB', (60, side)).save(path, exif=exif)
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    height, width = cv2.imdecode(np.fromfile(path, np.uint8), flags).shape[:2]
    assert image_size(path, upright) == (width, height) == (
        (side, 60) if tag > 4 else (60, side))
    found = image_problem(path, width, height, upright)
    assert (found is not None and found[0] == 'turned by its tag') == (
        tag in (2, 3, 4) or (tag > 4 and side == 60))
    if tag > 4 and side == 40:
        kind, said = image_problem(path, 60, 40, upright)
        assert kind == 'image of another size' and 'take the tag out, as OpenCV turns' in said
    image = dict(file_name='a.tif', width=60, height=side)
    assert not annotated_as_stored([(dict(images=[image]), str(tmp_path))])


@pytest.mark.linux
def test_what_is_no_file_is_not_opened(data, tmp_path):
    """Reading from a pipe would wait for ever."""
    os.mkfifo(tmp_path / 'images' / 'pipe.png')
    (tmp_path / 'images' / 'folder.png').mkdir()
    os.symlink('pipe.png', tmp_path / 'images' / 'link.png')
    os.symlink('nothing', tmp_path / 'images' / 'broken.png')
    names = ('pipe.png', 'folder.png', 'link.png', 'broken.png')
    for image, name in zip(data['images'], names, strict=True):
        image['file_name'] = name
    found = list(image_file_problems(data, str(tmp_path / 'images'), seconds=0))
    assert [p.kind for p in found] == ['image unreadable'] * 3 + ['image missing']
    assert all('is no file' in p.what for p in found[:3])


def test_sizes_that_are_none(data):
    for image, width in zip(data['images'], (None, '64x', -1, 10**6), strict=True):
        image['width'] = width
    data['images'][3]['height'] = 10**6
    said = [p.what for p in listed_image_problems(data)]
    assert said == ['image 00.png has no width',
                    "image 01.png has width '64x', which is no number of pixels",
                    'image 02.png has width -1, which is no number of pixels',
                    'image 03.png says 1000000x1000000, more pixels than can be decoded']


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.bmp'])
def test_cut_images(tmp_path, name):
    path = tmp_path / name
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(picture).save(path)
    whole = path.read_bytes()
    assert image_problem(str(path), 400, 300) is None
    path.write_bytes(whole[:len(whole) // 2])
    found = image_problem(str(path), 400, 300, thorough=True)
    assert found[0] == 'image truncated' and str(path) in found[1]
    if name != 'a.bmp':  # told without decoding by what is missing at the end
        assert image_problem(str(path), 400, 300)[0] == 'image truncated'
    path.write_bytes(b'')
    assert image_problem(str(path), 400, 300)[0] == 'image unreadable'


def test_cleaning_takes_all_that_is_not_kept(data):
    data['annotations'][0]['bbox'] = [100, 100, 3, 3]
    data['images'][3]['id'] = data['images'][2]['id']
    problems = [*annotation_problems(data), *listed_image_problems(data, thorough=True)]
    left = cleaned(data, problems)
    assert left['images'] == data['images'][:3] and left['categories'] == data['categories']
    assert [a['id'] for a in left['annotations']] == [
        a['id'] for a in data['annotations'][1:] if a['image_id'] != 103]
    check = [*annotation_problems(left), *listed_image_problems(left)]
    assert not check


@pytest.mark.parametrize('spoil', [
    dict(images=[5]), dict(annotations={}), dict(annotations=[None]),
    dict(categories=[dict(id=[1])]), dict(images=[dict(id={})])])
def test_structure(data, spoil):
    with pytest.raises(UserError, match=r'^x\.json: '):
        check_structure(data | spoil, 'x.json')


def test_the_smallest_side_that_is_learned(data):
    image = data['images'][0]
    for side, kinds in ((1, ['image too small']), (2, [])):
        image['width'] = side
        assert [p.kind for p in listed_image_problems(data)] == kinds
    image['width'] = 1
    assert not list(listed_image_problems(data, training=False))


@pytest.mark.parametrize('name, mode, said', [
    ('a.tif', 'F', 'pixels of 32 bits'), ('a.tif', 'I', 'pixels of 32 bits'),
    ('a.tga', 'RGB', 'is a TGA file, which OpenCV does not read: store it as PNG')])
def test_what_opencv_cannot_read_is_no_surprise_in_training(name, mode, said, tmp_path):
    path = str(tmp_path / name)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).convert(mode).save(path)
    kind, what = image_problem(path, 60, 40)
    assert kind == 'image unreadable' and said in what
    assert cv2.imread(path) is None
    assert image_problem(path, 60, 40, opencv=False) is None
