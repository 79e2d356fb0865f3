"""Pictures of 16 bits of which a model sees little."""
import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdet_lordre.prediction.sixteen_bits import few_levels, has_16_bits


def config(*steps):
    return Config(dict(test_dataloader=dict(dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'), *steps]))))


@pytest.mark.parametrize('ending', ['png', 'tif'])
@pytest.mark.parametrize('color', [False, True])
def test_which_are(tmp_path, ending, color):
    shape = (64, 48, 3) if color else (64, 48)
    values = np.linspace(0, 3760, np.prod(shape)).astype(np.uint16).reshape(shape)
    path = str(tmp_path / f'a.{ending}')
    cv2.imwrite(path, values)
    assert has_16_bits(path)
    assert 'a.' in (line := few_levels(path, config())) and ' gray levels here' in line
    assert few_levels(path, config(dict(type='ScaleValues', low=0, high=4000))) is None
    cv2.imwrite(path, values * 17)
    assert few_levels(path, config()) is None  # they fill the 16 bits
    cv2.imwrite(path, values.astype(np.uint8))
    assert not has_16_bits(path)


def test_values_below_zero(tmp_path):
    path = str(tmp_path / 'a.tif')
    Image.fromarray(np.full((8, 8), -900, np.int16).view(np.uint16)).save(
        path, tiffinfo={339: 2})
    assert has_16_bits(path)
    line = few_levels(path, config())
    assert 'values from -900 to -900' in line and 'lordre plan' not in line


def test_what_is_none(tmp_path):
    (tmp_path / 'a.tif').write_bytes(b'II*\0junk')
    (tmp_path / 'b.png').write_bytes(b'')
    assert not any(map(has_16_bits, (str(tmp_path / 'a.tif'), str(tmp_path / 'b.png'),
                                     'http://host/a.png', str(tmp_path / 'none.png'))))
