"""Frames of a film, told from photographs, and kept together in runs."""
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.cli.split import main
from mmdet_lordre.datasets.fingerprints import SIDE, Fingerprints, standardized
from mmdet_lordre.datasets.sequences import following, in_runs

from ..planning.data import coco, square, write
from .pictures import texture


def moving(count, step, seed=3):
    """What a camera sees that moves along a wall, ``step`` pixels of 200 a frame."""
    wall = texture(seed, (200 + step * count, 200))
    return [wall.crop((step * i, 0, step * i + 200, 200)) for i in range(count)]


def prints(pictures):
    cells = [standardized(np.asarray(p.convert('L').resize((SIDE, SIDE), Image.Resampling.BOX),
                                     np.float32)) for p in pictures]
    return Fingerprints(np.stack(cells).astype(np.float16), np.ones(len(cells), bool),
                        [str(i) for i in range(len(cells))])


@pytest.mark.parametrize('step', [2, 8, 16])
def test_frames_of_a_moving_camera_follow_each_other(step):
    names = [f'walk/frame_{i}.jpg' for i in range(40)]  # as a number, 10 comes after 9
    shuffled = np.random.default_rng(0).permutation(40)
    pairs = following([names[i] for i in shuffled], prints([moving(40, step)[i] for i in shuffled]))
    assert shuffled[pairs].tolist() == [[i, i + 1] for i in range(39)]


def test_two_films_are_not_joined():
    names = [f'film{film}/{i:04d}.jpg' for film in (1, 2) for i in range(20)]
    pairs = following(names, prints(moving(20, 8, 1) + moving(20, 8, 2)))
    assert len(pairs) == 38 and [19, 20] not in pairs.tolist()


@pytest.mark.parametrize('names', [
    [f'IMG_{i:04d}.jpg' for i in range(40)], [f'{i % 4}/{i}.jpg' for i in range(40)]])
def test_photographs_are_no_frames(names):
    assert not len(following(names, prints([texture(i) for i in range(40)])))


def test_names_without_a_number_have_no_order():
    names = [chr(ord('a') + i) for i in range(20)]
    assert not len(following(names, prints(moving(20, 8))))


def test_a_few_say_nothing():
    for count, expected in ((7, 0), (8, 7)):
        names = [f'{i}.jpg' for i in range(count)]
        assert len(following(names, prints(moving(count, 8)))) == expected


def test_numbers_of_any_length():
    """Python refuses to convert those of thousands of digits."""
    names = [f'{"9" * 5000}_{i}.jpg' for i in range(20)]
    assert len(following(names, prints(moving(20, 8)))) == 19


def test_what_was_not_looked_at_lies_between():
    looked = prints(moving(40, 8))
    looked.usable[1::2] = False
    pairs = following([f'{i}.jpg' for i in range(40)], looked)
    assert pairs.tolist() == [[i, i + 1] for i in range(38)]


def test_long_runs_are_cut():
    pairs = np.array([[i, i + 1] for i in range(9)] + [[11, 12]])
    alone = np.arange(13)
    assert in_runs(pairs, alone, 4).tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 4]
    assert in_runs(pairs, alone, 1).tolist() == list(range(13))
    assert in_runs(np.zeros((0, 2), int), alone[:2], 4).tolist() == [0, 1]


def test_no_run_ends_within_one_picture():
    """Frames 2 to 5 show the same: cut at 4 they would join both runs."""
    pairs = np.array([[i, i + 1] for i in range(7)])
    same = np.array([0, 1, 2, 2, 2, 2, 3, 4])
    assert in_runs(pairs, same, 4).tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert in_runs(pairs, np.zeros(8, int), 4).tolist() == [0] * 8


def film(folder, count=40):
    path = write(folder, coco([[(square(4, 6, 20), 0)]] * count, size=(200, 200)), draw=False)
    for number, picture in enumerate(moving(count, 8), 1):
        picture.save(Path(path).parent / f'{number}.png')
    return path


def test_split_keeps_frames_in_runs(tmp_path, capsys):
    path = film(tmp_path)
    main([path, '--out', str(tmp_path / 'parts')])
    assert 'kept together: 40 images in 10 groups that follow each other' in \
        capsys.readouterr().out
    val = sorted(int(Path(image['file_name']).stem)
                 for image in json.loads((tmp_path / 'parts/val.json').read_text())['images'])
    assert len(val) == 8 and (np.diff(val) > 1).sum() <= 1
    main([path, '--out', str(tmp_path / 'single'), '--no-near-duplicates'])
    assert 'kept together' not in capsys.readouterr().out
