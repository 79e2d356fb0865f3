"""Objects annotated twice or unlike their class, and pictures in two places."""
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmdet_lordre.datasets.annotation_rules import annotation_problems
from mmdet_lordre.datasets.doubts import annotated_twice, learned_objects, unusual_for_class
from mmdet_lordre.datasets.pictures_twice import pictures_twice

from ..polygons import square
from .pictures import texture


def outlined(x, y, side, height=None):
    """Box, area and polygon of a square, or of a rectangle."""
    height = height or side
    return dict(bbox=[x, y, side, height], area=float(side * height),
                segmentation=square(x, y, side, height))


def data_of(*objects, images=3):
    """Annotations of (image, class, shape)."""
    return dict(images=[dict(id=k, file_name=f'{k}.png', width=200, height=100)
                        for k in range(1, images + 1)],
                categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
                annotations=[dict(shape, id=number, image_id=image, category_id=label, iscrowd=0)
                             for number, (image, label, shape) in enumerate(objects, 10)])


def twice(data):
    objects = learned_objects(data, list(annotation_problems(data)))
    return [str(problem) for problem in annotated_twice(data, objects)]


def test_annotated_twice():
    data = data_of((1, 1, outlined(10, 10, 40)), (1, 1, outlined(60, 10, 30)),
                   (2, 1, outlined(10, 10, 40)),  # another image
                   (1, 1, outlined(11, 10, 40)),  # 39 of 41 columns: 0.95
                   (1, 2, outlined(60, 10, 30)),  # as another class
                   (1, 2, outlined(61, 12, 30)),  # 0.82 and of two classes; of one class with 14
                   (1, 1, outlined(10, 10, 30)))  # a part of it: 0.56
    assert twice(data) == [
        'annotation 13 (image 1.png): it covers what annotation 10 covers',
        'annotation 14 (image 1.png): it covers what annotation 11 covers, as dog and as cat',
        'annotation 15 (image 1.png): it covers what annotation 14 covers']


def test_boxes_are_alike_and_masks_are_not():
    """Two triangles of one square, and a ring around a disc."""
    lower = dict(outlined(10, 10, 40), segmentation=[[10, 10, 50, 50, 10, 50]])
    upper = dict(outlined(10, 10, 40), segmentation=[[10, 10, 50, 10, 50, 50]])
    assert twice(data_of((1, 1, lower), (1, 1, upper))) == []


def test_crowds_and_bad_ones_are_left_alone():
    data = data_of((1, 1, outlined(10, 10, 40)), (1, 1, outlined(10, 10, 40)),
                   (1, 1, outlined(10, 10, 40)))
    data['annotations'][1]['iscrowd'] = 1
    data['annotations'][2]['area'] = 0
    assert twice(data) == []


def test_boxes_without_masks():
    box = dict(outlined(10, 10, 40), segmentation=[])
    data = data_of((1, 1, box), (1, 1, box), (1, 2, dict(box, bbox=[10, 10, 41, 40])))
    assert twice(data) == ['annotation 11 (image 1.png): it covers what annotation 10 covers']


def test_as_an_oracle_finds_them():
    """Boxes at random, against a loop over all pairs."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 60, (60, 2))
    objects = [(int(rng.integers(1, 4)), 1, outlined(int(x), int(y), int(rng.integers(20, 23))))
               for x, y in np.concatenate([base, base[:30] + rng.integers(0, 2, (30, 2))])]
    data = data_of(*objects)
    wanted = set()
    for b, second in enumerate(objects):
        for first in objects[:b]:
            x1, y1, w1, h1 = first[2]['bbox']
            x2, y2, w2, h2 = second[2]['bbox']
            both = (max(0, min(x1 + w1, x2 + w2) - max(x1, x2))
                    * max(0, min(y1 + h1, y2 + h2) - max(y1, y2)))
            if first[0] == second[0] and both >= 0.8 * (w1 * h1 + w2 * h2 - both):
                wanted.add(10 + b)
    found = {int(line.split()[1]) for line in twice(data)}
    assert found == wanted and len(wanted) > 3


def unusual(data):
    objects = learned_objects(data, list(annotation_problems(data)))
    return [str(problem) for problem in unusual_for_class(data, objects)]


def test_unusual_for_its_class():
    rng = np.random.default_rng(0)
    cats = [(1, 1, outlined(10, 10, int(rng.integers(18, 23)))) for _ in range(40)]
    dogs = [(1, 2, outlined(10, 10, 90)) for _ in range(3)]
    data = data_of(*cats, (1, 1, outlined(5, 5, 90)), (2, 1, outlined(3, 3, 90, 4)), *dogs,
                   (3, 1, dict(outlined(10, 10, 20), area=40.0)))
    found = unusual(data)
    assert [line.split()[1] for line in found] == ['51', '55', '50']
    assert found[0].endswith('its box is 90x4 px, 22:1; that of a cat is 1:1 (median)')
    assert found[1].endswith('its area is 40 px, that of a cat 400 (median)') or 'fills 10 %' in (
        found[1])
    assert 'its area is 8100 px' in found[2]


@pytest.mark.parametrize('objects', [[], [(1, 1, outlined(1, 1, 9))]])
def test_nothing_unusual(objects):
    assert unusual(data_of(*objects)) == [] and twice(data_of(*objects)) == []


def part(folder, pictures):
    """A part of a data set with pictures as {file name: image}."""
    folder.mkdir()
    for name, picture in pictures.items():
        picture.save(folder / name)
    return (dict(images=[dict(id=k, file_name=name) for k, name in enumerate(pictures)]),
            str(folder))


def test_pictures_in_two_parts(tmp_path):
    train = part(tmp_path / 'train', {f'{k}.png': texture(k) for k in range(8)}
                 | {'again.jpg': texture(2)})
    val = part(tmp_path / 'val', {'a.png': texture(11), 'b.png': ImageOps.mirror(texture(3)),
                                  '0.png': texture(0), 'c.png': texture(11).resize((80, 60))})
    val[0]['images'].append(dict(id=9, file_name='../train/5.png'))  # leads out: not read
    found = pictures_twice(dict(train=train, val=val))
    assert [str(problem) for problem in found['train']] == [
        'image again.jpg: it is the same picture as 2.png']
    assert [str(problem) for problem in found['val']] == [
        'image b.png: it is the same picture, mirrored as 3.png of train',
        'image 0.png: it is the same file as 0.png of train',
        'image c.png: it is the same picture as a.png']
    assert [problem.kind for problem in found['val']] == [
        'in another part', 'in another part', 'same picture twice']
    assert [problem.index for problem in found['val']] == [1, 2, 3]


def test_without_looking_files_alone_are_found(tmp_path):
    train = part(tmp_path / 'images', {f'{k}.png': texture(k) for k in range(3)})
    val = dict(images=[dict(id=1, file_name='2.png'), dict(id=2, file_name='3.png')]), train[1]
    Image.new('RGB', (9, 9)).save(tmp_path / 'images' / '3.png')
    found = pictures_twice(dict(train=train, val=val), look=False)
    assert not found['train'] and [str(p) for p in found['val']] == [
        'image 2.png: it is the same file as 2.png of train']
