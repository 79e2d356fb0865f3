"""What is chosen, and that masks are drawn where they are."""
import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from mmdet_lordre.browsing.choose import (
    by_area,
    chosen_images,
    chosen_objects,
    crowded_images,
    doubtful,
    images_by_size,
)
from mmdet_lordre.browsing.mosaic import file_name, mosaic
from mmdet_lordre.browsing.sections import Section, Tile
from mmdet_lordre.browsing.tiles import Tiles
from mmdet_lordre.datasets.annotation_rules import Problem, encode_segmentation
from mmdet_lordre.datasets.doubts import LearnedObjects, learned_objects

HEIGHT, WIDTH = 60, 80


def data_of(*masks, names=('a.png', )):
    """Annotations in the first image."""
    return dict(
        images=[dict(id=k, file_name=name, width=WIDTH, height=HEIGHT)
                for k, name in enumerate(names)],
        categories=[dict(id=3, name='cat')],
        annotations=[dict(id=k, image_id=0, category_id=3, bbox=[1, 1, 9, 9], area=81.0,
                          segmentation=mask) for k, mask in enumerate(masks)])


def whole(crop):
    """The mask of an image from its crop."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x, bitmap = crop
    mask[y:y + bitmap.shape[0], x:x + bitmap.shape[1]] = bitmap
    return mask


coordinates = st.floats(-30, 110, width=32)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(coordinates, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0),
                min_size=1, max_size=3))
def test_crops_are_what_pycocotools_draws(polygons):
    """Also beyond the border, and of several parts."""
    data = data_of(polygons)
    crop = Tiles(data, '').crop(0)
    drawn = mask_api.decode(encode_segmentation(polygons, data['images'][0]))
    found = np.zeros_like(drawn) if crop is None else whole(crop)
    # a polygon that is moved by whole pixels may differ where it is cut off at the border
    assert (found != drawn).sum() <= 0.02 * drawn.size
    inside = all(0 <= v <= (WIDTH, HEIGHT)[at % 2] for p in polygons for at, v in enumerate(p))
    if inside:
        assert (found == drawn).all()


def test_crops_of_run_lengths():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:20, 60:], mask[40:, :3] = 1, 1
    packed = mask_api.encode(np.asfortranarray(mask))
    text = dict(packed, counts=packed['counts'].decode())
    runs = np.flatnonzero(np.diff(np.r_[2, mask.T.ravel(), 2]))
    plain = dict(size=[HEIGHT, WIDTH], counts=([0] * int(mask[0, 0])) + np.diff(runs).tolist())
    tiles = Tiles(data_of(text, plain, dict(size=[9, 9], counts=[81]), [[1, 2]], []), '')
    assert (whole(tiles.crop(0)) == mask).all() and (whole(tiles.crop(1)) == mask).all()
    assert tiles.crop(2) is None and tiles.crop(3) is None and tiles.crop(4) is None


def test_an_object_is_in_the_middle(tmp_path):
    """On a white image with one red square, the tile is red where the mask is."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    image[20:32, 30:42] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    square = [[30, 20, 42, 20, 42, 32, 30, 32]]
    tiles = Tiles(data_of(square), str(tmp_path), side=96)
    tile = tiles.object(0)
    assert tile.shape == (96, 96, 3)
    middle, corner = tile[48, 48], tile[3, 3]
    assert middle[0] > middle[1] and corner.tolist() == [255] * 3
    # reach is 24 pixels, so the square takes the middle half of the tile
    outline = np.ptp(tile.astype(int), axis=2) > 30
    rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
    assert abs(rows[0] - 24) <= 3 and abs(columns[-1] - 72) <= 3


def test_a_picture_has_all_masks(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    tiles = Tiles(data_of([[5, 5, 25, 5, 25, 25, 5, 25]], [[50, 30, 70, 30, 70, 50, 50, 50]]),
                  str(tmp_path), long_side=160)
    picture = tiles.picture(0)
    assert picture.shape == (120, 160, 3) and not tiles.unread
    colored = np.ptp(picture.astype(int), axis=2) > 10
    assert colored[30, 30] and colored[80, 120] and not colored[100, 20]


def secret(folder):
    """A picture outside of the folder, of one color."""
    path = folder / 'secret.png'
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), (0, 255, 0), np.uint8))
    return path


@pytest.mark.linux
def test_nothing_outside_of_the_folder_is_shown(tmp_path):
    path = secret(tmp_path)
    (tmp_path / 'images').mkdir()
    os.symlink(path, tmp_path / 'images' / 'link.png')
    os.mkfifo(tmp_path / 'images' / 'pipe.png')
    (tmp_path / 'images' / 'text.png').write_text('text')
    names = ('../secret.png', str(path), 'link.png', 'none.png', 'pipe.png', 'text.png', 'n\0.png')
    data = data_of([[5, 5, 25, 5, 25, 25, 5, 25]], names=names)
    tiles = Tiles(data, str(tmp_path / 'images'))
    for index in range(len(names)):
        assert tuple(tiles.picture(index)[-1, -1]) == (96, 96, 96), names[index]
    assert tiles.unread == set(range(len(names)))
    followed = Tiles(data, str(tmp_path / 'images'), follow_links=True)
    assert tuple(followed.picture(2)[-1, -1]) == (0, 255, 0)
    assert tuple(followed.picture(0)[-1, -1]) == (96, 96, 96)


def test_an_image_of_another_size(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((9, 9, 3), 255, np.uint8))
    tiles = Tiles(data_of([[5, 5, 25, 5, 25, 25, 5, 25]]), str(tmp_path))
    assert tuple(tiles.picture(0)[-1, -1]) == (96, 96, 96) and tiles.unread == {0}


@pytest.mark.parametrize('change', [
    dict(bbox=None), dict(bbox=[0, 0, float('nan'), 1]), dict(bbox=['a', 0, 1, 1]),
    dict(bbox=[1e300] * 4), dict(category_id=99), dict(image_id=99)])
def test_bad_entries_are_drawn_or_left_out(change):
    data = data_of([])
    data['annotations'][0].update(change)
    tile = Tiles(data, '').object(0)
    assert (tile is None) == ('image_id' in change)


def objects(images, labels=None, areas=None):
    images = np.array(images, int)
    count = len(images)
    return LearnedObjects(
        np.arange(count) + 100, images,
        np.zeros(count, int) if labels is None else np.array(labels),
        np.zeros((count, 4)), np.arange(count, 0, -1.0) if areas is None else areas)


def test_each_object_from_another_image():
    found = chosen_objects(objects([0] * 50 + [1, 2, 3]), 0, 4)
    images = [0 if one.index < 150 else one.index - 149 for one in found]
    assert sorted(images) == [0, 1, 2, 3]
    assert len(chosen_objects(objects([0] * 5), 0, 4)) == 4
    assert chosen_objects(objects([0] * 5), 7, 4) == [] and chosen_objects(objects([]), 0, 4) == []
    assert chosen_objects(objects([0] * 50), 0, 4, 1) != chosen_objects(objects([0] * 50), 0, 4, 2)


def test_by_area_and_crowds():
    table = objects([0, 1, 1, 2, 2, 2])
    assert [one.index for one in by_area(table, 2, True)] == [100, 101]
    assert [one.index for one in by_area(table, 2, False)] == [105, 104]
    crowded = crowded_images(table, 2)
    assert [(one.index, one.note) for one in crowded] == [(2, '3 objects'), (1, '2 objects')]
    assert crowded_images(objects([]), 3) == [] and by_area(objects([]), 3, True) == []


def test_images_by_size():
    data = dict(images=[dict(width=w, height=10) for w in (30, 10, 20)])
    assert [one.note for one in images_by_size(data, 2, True)] == ['30x10 px', '20x10 px']
    assert [one.index for one in images_by_size(data, 2, False)] == [1, 2]
    assert images_by_size(dict(images=data['images'][:1] * 4), 2, True) == []
    assert len(chosen_images(data, 9)) == 3


def test_doubtful():
    problems = [Problem('tiny', '', f'{k}', k) for k in range(5)] + [
        Problem('in another part', '', 'x', 7, True)]
    assert [one.index for one in doubtful(problems, 'tiny', 3)] == [0, 1, 2]
    assert doubtful(problems, 'in another part', 3)[0].of_image


def test_mosaic():
    picture = np.full((50, 100, 3), 90, np.uint8)
    tiles = [Tile(picture, ('a name', 'word ' * 60)), Tile(picture, ())] * 5
    sheet = mosaic(Section('classes', 'x', '', tiles))
    assert sheet.shape[1] < 1600 and sheet.dtype == np.uint8
    # two rows of six: pictures are at the same places
    assert (sheet[10, 20] == 90).all() and (sheet == 90).all(2).sum() > 9 * 100 * 200
    one = mosaic(Section('classes', 'x', '', tiles[:1]))
    assert one.shape[1] < sheet.shape[1] / 4


@pytest.mark.parametrize('title, name', [
    ('cat', '007_classes_cat.jpg'), ('../../etc/passwd', '007_classes_etc_passwd.jpg'),
    ('<b>\x1b[0m', '007_classes_b_x1b_0m.jpg'), ('\u732b', '007_classes.jpg'),
    ('a' * 300, f'007_classes_{"a" * 40}.jpg')])
def test_file_names(title, name):
    title = title.replace('\x1b', '\\x1b')  # as sections have it: printable
    assert file_name(7, Section('classes', title, '', [])) == name


def test_objects_of_a_file_are_numbered_by_it():
    data = data_of([[5, 5, 25, 5, 25, 25, 5, 25]], [])
    data['annotations'][0]['iscrowd'] = 1
    assert learned_objects(data).index.tolist() == [1]
