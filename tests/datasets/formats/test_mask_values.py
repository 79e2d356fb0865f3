"""Instance masks: what is no object, pages, and two images of one name."""
import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.errors import UserError

from .scene import ANGLE_MASK, FULL_MASK, HEIGHT, WIDTH, expected, found, labels, photo

PALETTE = list(range(256)) * 3
TWO = {'a': [('object', ANGLE_MASK), ('object', FULL_MASK)]}


def contours():
    """Objects 1 and 2, whose pixels at the border are 255."""
    numbers = ANGLE_MASK + 2 * FULL_MASK
    inside = np.zeros_like(numbers)
    inside[1:-1, 1:-1] = numbers[1:-1, 1:-1]
    for axis in (0, 1):
        for step in (-1, 1):
            inside[np.roll(numbers, step, axis) != numbers] = 0
    return inside, np.where((numbers > 0) & (inside == 0), 255, inside).astype(np.uint8)


def test_void_of_palette_images(tmp_path):
    inside, numbers = contours()
    for stem in 'ab':
        photo(tmp_path / f'images/{stem}.jpg')
    labels(tmp_path / 'masks/a.png', numbers, PALETTE)
    # not said by this mask alone
    labels(tmp_path / 'masks/b.png', np.where(numbers == 255, 255, 0).astype(np.uint8), PALETTE)
    part = open_data(tmp_path)['train']
    assert 'index 255 of palette images left out as void, as in Pascal VOC (2 masks)' in part.line()
    masks = [('object', (inside == value).astype(np.uint8)) for value in (1, 2)]
    assert found(part.data) == expected({'a': masks, 'b': []})


@pytest.mark.parametrize('palette', [None, PALETTE])
def test_contours_that_may_be_void(tmp_path, palette):
    photo(tmp_path / 'images/a.jpg')
    numbers = contours()[1]
    labels(tmp_path / 'masks/a.png', np.where(numbers == 2, 7, numbers), palette)
    part = open_data(tmp_path)['train']
    assert 'value 255 lies in thin lines along other objects of 1 mask' in part.line()
    assert len(part.data['annotations']) == 3


@pytest.mark.parametrize('palette', [None, PALETTE])
def test_objects_of_value_255(tmp_path, palette):
    photo(tmp_path / 'images/a.jpg')
    labels(tmp_path / 'masks/a.png', ANGLE_MASK * 3 + FULL_MASK * 255, palette)
    part = open_data(tmp_path)['train']
    assert found(part.data) == expected(TWO) and part.notes == []


def test_a_white_background(tmp_path):
    color = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    color[ANGLE_MASK > 0] = 200, 0, 0
    photo(tmp_path / 'images/a.jpg')
    labels(tmp_path / 'masks/a.png', color)
    assert ('value 16777215 (as a color: red 255, green 255, blue 255) covers most of the border '
            'of 1 of 1 mask (masks/a.png)') in open_data(tmp_path)['train'].line()


def stack(path, *pages):
    path.parent.mkdir(exist_ok=True)
    first, *more = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=more)


def test_a_page_for_each_object(tmp_path):
    photo(tmp_path / 'images/a.jpg')
    stack(tmp_path / 'masks/a.tif', ANGLE_MASK * 255, FULL_MASK * 255)
    part = open_data(tmp_path)['train']
    assert found(part.data) == expected(TWO)
    assert part.notes == ['every page of a mask read as objects of its own (1 file, such as '
                          'masks/a.tif: 2 pages)']
    stack(tmp_path / 'masks/a.tif', ANGLE_MASK, FULL_MASK[:9])
    with pytest.raises(UserError, match=r'a.tif, page 2 is 40x9, its image'):
        open_data(tmp_path)


def test_pages_of_an_image_of_pages(tmp_path):
    stack(tmp_path / 'images/a.tif', FULL_MASK, FULL_MASK)
    stack(tmp_path / 'masks/a.tif', ANGLE_MASK + 2 * FULL_MASK, ANGLE_MASK)
    part = open_data(tmp_path)['train']
    assert found(part.data) == expected(TWO)
    assert 'the first page of each is read (masks/a.tif)' in part.line()


def test_two_images_of_one_name(tmp_path):
    photo(tmp_path / 'images/a.jpg')
    photo(tmp_path / 'images/a.png')
    labels(tmp_path / 'masks/a.png', ANGLE_MASK + 2 * FULL_MASK)
    part = open_data(tmp_path)['train']
    assert found(part.data) == expected(TWO)
    assert 'images/a.png left out, as images/a.jpg has its name with another ending' in part.line()
    photo(tmp_path / 'images/a.png', 20)
    with pytest.raises(UserError, match=r'images/a.jpg, images/a.png are two images of one name'):
        open_data(tmp_path)


def test_two_masks_of_one_name(tmp_path):
    photo(tmp_path / 'images/a.jpg')
    for ending, mask in (('png', ANGLE_MASK), ('tif', FULL_MASK)):
        (tmp_path / 'masks').mkdir(exist_ok=True)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f'masks/a.{ending}')
    part, = open_data(tmp_path).values()
    assert found(part.data) == expected(TWO)
    assert 'several masks are called masks/a, with other endings: all are read' in part.line()


@pytest.mark.parametrize('how', [Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
def test_masks_that_were_resized_with_blended_values(tmp_path, how):
    photo(tmp_path / 'images/a.jpg')
    (tmp_path / 'masks').mkdir()
    numbers = 90 * ANGLE_MASK + 200 * FULL_MASK
    Image.fromarray(numbers.astype(np.uint8)).rotate(10, how).save(tmp_path / 'masks/a.png')
    line = open_data(tmp_path)['train'].line()
    assert ('values are blended at borders' in line) == (how == Image.Resampling.BICUBIC)
    assert ('have fewer than 4 pixels, most in masks/a.png' in line) == (
        how == Image.Resampling.BICUBIC)
