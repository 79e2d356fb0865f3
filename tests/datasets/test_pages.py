"""Files of several pages or frames: how many there are, and what is said of it."""
import struct

import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.config.checks import check_data
from mmdet_lordre.datasets.image_rules import image_problem
from mmdet_lordre.datasets.pages import pages_of

from ..cli.tiny import make_coco, read_json, write_json
from ..config.test_checks import config


def pictures(count, size=(60, 40)):
    """Of noise, each another one."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8))
            for _ in range(count)]


@pytest.mark.parametrize('name, options', [
    ('a.tif', {}), ('a.tiff', dict(big_tiff=True)), ('a.TIF', dict(compression='tiff_lzw')),
    ('a.png', {}), ('a.webp', dict(lossless=True))])
@pytest.mark.parametrize('count', [1, 2, 5])
def test_pages_are_counted(tmp_path, name, options, count):
    first, *others = pictures(count)
    path = str(tmp_path / name)
    first.save(path, save_all=count > 1, append_images=others, **options)
    assert pages_of(path) == count
    found = image_problem(path, 60, 40)
    if count == 1:
        assert found is None
    else:
        assert found == ('several pages', f'{count} pages or frames, only the first is read')


def test_levels_of_a_pyramid_are_no_pages(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    path = str(tmp_path / 'a.tif')
    with tifffile.TiffWriter(path) as file:
        for side, kind in ((64, 0), (32, 1), (16, 1), (64, 0)):
            file.write(np.zeros((side, side), np.uint8), subfiletype=kind)
    assert pages_of(path) == 2


def test_damaged_files_and_others(tmp_path):
    """A circle of directories has an end, and what is cut off is not counted."""
    first, *others = pictures(3)
    path = tmp_path / 'a.tif'
    first.save(path, save_all=True, append_images=others)
    whole = bytearray(path.read_bytes())
    start, = struct.unpack_from('<I', whole, 4)
    entries, = struct.unpack_from('<H', whole, start)
    circle = whole.copy()
    struct.pack_into('<I', circle, start + 2 + 12 * entries, start)
    for data in (circle, whole[:start + 6 + 12 * entries]):
        path.write_bytes(data)
        assert pages_of(str(path)) == 1
    path.write_bytes(b'II')
    assert pages_of(str(path)) == pages_of(str(tmp_path)) == pages_of('http://x/a.tif') == 1


def test_it_is_said_before_training(tmp_path):
    data = read_json(make_coco(tmp_path, count=3))
    image = data['images'][1]
    image['file_name'] = 'two.tif'
    first, other = pictures(2, (image['width'], image['height']))
    first.save(tmp_path / 'images' / 'two.tif', save_all=True, append_images=[other])
    write_json(tmp_path / 'annotations.json', data)
    said = []
    check_data(config(tmp_path), ('train',), warn=said.append)
    assert [line for line in said if 'pages' in line] == [
        f'{tmp_path}/annotations.json: 1 image with several pages or frames (image two.tif: 2 '
        'pages or frames, only the first is read): to use the others, store each as a file of '
        'its own']
