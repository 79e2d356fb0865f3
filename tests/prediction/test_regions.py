"""Parts of pictures that are too large to be decoded as a whole: TIFF files, levels, overviews."""
import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction import regions
from mmdet_lordre.prediction.pictures import BrokenPictureError, Picture
from mmdet_lordre.prediction.regions import InMemory, TiledTIFF, overview
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.tiles import open_stream

from .conftest import PerfectModel
from .scenes import large_scene
from .tiled import as_set, predict


class TestTIFF:

    @pytest.fixture(scope='class')
    def tifffile(self):
        return pytest.importorskip('tifffile')

    @pytest.mark.parametrize('kind', [
        dict(tile=(64, 48)), dict(tile=(64, 48), compression='zlib'), dict(rowsperstrip=37),
        dict(tile=(64, 64), compression='zlib', predictor=True)], ids=str)
    def test_parts(self, tifffile, tmp_path, kind):
        image = np.random.default_rng(0).integers(0, 255, (300, 210, 3), np.uint8)
        path = tmp_path / 'a.tif'
        tifffile.imwrite(path, image[..., ::-1], photometric='rgb', **kind)
        file = TiledTIFF(str(path))
        assert file.size == (300, 210)
        for y, x, h, w in ((0, 0, 300, 210), (10, 20, 100, 90), (299, 209, 1, 1), (64, 48, 64, 48)):
            assert np.array_equal(file.read(y, x, h, w), image[y:y + h, x:x + w])
        small = overview(file, 100)
        expected = cv2.resize(image, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert small.shape == (100, 70, 3) and np.abs(small.astype(int) - expected).mean() < 2

    def test_a_pyramid(self, tifffile, tmp_path, monkeypatch):
        image = large_scene(300)
        path = str(tmp_path / 'a.tif')
        with tifffile.TiffWriter(path) as file:
            file.write(image[..., ::-1], subifds=1, tile=(64, 64), photometric='rgb')
            file.write(image[::2, ::2, ::-1], subfiletype=1, tile=(64, 64), photometric='rgb')
        monkeypatch.setattr(regions, '_SMALL', 0)
        assert as_set(predict(path, tile=100)) == as_set(predict(image))
        half = predict(path, level=1)
        assert half.size == (150, 170) and as_set(half) == as_set(predict(
            np.ascontiguousarray(image[::2, ::2])))
        with pytest.raises(UserError, match='has 2 levels'):
            predict(path, level=2)
        (tmp_path / 'b.tif').write_bytes(b'II*\0broken')
        assert 'decoded' in predict(str(tmp_path / 'b.tif'), tile=100).error

    @pytest.mark.parametrize('kind', ['palette', 'separated', 'ycbcr'])
    def test_other_colors_are_left_to_opencv(self, tifffile, tmp_path, kind, monkeypatch):
        monkeypatch.setattr(regions, '_SMALL', 0)
        path, colors = str(tmp_path / 'a.tif'), {}
        channels = dict(separated=[4], ycbcr=[3]).get(kind, [])
        pixels = np.ones((64, 64, *channels), np.uint8)
        if kind == 'palette':
            colors['colormap'] = np.zeros((3, 256), np.uint16)
            colors['colormap'][0, 1] = 65535  # red
        tifffile.imwrite(path, pixels, photometric=kind, tile=(32, 32), **colors)
        prepare = open_stream(PerfectModel(), Settings()).prepare
        opened = regions.open_regions(Picture('a', 0, path), prepare)
        assert np.array_equal(opened.read(0, 0, 64, 64), cv2.imread(path))
        opened.close()
        with pytest.raises(BrokenPictureError, match=f'{kind.upper()}.*nor by levels'):
            TiledTIFF(path)

    def test_turned_pictures_are_left_to_opencv(self, tifffile, tmp_path, monkeypatch):
        """Whose results lie where those of the same picture in one piece do."""
        monkeypatch.setattr(regions, '_SMALL', 0)
        exif, path = Image.Exif(), str(tmp_path / 'a.tif')
        exif[0x0112] = 6
        pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(path, exif=exif)
        prepare = open_stream(PerfectModel(), Settings()).prepare
        opened = regions.open_regions(Picture('a', 0, path), prepare)
        assert opened.size == (60, 40)
        assert np.array_equal(opened.read(0, 0, 60, 40), np.rot90(pixels, -1)[..., ::-1])
        with pytest.raises(BrokenPictureError, match=r'turns or mirrors.*store it upright'):
            TiledTIFF(path)

    def test_gray_and_16_bits(self, tifffile, tmp_path):
        image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
        tifffile.imwrite(tmp_path / 'a.tif', image, tile=(32, 32))
        found = TiledTIFF(str(tmp_path / 'a.tif')).read(0, 0, 64, 64)
        assert np.array_equal(found, np.repeat((image >> 8)[..., None], 3, axis=2))


def test_levels_of_other_files(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), large_scene(60))
    with pytest.raises(UserError, match='only TIFF'):
        predict(str(tmp_path / 'a.png'), level=1)


def test_overviews():
    image = np.zeros((100, 400, 3), np.uint8)
    assert overview(InMemory(image), 200).shape == (50, 200, 3)
    assert overview(InMemory(image), 1000) is not None
