"""What a person gets to see of image files."""
import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.visualization.seen import decoded, read_to_see


def test_of_16_bits_the_values_that_are_used(tmp_path):
    pixels = np.full((40, 60), 300, np.uint16)
    pixels[:, 30:] = 2300
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, pixels)
    assert cv2.imread(path).max() < 9
    found = read_to_see(path)
    assert found.dtype == np.uint8 and found.shape == (40, 60, 3)
    assert (found[:, :30] == 0).all() and (found[:, 30:] == 255).all()
    cv2.imwrite(path, pixels * 0 + 7)
    assert (read_to_see(path) == 0).all()


def test_others_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, pixels)
    assert np.array_equal(read_to_see(path), pixels)


@pytest.mark.parametrize('size, expected', [(None, (60, 40)), ((60, 40), (60, 40)),
                                            ((40, 60), (40, 60)), ((9, 9), (60, 40))])
def test_turned_unless_another_size_is_meant(size, expected, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_to_see(str(tmp_path / 'a.jpg'), size).shape[:2] == expected


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_tiff_files_that_a_tag_turns(tmp_path, dtype):
    """Of which ``cv2.imread`` gives nothing."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.arange(2400).astype(dtype).reshape(40, 60)
    Image.fromarray(pixels).save(tmp_path / 'a.tif', exif=exif)
    found = decoded(str(tmp_path / 'a.tif'), cv2.IMREAD_UNCHANGED)
    assert found.dtype == dtype and np.array_equal(found, np.rot90(pixels, -1))
    assert read_to_see(str(tmp_path / 'a.tif'), (60, 40)).shape == (60, 40, 3)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / 'a.png').write_text('no image')
    assert read_to_see(str(tmp_path / 'a.png')) is None
    assert read_to_see(str(tmp_path / 'none.png')) is None
    (tmp_path / 'empty.png').write_bytes(b'')
    assert read_to_see(str(tmp_path / 'empty.png')) is None
