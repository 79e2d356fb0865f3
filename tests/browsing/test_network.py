"""What the network is given: the picture is the input, and targets lie where the objects are."""
import cv2
import numpy as np
import pytest

from mmdet_lordre.browsing.network import network_sections
from mmdet_lordre.cli.browse import main as browse
from mmdet_lordre.config import own_data
from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.errors import UserError

from ..cli.tiny import ROOT, make_coco, write_config, write_json

SIDE = 128


@pytest.fixture(scope='module')
def squares(tmp_path_factory):
    """An image with two squares of two classes."""
    folder = tmp_path_factory.mktemp('squares')
    (folder / 'images').mkdir()
    image = np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8)  # BGR
    annotations = []
    for number, (x, y, side) in enumerate([(16, 24, 40), (72, 64, 48)]):
        image[y:y + side, x:x + side] = 20
        annotations.append(dict(
            id=number + 1, image_id=1, category_id=number + 1, bbox=[x, y, side, side],
            area=float(side * side), iscrowd=0,
            segmentation=[[x, y, x + side, y, x + side, y + side, x, y + side]]))
    cv2.imwrite(str(folder / 'images' / 'a.png'), image)
    return write_json(folder / 'a.json', dict(
        images=[dict(id=1, file_name='a.png', width=SIDE, height=SIDE)], annotations=annotations,
        categories=[dict(id=1, name='one'), dict(id=2, name='two')]))


def drawn(config, ann):
    section, = network_sections(str(ROOT / 'configs' / config), ann, batches=1)
    return section, section.tiles[0]


FAMILIES = {
    'lordre/lordre_r18_giam_shapes.py': '2 of 20 queries learn an object',
    'lordre/lordre-places_r18_shapes.py': '2 objects',
    'solov2/solov2_r18_fpn_shapes.py': 'objects, ',
    'aggmask/aggmask_star_r18_fpn_shapes.py': 'objects, ',
    'polarmask/polarmask_r18_fpn_shapes.py': 'points'}


@pytest.mark.parametrize('config', FAMILIES)
def test_each_family(squares, config):
    section, tile = drawn(config, squares)
    assert section.group == 'network' and FAMILIES[config] in ' '.join(tile.lines)
    assert any('2 objects' in line for line in tile.lines)
    assert tile.picture.shape[0] == tile.picture.shape[1] >= SIDE


def test_rays_end_at_the_outline(squares):
    """The outline that the rays span is that of the squares, whichever way they are flipped."""
    _, tile = drawn('polarmask/polarmask_r18_fpn_shapes.py', squares)
    scale = tile.picture.shape[0] / SIDE
    # outlines are light, the ground is not
    light = tile.picture.astype(int).min(2) > 110
    rows, columns = np.nonzero(light)
    assert len(rows)
    low, high = min(16, 24) * scale, 120 * scale
    assert rows.min() > low - 8 * scale and columns.max() < high + 8 * scale


def test_the_picture_is_the_input(tmp_path):
    """Without augmentation: the colors of the file, with masks on them."""
    path = make_coco(tmp_path, count=4)
    section, = network_sections(write_config(tmp_path / 'tiny.py'), path, batches=1)
    for tile in section.tiles:
        name = tile.lines[0].rsplit('/', 1)[-1]
        image = cv2.imread(str(tmp_path / 'images' / name))[..., ::-1]
        factor = tile.picture.shape[1] / 64
        expected = cv2.resize(np.ascontiguousarray(image), None, fx=factor, fy=factor,
                              interpolation=cv2.INTER_CUBIC)
        same = np.abs(tile.picture[:48 * round(factor)].astype(int)
                      - expected.astype(int)).max(2) <= 2
        assert same.mean() > 0.35, name  # the rest is under masks
    background = next(t for t in section.tiles if ' 0 objects' in t.lines[1])
    assert '0 of 6 queries' in background.lines[2]


def test_more_objects_than_queries_are_said(squares, tmp_path):
    config = write_config(tmp_path / 'tiny.py', 'model["mask_head"]["num_queries"] = 1\n')
    section, = network_sections(config, squares, batches=1)
    assert section.tiles[0].lines[2] == '1 object more than the 1 queries: not learned'


def test_the_command(tmp_path, error_line, capsys):
    path = make_coco(tmp_path, count=4)
    config = write_config(tmp_path / 'tiny.py')
    page = browse([path, '--through', config, '--batches', '1', '--tiles', '2', '--out',
                   str(tmp_path / 'out')])
    out = capsys.readouterr().out
    assert page in out and 'index created' not in out
    assert 'What the network is given' in (tmp_path / 'out' / 'index.html').read_text()
    assert sorted((tmp_path / 'out').glob('*_network_batch_1.jpg'))
    assert 'nothing to draw' in error_line(browse, '--out', tmp_path / 'x')
    assert 'no such config' in error_line(browse, '--through', 'none.py', '--out', tmp_path / 'x')
    gone = "train_dataloader['dataset']['dataset'].update(ann_file='/gone/a.json')\n"
    assert 'no such file: /gone/a.json' in error_line(
        browse, '--through', write_config(tmp_path / 'moved.py', gone), '--out', tmp_path / 'x')
    assert '--cfg-options is for --through' in error_line(
        browse, path, '--out', tmp_path / 'x', '--cfg-options', 'a.b=1')


def test_the_data_are_opened_by_one_rule(tmp_path, monkeypatch):
    """What the network is given are the data that are drawn."""
    formats = []

    def opened(source, images=None, format=None):
        formats.append(format)
        return open_data(source, images, format)
    monkeypatch.setattr(own_data, 'open_data', opened)
    browse([make_coco(tmp_path, count=4), '--format', 'coco', '--through',
            write_config(tmp_path / 'tiny.py'), '--out', str(tmp_path / 'out')])
    assert formats == ['coco']


def test_a_config_that_cannot_be_built(tmp_path):
    path = make_coco(tmp_path, count=4)
    config = write_config(tmp_path / 'tiny.py', 'model["backbone"]["depth"] = 17\n')
    with pytest.raises(UserError, match=r'config .*tiny\.py: '):
        list(network_sections(config, path))
