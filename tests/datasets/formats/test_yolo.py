"""YOLO segmentation as Ultralytics, Roboflow, CVAT and Label Studio lay it out."""
import pytest

from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.datasets.formats.yolo_labels import label_name, written_name
from mmdet_lordre.errors import UserError

from .scene import ANGLE, ANGLE_MASK, FULL_MASK, HEIGHT, OUTER, WIDTH, expected, found, photo, text

SCENE = {'a': [('cat', ANGLE_MASK), ('dog', FULL_MASK)], 'b': [('dog', ANGLE_MASK)], 'c': []}


def line(label, points):
    """A line of a label file."""
    return ' '.join([str(label), *(f'{v:.6f}' for x, y in points for v in (x / WIDTH, y / HEIGHT))])


LABELS = {'a': f'{line(0, ANGLE)}\n{line(1, OUTER)}\n', 'b': line(1, ANGLE) + '\n', 'c': ''}


def write(root, images='images/train', labels='labels/train', stems='abc', ending='.jpg'):
    """Images and their labels; an image without objects has an empty file."""
    for stem in stems:
        photo(root / images / f'{stem}{ending}')
        text(root / labels / f'{stem}.txt', LABELS[stem])


@pytest.mark.parametrize('images, labels, yaml', [
    ('images/train', 'labels/train', 'path: .\ntrain: images/train\nnames: {0: cat, 1: dog}'),
    ('images/train', 'labels/train', 'path: ../datasets/set\ntrain: images/train\n'
                                     'names:\n  0: cat\n  1: dog'),
    ('images/train', 'labels/train', 'path: /home/me/set\ntrain: [images/train]\n'
                                     "names: ['cat', 'dog']\nnc: 2"),
    ('train/images', 'train/labels', 'train: ../train/images\nval: ../valid/images\nnc: 2\n'
                                     "names: ['cat', 'dog']"),
    ('train/images', 'train/labels', 'train: C:\\me\\set\\train\\images\nnames: [cat, dog]'),
    ('train', 'train', 'train: train\nnames: [cat, dog]'),
    ('a/images', 'a/labels', 'train: a\nnames: {"1": dog, "0": cat}'),
    ('images/train', 'labels/train', 'path: ./\ntrain: train.txt\nnames: {0: cat, 1: dog}')])
def test_layouts(tmp_path, images, labels, yaml):
    write(tmp_path, images, labels)
    text(tmp_path / 'data.yaml', yaml)
    text(tmp_path / 'train.txt', ''.join(f'{prefix}{images}/{stem}.jpg\n' for stem, prefix in
                                         zip('abc', ('', './', 'data/'))))
    for source in (tmp_path, tmp_path / 'data.yaml'):
        parts = open_data(source)
        assert list(parts) == ['train'] and found(parts['train'].data) == expected(SCENE)
        assert [c['name'] for c in parts['train'].data['categories']] == ['cat', 'dog']
        assert parts['train'].folder == str(tmp_path)


def test_parts_and_what_is_not_there(tmp_path):
    write(tmp_path, 'train/images', 'train/labels', 'ab')
    write(tmp_path, 'valid/images', 'valid/labels', 'c')
    (tmp_path / 'train/labels/b.txt').unlink()
    text(tmp_path / 'train/labels/z.txt', LABELS['b'])
    text(tmp_path / 'data.yaml', 'train: ../train/images\nval: ../valid/images\n'
                                 'test: ../test/images\nnames: [cat, dog]')
    parts = open_data(tmp_path)
    assert list(parts) == ['train', 'val']
    assert [len(found(part.data)) for part in parts.values()] == [2, 1]
    line = parts['train'].line()
    assert "test: '../test/images' is not there" in line
    assert "train: '../train/images' read as train/images" in line
    assert '1 label file without an image left out (train/labels/z.txt)' in line
    said = '1 image without a label file taken as images without objects (train/images/b.jpg)'
    assert said in line and 'without a label file' not in parts['val'].line()


@pytest.mark.parametrize('yaml, parts, said', [
    ('train: images/train\nval: images/train', {'train': 'abc'}, 'val names the images of train'),
    ('train: images/train\nval: val.txt\ntest: images/val', {'train': 'abc', 'val': 'c'},
     'test names the images of val'),
    ('train: images/train\nval: val.txt', {'train': 'abc', 'val': 'c'}, None)])
def test_parts_with_the_same_images_are_read_once(tmp_path, yaml, parts, said):
    write(tmp_path)
    write(tmp_path, 'images/val', 'labels/val', 'c')
    text(tmp_path / 'val.txt', 'images/val/c.jpg\n')
    text(tmp_path / 'data.yaml', f'{yaml}\nnames: [cat, dog]')
    read = open_data(tmp_path)
    assert {name: ''.join(found(part.data)) for name, part in read.items()} == parts
    line = read['train'].line() or ''
    assert said in line if said else 'read once' not in line


@pytest.mark.parametrize('names', ['classes.txt', 'obj.names', '_darknet.labels'])
def test_without_a_yaml(tmp_path, names):
    write(tmp_path, 'images', 'labels')
    text(tmp_path / names, 'cat\ndog\n')
    assert found(open_data(tmp_path)['train'].data) == expected(SCENE)


@pytest.mark.parametrize('label, said', [
    ('0 0.5 0.5 0.2 0.2', 'its 1 labels are boxes'),
    ('2 0.1 0.1 0.5 0.1 0.5 0.5', 'a.txt, line 1: class 2, but there are 2 names'),
    ('0 10 10 50 10 50 50', 'parts of the image, from 0 to 1'),
    ('0 nan 0.1 0.5 0.1 0.5 0.5', 'parts of the image'),
    ('0 0.1 0.1 0.5 0.1 0.5', 'neither a box'),
    ('cat 0.1 0.1 0.5', 'not a class and numbers')])
def test_what_is_no_polygon(tmp_path, label, said):
    write(tmp_path, stems='a')
    text(tmp_path / 'labels/train/a.txt', label)
    text(tmp_path / 'data.yaml', 'train: images/train\nnames: [cat, dog]')
    with pytest.raises(UserError, match=said):
        open_data(tmp_path)


@pytest.mark.parametrize('yaml, said', [
    ('train: images/train\nnames: [cat]\nkpt_shape: [17, 3]', 'poses'),
    ('train: images/train\nnames: [cat]\nnc: 2', 'nc is 2, but there is 1 name'),
    ('train: images/train\nnames: {0: cat, 2: dog}', 'numbered 0, 1, 2'),
    ('train: images/train\nnames: {0: cat, 1: dog, 1: bird}',
     r'/data\.yaml: names: class 1 has several names: number the classes 0, 1, 2, \.\.\.$'),
    ('train: images/train\nnames:\n  - cat\nnames:\n  0: cat\n  0: dog', 'class 0 has several'),
    ('train: images/train\nnames: &a [cat]\nval: *a', 'refers to its own entries'),
    ('train: ../../etc\nnames: [cat]', 'nothing outside of it is read'),
    ('train: /etc\nnames: [cat]', 'nothing outside of it is read')])
def test_descriptions_that_are_refused(tmp_path, yaml, said):
    write(tmp_path, stems='b')
    path = text(tmp_path / 'data.yaml', yaml)
    with pytest.raises(UserError, match=said):
        open_data(path)


@pytest.mark.parametrize('number', ['nan', 'inf', '-inf', '0.5', '1e999'])
def test_classes_that_are_no_numbers_of_one(tmp_path, number):
    write(tmp_path)
    text(tmp_path / 'labels/train/a.txt', f'{number} 0.1 0.1 0.4 0.1 0.4 0.4')
    text(tmp_path / 'data.yaml', 'train: images/train\nnames: [cat, dog]')
    with pytest.raises(UserError, match=f'line 1: class {number}, but there are 2 names'):
        open_data(tmp_path)


def test_boxes_among_polygons_are_kept_for_training_to_name(tmp_path):
    write(tmp_path)
    text(tmp_path / 'labels/train/c.txt', '0 0.5 0.5 0.5 0.5')
    text(tmp_path / 'data.yaml', 'train: images/train\nnames: [cat, dog]')
    part = open_data(tmp_path)['train']
    assert '1 object with a box and no mask' in part.line()
    (box,) = [a for a in part.data['annotations'] if not a['segmentation']]
    assert box['bbox'] == [10, 7.5, 20, 15]


def test_labels_of_images_that_no_list_names(tmp_path):
    """Their images are there: nothing else is said of them; and a label of val is no loss."""
    write(tmp_path, 'images', 'labels')
    for stem in 'vxy':
        text(tmp_path / f'labels/{stem}.txt', LABELS['b'])
    photo(tmp_path / 'images/v.jpg')
    photo(tmp_path / 'images/x.JPG')
    text(tmp_path / 'train.txt', './images/a.jpg\n./images/b.jpg\n')
    text(tmp_path / 'val.txt', './images/v.jpg\n')
    text(tmp_path / 'data.yaml', 'train: train.txt\nval: val.txt\nnames: [cat, dog]')
    line = open_data(tmp_path)['train'].line()
    assert 'train: 2 label files left out, as no list names their images (labels/c.txt)' in line
    assert 'train: 1 label file without an image left out (labels/y.txt)' in line
    assert 'val: ' not in line


def test_labels_of_folders_called_images_as_yolo_looks_for_them(tmp_path):
    """A tool that replaces the first images/ of a path, not the last: its labels are not found."""
    write(tmp_path)
    write(tmp_path, 'images/train/images', 'labels/train/images', 'ab')
    write(tmp_path, 'images/new', 'labels/new', 'b')
    text(tmp_path / 'data.yaml', 'train: images/train\nnames: [cat, dog]')
    line = open_data(tmp_path)['train'].line()
    assert '; 2 label files without an image left out (labels/train/images/a.txt)' in line
    assert ('; 1 label file left out, as train, val and test do not name its image '
            '(labels/new/b.txt)') in line


@pytest.mark.parametrize('name, written', [
    ('a', 'a'), ('images/a', 'images_/a'), ('x/images/images_/a', 'x/images_/images__/a'),
    ('Images/images', 'Images/images')])
def test_names_that_yolo_finds(name, written):
    assert written_name(name) == written
    assert label_name(f'images/{written}.jpg')[0] == f'labels/{written}.txt'


@pytest.mark.parametrize('names, read', [
    ('{0: yes, 1: no}', ['yes', 'no']), ('[1.0, 1e3]', ['1.0', '1e3']),
    ('[on, 010]', ['on', '010']), ('{1: 2020-01-01, 0: ~}', None),
    ('[cat, null]', None), ('[cat, [dog]]', None)])
def test_names_as_they_are_written(tmp_path, names, read):
    write(tmp_path)
    text(tmp_path / 'data.yaml', f'train: images/train\nnames: {names}')
    if read:
        data = open_data(tmp_path)['train'].data
        assert [category['name'] for category in data['categories']] == read
        return
    with pytest.raises(UserError, match=r'names: class \d has no name but .*, in quotes'):
        open_data(tmp_path)
