"""Nothing outside of the folder that is given is read, and nothing grows without end."""
import base64
import gzip
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from mmdet_lordre.datasets.coco_file import find_images, read_annotations
from mmdet_lordre.datasets.formats import open_data, reading
from mmdet_lordre.datasets.formats.folder import Folder
from mmdet_lordre.datasets.image_rules import image_file_problems
from mmdet_lordre.errors import UserError

from . import exports
from .changes import edit, replace
from .scene import HEIGHT, WIDTH, labels, photo, text

#: Formats that look for images by names that a file gives.
NAMED = {
    'labelme': (exports.labelme, lambda name: edit('b.json', lambda d: d.update(imagePath=name))),
    'cvat': (exports.cvat_xml, lambda name: replace('*.xml', 'name="b.jpg"', f'name="{name}"')),
    'via': (exports.via2_project, lambda name: edit('*.json', lambda d: d['_via_img_metadata'][
        'b.jpg999'].update(filename=name))),
    'via3': (exports.via3_project, lambda name: edit('*.json', lambda d: d['file']['2'].update(
        fname=name))),
    'yolo': (exports.yolo, lambda name: replace('data.yaml', 'train: images/train',
                                                f'train: [images/train, {name}]')),
    'voc': (exports.voc, lambda name: lambda root: text(
        root / 'VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt', f'{name}\n'))}


@pytest.mark.parametrize('name', ['../../secret.jpg', '/tmp/secret.jpg', '../set2/secret.jpg',
                                  'x/../../../secret.jpg'])
@pytest.mark.parametrize('format', NAMED)
def test_names_that_lead_out(format, name, tmp_path):
    write, change = NAMED[format]
    photo(tmp_path / 'secret.jpg')
    photo(tmp_path / 'deep' / 'set2' / 'secret.jpg')
    source, _ = write(tmp_path / 'deep' / 'set')
    change(name)(source)
    try:
        parts = open_data(source)
    except UserError:
        return
    for part in parts.values():
        for image in part.data['images']:
            path = os.path.realpath(os.path.join(part.folder, image['file_name']))
            assert path.startswith(f'{source}{os.sep}')
            assert 'secret' not in path or not os.path.exists(path)


@pytest.mark.parametrize('write, what', [
    (exports.labelme, 'b.json'), (exports.labelme, 'b.jpg'), (exports.yolo, 'labels/train/b.txt'),
    (exports.yolo, 'images/train/b.jpg'), (exports.yolo, 'images/train'), (exports.voc, 'VOCdevkit'
     '/VOC2012/SegmentationObject/a.png'), (exports.supervisely, 'train/ann/a.jpg.json'),
    (exports.supervisely, 'train/img/a.jpg'), (exports.instance_png, 'masks/a.png'),
    (exports.nuclei, 'stage1_train/a/masks/0.png'), (exports.cvat_xml, 'images/a.jpg')])
def test_links_that_lead_out(write, what, tmp_path):
    source, _ = write(tmp_path / 'set')
    (source / what).rename(tmp_path / 'elsewhere')
    (source / what).symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(UserError, match=r'is a link out of .*: nothing is read there'):
        open_data(source)


def test_links_in_a_circle(tmp_path):
    exports.yolo(tmp_path)
    (tmp_path / 'images/circle.jpg').symlink_to(tmp_path / 'images/circle.jpg')
    assert 'train' in open_data(tmp_path)  # the others are read
    image = next((tmp_path / 'images/train').glob('*.jpg'))
    image.unlink()
    image.symlink_to(image)
    coco = dict(images=[dict(id=1, file_name=image.name, width=8, height=8)], categories=[],
                annotations=[])
    with pytest.raises(UserError, match='is a link that leads in a circle'):
        find_images(coco, tmp_path / 'ann.json', str(image.parent))
    assert [p.what for p in image_file_problems(coco, str(image.parent))] == [
        f'{image} is a link that leads in a circle']


def test_links_within(tmp_path):
    source, wanted = exports.yolo(tmp_path / 'real')
    (source / 'images' / 'all').mkdir()
    for path in (source / 'images' / 'train').iterdir():
        path.rename(source / 'images' / 'all' / path.name)
        path.symlink_to(f'../all/{path.name}')
    (source / 'again').symlink_to(source)  # a circle
    (tmp_path / 'set').symlink_to(source)
    assert len(open_data(tmp_path / 'set')['train'].data['images']) == len(wanted)
    assert len(list(Folder(source).walk('', ('.yaml',)))) == 1


@pytest.mark.linux
def test_pipes_are_not_waited_for(tmp_path):
    source, _ = exports.labelme(tmp_path / 'set')
    os.mkfifo(source / 'pipe.json')
    os.mkfifo(source / 'pipe.jpg')
    open_data(source)
    with pytest.raises(UserError, match='no ordinary file'):
        open_data(source / 'pipe.json')


@pytest.mark.parametrize('xml', [
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>',
    '<!DOCTYPE x SYSTEM "http://host/x.dtd"><annotations/>',
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations><image>&a;</image>'
    '</annotations>',
    f'<annotations>{"<image>" * 200}'])
def test_xml(tmp_path, xml):
    path = text(tmp_path / 'annotations.xml', f'<?xml version="1.0"?>{xml}')
    photo(tmp_path / 'images' / 'a.jpg')
    with pytest.raises(UserError, match='refused: '):
        open_data(path)


def test_gzip_that_explodes(tmp_path):
    path = tmp_path / 'a.json.gz'
    path.write_bytes(gzip.compress(b' ' * (2**28 + 2**20), 9))
    with pytest.raises(UserError, match=r'unpacked it has more than 0.25 GiB'):
        read_annotations(path)


def test_masks_that_explode(tmp_path, monkeypatch):
    packed = base64.b64encode(zlib.compress(bytes(2**26 + 1), 9)).decode()
    with pytest.raises(ValueError, match='grows beyond all measure'):
        reading.packed_mask(packed, zipped=True)
    # an image of one color whose header says 2^30 pixels
    for zipped in (False, True):
        data = _png(2**15, 2**15)
        data = base64.b64encode(zlib.compress(data) if zipped else data).decode()
        with pytest.raises(ValueError, match='pixels'):
            reading.packed_mask(data, zipped)
    (tmp_path / 'a.png').write_bytes(_png(2**15, 2**15))
    with pytest.raises(UserError, match='cannot be decoded'):
        reading.read_labels(str(tmp_path / 'a.png'))


def _png(width, height):
    """A PNG file that is as small as one of that size can be."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack(
            '>I', zlib.crc32(kind + data))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 1, 0, 0,
                                                              0, 0))
            + chunk(b'IDAT', zlib.compress(bytes(2**20), 9)) + chunk(b'IEND', b''))


@pytest.mark.parametrize('shape', [
    exports.shape('cat', [(0, 0), (1e9, 1e9)], 'circle'),
    exports.shape('cat', [(-1e300, 0), (1e300, 1e300)], 'circle'),
    exports.shape('cat', [(0, 0), (1e300, 0), (1, 1e300)]),
    exports.shape('cat', [(0, 0), (1e308, 1e308)], 'rectangle')])
@pytest.mark.parametrize('size', [(WIDTH, HEIGHT), (2**15, 2**15)])
def test_shapes_beyond_all_measure(tmp_path, shape, size):
    photo(tmp_path / 'a.jpg')
    text(tmp_path / 'a.json', exports.labelme_file(
        'a', [exports.shape('dog', [(1, 1), (9, 1), (9, 9)]), shape], imageWidth=size[0],
        imageHeight=size[1]))
    try:
        part = open_data(tmp_path)['train']
    except UserError as error:
        assert str(tmp_path) in str(error)
    else:
        assert len(part.data['annotations']) == 2


@pytest.mark.parametrize('size', [(0, 5), (-3, 5), (10**9, 10**9), ('x', 5), (5.5, 5), (None, 'a')])
def test_sizes_that_are_none(tmp_path, size):
    photo(tmp_path / 'a.jpg')
    text(tmp_path / 'a.json', exports.labelme_file('a', [], imageWidth=size[0],
                                                   imageHeight=size[1]))
    if None in size:  # read from the image
        assert open_data(tmp_path)['train'].data['images'][0]['width'] == WIDTH
        return
    with pytest.raises(UserError, match='is no size of an image'):
        open_data(tmp_path)


@pytest.mark.parametrize('content', [
    '{"shapes": ' + '[' * 100_000, '[' * 100_000, '', '\0', '{"images": 1e999, "categories": []}',
    '"text"', '7', 'null', '[]', '{}'])
def test_json_that_is_none(tmp_path, content):
    path = text(tmp_path / 'a.json', content)
    with pytest.raises(UserError):
        open_data(path)
    with pytest.raises(UserError):
        open_data(tmp_path)


@pytest.mark.parametrize('name, said', [
    ('a.zip', 'unpack it'), ('a.tar.gz', 'unpack it'), ('a.csv', 'is a table'),
    ('a.tfrecord', 'TFRecord'), ('nothing.json', 'no such'), ('a.ndjson', 'lines of JSON')])
def test_files_that_are_not_read(tmp_path, name, said):
    if name != 'nothing.json':
        (tmp_path / name).write_bytes(b'PK')
    with pytest.raises(UserError, match=said):
        open_data(tmp_path / name)


def test_folders_without_annotations(tmp_path):
    photo(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match=r'no annotations of a known format found; it holds a\.jpg'):
        open_data(tmp_path)
    with pytest.raises(UserError, match='not downloaded'):
        open_data('https://host/a.json')


def test_numbers_of_labels(tmp_path):
    """Values up to 32 bits, no negative ones."""
    values = np.array([[0, 1], [2**31 - 1, 5]], np.int32)
    labels(tmp_path / 'a.tif', values)
    assert (reading.read_labels(str(tmp_path / 'a.tif')) == values).all()
    labels(tmp_path / 'b.tif', -values)
    with pytest.raises(UserError, match='negative'):
        reading.read_labels(str(tmp_path / 'b.tif'))


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize('channels', [3, 4])
def test_colors_of_16_bits_are_not_cut(tmp_path, name, channels):
    """Pillow makes 8 bits of them: numbers below 256 would be background."""
    cv2.imwrite(str(tmp_path / name), np.full((4, 4, channels), 5, np.uint16))
    with pytest.raises(UserError, match=rf'{name} .*its {channels} channels have 16 bits each'):
        reading.read_labels(str(tmp_path / name))
