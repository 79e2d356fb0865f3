"""Pictures of 16 bits, and pictures that a tag turns: read as they were annotated."""
import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdet_lordre.cli.plan import main
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.datasets.image_rules import annotated_as_stored
from mmdet_lordre.datasets.pixel_values import ScaleValues
from mmdet_lordre.planning.cost import batches_of
from mmdet_lordre.planning.reading import Reading, values_of
from mmdet_lordre.planning.warnings import warnings_of
from mmdet_lordre.prediction.pictures import Picture, pixels_of
from mmdet_lordre.prediction.preparation import Preparation

from .data import coco, square, write
from .test_warnings import given

SIZE = (48, 64)
OBJECTS = [(square(4, 6, 20), 0), (square(36, 20, 24, 16), 0)]


def deep(folder, values=(400, 2300), kind=np.uint16):
    """A data set of 16 bits, of values in a small part of them."""
    data = coco([OBJECTS] * 3, size=SIZE)
    path = write(folder, data, draw=False)
    for image in data['images']:
        pixels = np.full(SIZE, values[0], kind)
        for (points, ), _ in OBJECTS:
            cv2.fillPoly(pixels, [np.reshape(points, (-1, 2)).astype(np.int32)], values[1])
        cv2.imwrite(str(folder / image['file_name']), pixels)
    return path


def test_values_between_two_limits():
    step = ScaleValues(100, 355)
    pixels = np.array([[0, 100, 101, 355, 60000]], np.uint16)
    assert step.scaled(pixels).tolist() == [[0, 0, 1, 255, 255]]
    eight = np.array([[0, 100, 255]], np.uint8)
    assert step.scaled(eight) is eight
    with pytest.raises(ValueError, match='low must be below high'):
        ScaleValues(5, 5)


@pytest.mark.parametrize('values, kind, expected', [
    ((400, 2300), np.uint16, (400, 2300)), ((10, 65000), np.uint16, None),
    ((400, 400), np.uint16, None), ((10, 200), np.uint8, None)])
def test_what_the_pictures_use(values, kind, expected, tmp_path):
    deep(tmp_path, values, kind)
    assert values_of([str(tmp_path / name) for name in ('1.png', '2.png', 'none.png')]) == expected


def test_a_plan_tells_16_bits_apart(tmp_path, capsys):
    path, out = deep(tmp_path), str(tmp_path / 'mine.py')
    main([path, '--no-cost', '--family', 'lordre', '--out', out])
    said = capsys.readouterr().out
    assert 'values from 400 to 2300 are told apart: as 8 bits they would have 8 gray levels' in said
    cfg = load_config(out)
    (batch, ), _ = batches_of(cfg, 1)
    inputs = batch['inputs'][0]
    assert inputs.max() > 150 and len(inputs) == 3  # colors are varied
    # what predicts reads the same, whether it gets files or arrays
    prepare, file = Preparation(cfg), str(tmp_path / '1.png')
    pixels = prepare.read(Picture('1', 0, path=file))
    assert pixels.dtype == np.uint8 and set(np.unique(pixels)) == {0, 255}
    array = cv2.imread(file, cv2.IMREAD_UNCHANGED)
    assert np.array_equal(prepare.read(Picture('1', 0, pixels=pixels_of(array))), pixels)
    assert prepare(pixels, Picture('1', 0))['inputs'].max() == 255


def test_arrays_of_16_bits_are_like_files(tmp_path):
    path = deep(tmp_path, (0, 65535))
    main([path, '--no-cost', '--family', 'lordre', '--out', str(tmp_path / 'mine.py')])
    prepare = Preparation(load_config(str(tmp_path / 'mine.py')))
    array = cv2.imread(str(tmp_path / '1.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(prepare.read(Picture('1', 0, pixels=pixels_of(array))),
                          cv2.imread(str(tmp_path / '1.png')))


def test_any_config_hears_of_16_bits(tmp_path):
    cfg = Config(dict(model=dict(type='MaskRCNN')))
    line, = warnings_of(given(cfg, deep(tmp_path)))
    assert line.startswith('the images have 16 bits and use values from 400 to 2300: read as 8')
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile', color_type=3)]
    assert warnings_of(cfg) == []


def turned(folder, stored):
    """Photographs that a tag turns, annotated as stored or as shown."""
    data = coco([OBJECTS] * 3, size=SIZE)
    path = write(folder, data, draw=False)
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in data['images']:
        image['file_name'] = f'{image["id"]}.jpg'
        shape = SIZE if stored else SIZE[::-1]
        pixels = np.random.default_rng(image['id']).integers(0, 255, (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(folder / image['file_name'], exif=exif)
    (folder / 'train.json').write_text(json.dumps(data))
    return path, data


@pytest.mark.parametrize('stored', [True, False])
def test_photographs_are_read_as_they_were_annotated(stored, tmp_path, capsys):
    path, data = turned(tmp_path, stored)
    assert annotated_as_stored([(data, str(tmp_path))]) == stored
    out = str(tmp_path / 'mine.py')
    main([path, '--no-cost', '--family', 'lordre', '--out', out])
    said = capsys.readouterr().out
    assert ('as they are stored' in said) == stored and 'wrong images' not in said
    cfg = load_config(out)
    batches_of(cfg, 1)
    pixels = Preparation(cfg).read(Picture('1', 0, path=str(tmp_path / '1.jpg')))
    assert pixels.shape[:2] == SIZE


def test_some_in_each_way_are_not_guessed(tmp_path):
    _, data = turned(tmp_path, True)
    data['images'][1].update(height=SIZE[1], width=SIZE[0])
    assert not annotated_as_stored([(data, str(tmp_path))])


def test_ways_of_reading():
    assert Reading().color_type == 'color' and not Reading().line()
    assert Reading(upright=False).color_type == 'color_ignore_orientation'
    assert Reading(True, (1, 9)).color_type == 3
    assert Reading(False, (1, 9)).color_type == 3 | cv2.IMREAD_IGNORE_ORIENTATION
