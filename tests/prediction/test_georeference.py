"""Coordinates of maps, from tags of TIFF files and from world files."""
import itertools
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mmdet_lordre.prediction.georeference import georeference_of
from mmdet_lordre.prediction.run import predict_files
from mmdet_lordre.prediction.sources import open_source

from .scenes import scene


def geotiff(path, image, point=1, **tags):
    directory = ImageFileDirectory_v2()
    directory[33550] = tags.get('scale', (0.5, 0.25, 0.0))
    directory[33922] = (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0)
    directory[34735] = (1, 1, 0, 2, 1025, 0, 1, point, 3072, 0, 1, 32633)
    if 'matrix' in tags:
        del directory[33550], directory[33922]
        directory[34264] = tags['matrix']
    for tag in (33550, 33922, 34264):
        directory.tagtype[tag] = 12
    directory.tagtype[34735] = 3
    Image.fromarray(image).save(path, tiffinfo=directory)


def test_a_geotiff(perfect, tmp_path):
    path = tmp_path / 'map.tif'
    geotiff(path, scene(20, 30, (4, 8, 6, 10))[..., ::-1])
    place = georeference_of(path)
    assert place.epsg == 32633
    assert place.apply(np.array([[8.0, 4], [18, 10]])).tolist() == [[1004, 1999], [1009, 1997.5]]
    predict_files(perfect, open_source(path), tmp_path / 'out', ['geojson'])
    content = json.loads((tmp_path / 'out' / 'geojson' / 'map.geojson').read_text())
    assert content['crs']['properties']['name'].endswith('EPSG::32633')
    ring, = content['features'][0]['geometry']['coordinates']
    assert sorted(map(tuple, ring[:-1])) == [
        (1004, 1997.5), (1004, 1999), (1009, 1997.5), (1009, 1999)]
    area = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise(ring)) / 2
    assert area == 5 * 1.5  # counterclockwise, with y upwards


def test_a_map_larger_than_pictures_usually_are(tmp_path, monkeypatch):
    geotiff(tmp_path / 'map.tif', np.zeros((40, 60, 3), np.uint8))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    assert georeference_of(tmp_path / 'map.tif').epsg == 32633


def test_coordinates_of_middles_and_matrices(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    geotiff(tmp_path / 'a.tif', image, point=2)
    assert georeference_of(tmp_path / 'a.tif').apply(np.array([[0.5, 0.5]])).tolist() == [
        [1000, 2000]]
    geotiff(tmp_path / 'b.tif', image, matrix=(0.0, 2, 0, 10, 3, 0, 0, 20) + (0.0,) * 8)
    assert georeference_of(tmp_path / 'b.tif').apply(np.array([[1.0, 2]])).tolist() == [[14, 23]]


@pytest.mark.parametrize('name', ['a.jgw', 'a.wld', 'a.jpgw'])
def test_world_files(tmp_path, name):
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((4, 4, 3), np.uint8))
    assert georeference_of(tmp_path / 'a.jpg') is None
    (tmp_path / name).write_text('2.0\n0\n0\n-2.0\n101.0\n499.0\n')
    place = georeference_of(tmp_path / 'a.jpg')
    assert place.epsg is None
    # the file tells the middle of the first pixel
    assert place.apply(np.array([[0.0, 0], [0.5, 0.5]])).tolist() == [[100, 500], [101, 499]]
    (tmp_path / name).write_text('no numbers')
    assert georeference_of(tmp_path / 'a.jpg') is None
