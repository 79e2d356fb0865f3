"""Every format is written, read again by other means, and compared pixel by pixel."""
import contextlib
import csv
import io
import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.errors import UserError
from mmdet_lordre.masks.outlines import Outline
from mmdet_lordre.prediction.run import predict_files
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.stream import Stream
from tests.cli.tiny import NAMES, write_json
from tests.masks.filled import bitmap_of_outlines

from .conftest import PerfectModel
from .scenes import blobs

FORMATS = ['coco', 'coco-annotations', 'yolo', 'labelme', 'geojson', 'png', 'masks', 'csv',
           'pictures', 'cutouts']


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp('blobs')
    (folder / 'deep').mkdir()
    for number, name in enumerate(('a.png', 'b.png', 'deep/c.png')):
        cv2.imwrite(str(folder / name), blobs(seed=number, objects=5 if number else 0))
    return folder


@pytest.fixture(scope='module')
def truth(source):
    """{name: result} as the model gives it."""
    stream = Stream(PerfectModel(), Settings())
    return {result.name: result for result in stream.run(open_source(source, True))}


@pytest.fixture(scope='module')
def out(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('out') / 'run'
    summary = predict_files(PerfectModel(), open_source(source, True), folder, FORMATS)
    assert (summary.pictures, summary.objects, summary.joined) == (3, 10, True)
    return folder


def masks_of(data, truth):
    """{name: list of bitmaps} of COCO data, in the order of the annotations."""
    coco = COCO()
    coco.dataset = data
    coco.createIndex()
    found = {}
    for image in data['images']:
        name = image['file_name'].rsplit('.', 1)[0]
        found[name] = [coco.annToMask(a) for a in coco.imgToAnns[image['id']]]
    return {name: found.get(name, []) for name in truth}


def ious(found, truth):
    """IoU of each object, in order."""
    for name, result in truth.items():
        expected = result.bitmaps()
        assert len(found[name]) == len(expected), name
        for one, other in zip(found[name], expected):
            one = np.asarray(one, bool)
            yield (one & other).sum() / (one | other).sum()


def test_the_scenes_have_holes_parts_and_borders(truth):
    parts = [r.outlines(i) for r in truth.values() for i in range(len(r))]
    assert any(len(p) > 1 for p in parts) and any(part.holes for p in parts for part in p)
    assert any((r.boxes[:, :2] == 0).any() for r in truth.values())


def test_coco_results(out, truth):
    entries = json.loads((out / 'results.json').read_text())
    for image_id, result in enumerate(truth.values(), 1):
        mine = [e for e in entries if e['image_id'] == image_id]
        assert [e['segmentation']['counts'].encode() for e in mine] == [
            rle['counts'] for rle in result.masks]
        assert [e['category_id'] for e in mine] == (result.labels + 1).tolist()
        assert np.allclose([e['score'] for e in mine], result.scores)
        for entry in mine:
            assert mask_api.toBbox(entry['segmentation']).tolist() == entry['bbox']


def test_coco_results_say_of_which_pictures(out, truth):
    """So that pycocotools reads them without another file."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(out / 'images.json'))
        found = coco.loadRes(str(out / 'results.json'))
    assert [cat['name'] for cat in coco.cats.values()] == list(NAMES)
    assert [(image['file_name'], image['height'], image['width'], len(found.imgToAnns[number]))
            for number, image in coco.imgs.items()] == [
        (result.file, *result.size, len(result)) for result in truth.values()]


def test_coco_annotations(out, truth, source):
    data = next(iter(open_data(str(out / 'annotations.json'), str(source)).values())).data
    assert [c['name'] for c in data['categories']] == list(NAMES)
    assert {type(a['segmentation']) for a in data['annotations']} == {list, dict}
    assert min(ious(masks_of(data, truth), truth)) == 1
    assert [a['area'] for a in data['annotations']] == [
        area for result in truth.values() for area in result.areas.tolist()]


def test_yolo(out, truth, source, tmp_path):
    folder = shutil.copytree(out / 'yolo', tmp_path / 'yolo')
    shutil.copytree(source, folder / 'images')
    assert (folder / 'labels' / 'a.txt').read_text() == ''
    data = next(iter(open_data(str(folder)).values())).data
    assert min(ious(masks_of({**data, 'images': [
        dict(i, file_name=i['file_name'].removeprefix('images/')) for i in data['images']]},
        truth), truth)) >= 0.995
    assert [c['name'] for c in data['categories']] == list(NAMES)


def test_yolo_of_folders_called_images(tmp_path, source, capsys):
    (tmp_path / 'set/images').mkdir(parents=True)
    shutil.copy(source / 'b.png', tmp_path / 'set/images/b.png')
    predict_files(PerfectModel(), open_source(tmp_path / 'set', True), tmp_path / 'out', ['yolo'])
    assert 'images/b is images_/b; call the folders of the pictures so' in capsys.readouterr().out
    yolo = tmp_path / 'out/yolo'
    shutil.copytree(tmp_path / 'set/images', yolo / 'images/images_')
    assert len(open_data(yolo)['train'].data['annotations']) == 5


def test_labelme(out, truth, source):
    data = next(iter(open_data(str(out / 'labelme'), str(source)).values())).data
    found = masks_of(data, truth)
    assert min(ious(found, truth)) == 1
    content = json.loads((out / 'labelme' / 'deep' / 'c.json').read_text())
    assert (out / 'labelme' / 'deep' / content['imagePath']).resolve() == source / 'deep/c.png'
    assert {shape['shape_type'] for shape in content['shapes']} == {'polygon', 'mask'}


def test_geojson(out, truth):
    found = {}
    for name, result in truth.items():
        content = json.loads((out / 'geojson' / f'{name}.geojson').read_text())
        assert 'crs' not in content
        found[name] = []
        for feature in content['features']:
            geometry = feature['geometry']
            polygons = [geometry['coordinates']] if geometry['type'] == 'Polygon' else \
                geometry['coordinates']
            assert all(ring[0] == ring[-1] for polygon in polygons for ring in polygon)
            found[name].append(bitmap_of_outlines(
                [Outline(np.array(first[:-1]), [np.array(hole[:-1]) for hole in holes])
                 for first, *holes in polygons], result.size))
    assert min(ious(found, truth)) == 1


def test_png(out, truth):
    rows = list(csv.DictReader((out / 'png' / 'instances.csv').open()))
    for name, result in truth.items():
        pixels = cv2.imread(str(out / 'png' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == np.uint16 and pixels.shape == result.size
        for number, mask in enumerate(result.bitmaps(), 1):
            assert np.array_equal(pixels == number, mask)
        assert [r['class'] for r in rows if r['picture'] == name] == result.names
        files = sorted((out / 'masks' / name).iterdir()) if len(result) else []
        for path, mask in zip(files, result.bitmaps(), strict=True):
            assert np.array_equal(np.asarray(Image.open(path)) > 0, mask)


@pytest.mark.parametrize('format', ['png', 'masks'])
def test_masks_are_read_again(out, truth, source, format):
    part = open_data(out / format, str(source))['train']
    names = {category['id']: category['name'] for category in part.data['categories']}
    images = {image['id']: image['file_name'].removesuffix('.png') for image in part.data['images']}
    found = sorted((images[one['image_id']], names[one['category_id']],
                    mask_api.decode(one['segmentation']).tobytes())
                   for one in part.data['annotations'])
    wanted = sorted((name, one, bitmap.astype(np.uint8).tobytes()) for name, result in truth.items()
                    for one, bitmap in zip(result.names, result.bitmaps()))
    assert len(found) == 10 and found == wanted and len(images) == 3
    assert 'classes are those' in part.line()


def test_cut_outs_and_pictures(out, truth, source):
    for name, result in truth.items():
        image = cv2.imread(str(source / f'{name}.png'))
        files = sorted((out / 'cutouts' / name).iterdir()) if len(result) else []
        for path, crop in zip(files, result.crops(), strict=True):
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(pixels[..., 3] > 0, crop.bitmap > 0)
            height, width = crop.bitmap.shape
            assert np.array_equal(
                pixels[..., :3], image[crop.y:crop.y + height, crop.x:crop.x + width])
        drawn = cv2.imread(str(out / 'pictures' / f'{name}.png'))
        assert min(drawn.shape[:2]) >= min(result.size)


def test_a_table(out, truth):
    rows = list(csv.DictReader((out / 'measurements.csv').open()))
    assert len(rows) == 10
    areas = [area for result in truth.values() for area in result.areas.tolist()]
    assert [int(float(row['area_px2'])) for row in rows] == areas
    assert {row['touches_border'] for row in rows} == {'0', '1'}


def test_millimeters_and_parquet(source, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet')
    predict_files(PerfectModel(), open_source(source / 'b.png'), tmp_path / 'out',
                  ['csv', 'parquet'], mm_per_pixel=0.5)
    rows = list(csv.DictReader((tmp_path / 'out' / 'measurements.csv').open()))
    table = parquet.read_table(tmp_path / 'out' / 'measurements.parquet').to_pylist()
    assert list(rows[0]) == list(table[0]) and 'area_mm2' in rows[0]
    for one, other in zip(rows, table, strict=True):
        assert float(one['area_mm2']) == pytest.approx(other['area_mm2'], rel=1e-5)
        assert other['touches_border'] in (True, False)


def test_categories_of_a_coco_file(source, tmp_path):
    """Ids of the file for the classes that it has, an id of its own for another."""
    write_json(tmp_path / 'val.json', dict(
        images=[dict(id=70 + i, file_name=name, width=120, height=90)
                for i, name in enumerate(('b.png', 'deep/c.png'))],
        categories=[dict(id=3, name='dot'), dict(id=20, name='bar')], annotations=[]))
    model = PerfectModel()
    model.dataset_meta = dict(classes=('bar', 'ring', 'dot'), palette=None)
    predict_files(model, open_source(tmp_path / 'val.json', images=str(source)), tmp_path / 'out',
                  ['coco', 'coco-annotations'])
    found = json.loads((tmp_path / 'out' / 'annotations.json').read_text())
    assert {c['name']: c['id'] for c in found['categories']} == dict(dot=3, bar=20, ring=21)
    assert [image['id'] for image in found['images']] == [70, 71]
    assert found['images'][1]['file_name'] == 'deep/c.png'
    entries = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert {e['category_id'] for e in entries} == {3, 20, 21}


def test_simplified_polygons(source, tmp_path):
    def corners(**kwargs):
        folder = tmp_path / str(kwargs)
        predict_files(PerfectModel(), open_source(source / 'b.png'), folder, ['yolo'], **kwargs)
        return len((folder / 'yolo' / 'labels' / 'b.txt').read_text().split())
    assert corners(simplify=1) < 0.5 * corners()


def test_unknown_formats(source, tmp_path):
    with pytest.raises(UserError, match="'tiff'; choose from coco"):
        predict_files(PerfectModel(), open_source(source), tmp_path / 'out', ['tiff'])
    assert not (tmp_path / 'out').exists()
