"""What annotation tools export is read to masks that equal those drawn by hand, bit by bit."""
import numpy as np
import pytest

from mmdet_lordre.datasets.annotation_rules import annotation_problems
from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.datasets.image_rules import image_file_problems, listed_image_problems
from mmdet_lordre.datasets.repairs import Repairs
from mmdet_lordre.errors import UserError

from . import exports
from .scene import (
    ANGLE,
    ANGLE_MASK,
    FULL_MASK,
    HEIGHT,
    OUTER,
    WIDTH,
    drawn,
    expected,
    found,
    photo,
    text,
)


def mended(part):
    """Annotations as training repairs them."""
    return Repairs(part.data, part.source).make(part.folder).data


@pytest.mark.parametrize('write', exports.EXPORTS)
def test_masks(write, tmp_path):
    source, wanted = write(tmp_path / 'set')
    parts = open_data(source)
    masks = {}
    for part in parts.values():
        data = mended(part)
        problems = [*annotation_problems(data, need_masks=True), *listed_image_problems(data),
                    *image_file_problems(data, part.folder)]
        assert not [str(problem) for problem in problems if problem.treatment == 'stop']
        if 'annotations' in data:
            masks |= found(data)
    assert masks == wanted


@pytest.mark.parametrize('write, parts', [
    (exports.roboflow, ['train', 'val']), (exports.mmdet, ['train', 'val']),
    (exports.voc, ['train', 'val']), (exports.nuclei, ['train', 'test']),
    (exports.supervisely, ['train', 'val']), (exports.via1_export, ['train', 'val']),
    (exports.yolo, ['train']), (exports.labelme, ['train'])])
def test_parts(write, parts, tmp_path):
    source, _ = write(tmp_path / 'set')
    assert list(open_data(source)) == parts


@pytest.mark.parametrize('write, said', [
    (exports.cvat_xml, "left out: shapes of the kind 'points', which have no area (1)"),
    (exports.cvat_xml, '1 object of several shapes in one group'),
    (exports.labelme, "left out: shapes of the kind 'line', which have no area (1)"),
    (exports.labelme, '1 rectangle taken as masks'),
    (exports.labelme, '1 object of several shapes with one group_id'),
    (exports.labelme_background, 'shapes labeled __ignore__ (1)'),
    (exports.via2_project, "regions of the kind 'polyline', which have no area (1)"),
    (exports.cityscapes, 'objects of the class trailer'),
    (exports.supervisely, "figures of the kind 'line', which have no area (1)"),
    (exports.instance_png, '1 image without a mask taken as images without objects')])
def test_what_is_lost_is_said(write, said, tmp_path):
    source, _ = write(tmp_path / 'set')
    assert said in open_data(source)['train'].line()


def test_crowds_of_cityscapes(tmp_path):
    source, _ = exports.cityscapes(tmp_path)
    data = open_data(source)['train'].data
    assert [a['iscrowd'] for a in data['annotations']] == [1, 0, 0, 0]
    assert len(data['categories']) == 8


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_depths_of_instance_images(tmp_path, dtype):
    source, wanted = exports.instance_png(tmp_path, dtype)
    assert found(open_data(source)['train'].data) == wanted


@pytest.mark.parametrize('rgb', [False, True])
def test_voc_as_numbers_and_as_colors(tmp_path, rgb):
    source, wanted = exports.voc(tmp_path, rgb=rgb)
    parts = open_data(source)
    assert found(parts['train'].data) | found(parts['val'].data) == wanted


def test_polygons_of_cityscapes_are_drawn_as_its_scripts_do(tmp_path):
    """Later ones hide those before, and the border of a polygon belongs to it."""
    source, _ = exports.cityscapes(tmp_path, polygons=True)
    data = open_data(source)['train'].data
    numbers = np.zeros((HEIGHT, WIDTH), int)
    numbers[2:9, 3:16] = numbers[9:15, 3:10] = 2
    numbers[14:29, 18:37] = 3
    numbers[18:25, 23:31] = 0
    masks = [drawn(a['segmentation']) for a in data['annotations']]
    assert [a['iscrowd'] for a in data['annotations']] == [1, 0, 0]
    assert all((mask == (numbers == n)).all() for n, mask in zip((2, 3), masks[1:]))
    assert masks[0][29, 13] and not masks[0][29, 1]


def test_images_in_folders_without_masks_are_no_part_of_the_data(tmp_path):
    """Pictures that are to be predicted lie beside the parts: they are no negatives."""
    exports.instance_png(tmp_path / 'train')
    exports.instance_png(tmp_path / 'test')
    (tmp_path / 'test' / 'images' / 'c.jpg').unlink()
    photo(tmp_path / 'new' / 'images' / 'd.jpg')
    parts = open_data(tmp_path)
    lines = {name: part.line() for name, part in parts.items()}
    assert len(parts['train'].data['images']) == 3
    assert all('1 image in folders without masks left out (new/images/d.jpg)' in line
               for line in lines.values())
    said = '1 image without a mask taken as images without objects (train/images/c.jpg)'
    assert said in lines['train'] and 'without objects' not in lines['test']


def test_cellpose(tmp_path):
    """``NAME_img.png`` or ``NAME.png`` beside ``NAME_masks.png``."""
    source, wanted = exports.instance_png(tmp_path / 'set')
    flat = tmp_path / 'flat'
    flat.mkdir()
    for stem, image in (('a', 'a_img'), ('b', 'b')):
        (source / 'images' / f'{stem}.jpg').rename(flat / f'{image}.jpg')
        (source / 'masks' / f'{stem}.png').rename(flat / f'{stem}_masks.png')
    for name in 'a_flows.jpg', 'b_flows.jpg', 'river_flows.jpg':
        photo(flat / name)
    part = open_data(flat)['train']
    data = part.data
    assert '2 images that Cellpose writes beside others left out (a_flows.jpg)' in part.line()
    assert [image['file_name'] for image in data['images']] == ['a_img.jpg', 'b.jpg',
                                                                'river_flows.jpg']
    assert len(data['annotations']) == sum(map(len, wanted.values()))


def test_photos_that_labelme_has_no_file_for_are_said(tmp_path):
    source, _ = exports.labelme(tmp_path)
    assert 'without a JSON file' not in open_data(source)['train'].line()
    photo(next(tmp_path.rglob('*.json')).with_name('later.jpg'))
    line = open_data(source)['train'].line()
    assert '1 image without a JSON file left out (' in line and 'later.jpg)' in line


def test_photos_that_supervisely_has_no_file_for_are_said(tmp_path):
    source, _ = exports.supervisely(tmp_path)
    assert 'without a JSON file' not in open_data(source)['train'].line()
    photo(tmp_path / 'train/img/later.jpg')
    assert '1 image without a JSON file left out (train/img/later.jpg)' in \
        open_data(source)['train'].line()


def test_turned_rectangles_of_x_anylabeling(tmp_path):
    """They are masks beside others, and boxes alone are refused."""
    photo(tmp_path / 'a.jpg')
    shapes = [exports.shape('cat', ANGLE, 'rotation'), exports.shape('dog', OUTER)]
    text(tmp_path / 'a.json', exports.labelme_file('a', shapes))
    part = open_data(tmp_path)['train']
    assert found(part.data) == expected({'a': [('cat', ANGLE_MASK), ('dog', FULL_MASK)]})
    assert '1 rectangle taken as masks' in part.line()
    text(tmp_path / 'a.json', exports.labelme_file('a', shapes[:1]))
    with pytest.raises(UserError, match='all 1 shapes are rectangles'):
        open_data(tmp_path)


def test_alpha_masks_of_supervisely(tmp_path):
    source, wanted = exports.supervisely(tmp_path)
    for path in tmp_path.rglob('ann/*.json'):
        path.write_text(path.read_text().replace('"bitmap", "labelerLogin"',
                                                 '"alpha_mask", "labelerLogin"'))
    assert 'alpha_mask' in (tmp_path / 'train/ann/b.jpg.json').read_text()
    assert found(open_data(source)['train'].data) == wanted
