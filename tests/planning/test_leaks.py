"""Validation images that show what training images show."""
import cv2
import numpy as np
import pytest

from mmdet_lordre.cli.plan import main
from mmdet_lordre.planning.card import Card
from mmdet_lordre.planning.leaks import costs, find_leaks, readable
from mmdet_lordre.planning.objects import read_both
from mmdet_lordre.planning.sample import Looks

from ..datasets.pictures import texture
from .data import coco, square, write


def noisy(folder, count, seed):
    """Annotations of pictures that are all different."""
    path = write(folder, coco([[(square(4, 6, 20), 0)]] * count, size=(64, 64)), draw=False)
    rng = np.random.default_rng(seed)
    for number in range(1, count + 1):
        cells = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f'{number}.png'), cv2.resize(cells, (64, 64)))
    return path


@pytest.fixture
def files(tmp_path):
    """Of four validation images one is a training image, and one is one mirrored and darker."""
    train, val = noisy(tmp_path / 'train', 6, 1), noisy(tmp_path / 'val', 4, 2)
    for mine, theirs, change in ((2, 5, lambda p: p), (3, 1, lambda p: (p[:, ::-1] * 0.7))):
        picture = cv2.imread(str(tmp_path / 'train' / f'{theirs}.png'))
        cv2.imwrite(str(tmp_path / 'val' / f'{mine}.png'), change(picture))
    return train, val


def test_they_are_found_and_named(files):
    train, val = read_both(files[0], val=files[1])
    leaks = find_leaks(train, val)
    assert leaks.pairs == (('2.png', '5.png'), ('3.png', '1.png'))
    assert (leaks.val, leaks.train) == (4, 6)
    text = Card(train, Looks(), val, leaks).text()
    assert ('2 of the 4 validation images show what a training image shows: 2.png = 5.png, '
            '3.png = 1.png') in text
    assert 'too good' in text


def test_nothing_in_common(tmp_path):
    train, val = read_both(noisy(tmp_path / 'train', 6, 1), val=noisy(tmp_path / 'val', 4, 2))
    text = Card(train, Looks(), val, find_leaks(train, val)).text()
    assert 'none of the 4 validation images shows what a training image shows' in text
    assert 'too good' not in text


def test_of_many_images_a_sample_is_looked_at(files):
    train, val = read_both(files[0], val=files[1])
    leaks = find_leaks(train, val, pixels=5 * 64**2)
    assert (leaks.val, leaks.train) == (1, 4)
    text = Card(train, Looks(), val, leaks).text()
    assert '1 of 4 validation images' in text and 'one of 4 of the 6 training images' in text
    assert readable(costs(train.sizes, train.files), 1.).size == 1  # one in any case


def test_the_command_says_it(files, capsys):
    main([files[0], '--val', files[1], '--no-cost', '--family', 'solov2'])
    assert 'near-duplicates   2 of the 4' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['{number:03d}.png', '{film}/{number:03d}.png',
                                  '{part}/{film}_{number:03d}.png'])
def test_frames_of_one_film_on_both_sides(tmp_path, name):
    """Every fourth frame is for validation: none is the same picture, but most are beside one.
    The second half is another film."""
    films = [texture(seed, (64 + 6 * 20, 64)) for seed in (1, 2)]
    for part, numbers in (('train', [i for i in range(40) if i % 4]), ('val', range(0, 40, 4))):
        data = coco([[(square(4, 6, 20), 0)]] * len(numbers), size=(64, 64))
        for image, number in zip(data['images'], numbers, strict=True):
            image['file_name'] = name.format(number=number, film=number // 20, part=part)
            path = tmp_path / part / image['file_name']
            path.parent.mkdir(parents=True, exist_ok=True)
            at = 6 * (number % 20)
            films[number // 20].crop((at, 0, at + 64, 64)).save(path)
        write(tmp_path / part, data, draw=False)
    train, val = read_both(str(tmp_path / 'train' / 'train.json'),
                           val=str(tmp_path / 'val' / 'train.json'))
    leaks = find_leaks(train, val)
    assert not leaks.pairs and leaks.frames == 10 and leaks.of_one_film
    text = Card(train, Looks(), val, leaks).text()
    assert '10 come next to a training image' in text and 'Set whole films aside' in text
