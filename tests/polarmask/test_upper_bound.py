import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mmdet_lordre.cli.polar_upper_bound import main
from mmdet_lordre.polarmask import PolarRayCoder
from mmdet_lordre.polarmask.upper_bound import PolarUpperBound

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'polar_upper_bound.py'


def ring(radius, inner):
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    circle = np.stack((np.cos(angle), np.sin(angle)), 1)
    outer, hole = 100 + radius * circle, 100 + inner * circle[::-1]
    # one polygon that goes round the hole the other way
    return np.concatenate((outer, outer[:1], hole, hole[:1])).ravel().tolist()


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """A disc of class 1 and a thin ring of class 2, and a crowd that does not count."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    disc = (100 + 70 * np.stack((np.cos(angle), np.sin(angle)), 1)).ravel().tolist()
    anns = [dict(id=1, image_id=1, category_id=1, segmentation=[disc], bbox=[30, 30, 140, 140],
                 area=15394, iscrowd=0),
            dict(id=2, image_id=2, category_id=2, segmentation=[ring(70, 60)],
                 bbox=[30, 30, 140, 140], area=4084, iscrowd=0),
            dict(id=3, image_id=2, category_id=2, bbox=[0, 0, 9, 9], area=81, iscrowd=1,
                 segmentation=dict(size=[200, 200], counts=[0, 9, 39991]))]
    path = tmp_path_factory.mktemp('bound') / 'annotations.json'
    path.write_text(json.dumps(dict(
        images=[dict(id=i, width=200, height=200, file_name=f'{i}.jpg') for i in (1, 2)],
        annotations=anns, categories=[dict(id=1, name='disc'), dict(id=2, name='ring')])))
    return path


def test_a_disc_is_drawn_and_a_ring_is_lost(file):
    bound = PolarUpperBound(COCO(str(file)))
    assert len(bound.anns) == 2
    result = bound.evaluate(PolarRayCoder(72), 'rounded')
    (disc, disc_ap, disc_iou), (ring_, ring_ap, ring_iou) = result['classes']
    assert (disc, ring_) == ('disc', 'ring')
    assert disc_iou > 0.97 and disc_ap > 0.9
    # what rays draw of a ring is the disc: its share is the area of the ring
    assert ring_ap == 0 and ring_iou == pytest.approx(1 - (60 / 70) ** 2, abs=0.03)
    assert result['mIoU'] == pytest.approx((disc_iou + ring_iou) / 2)
    assert bound.evaluate(PolarRayCoder(18))['classes'][0][2] < disc_iou
    _, (_, ring_ap, ring_iou) = PolarUpperBound(COCO(str(file)), holes=True).evaluate(
        PolarRayCoder(72), 'rounded')['classes']
    assert ring_ap >= 0.8 and ring_iou > 0.9


@pytest.mark.parametrize('counts', [[40000], [40000, 0], [99, 0, 39901]], ids=str)
def test_an_empty_mask_has_no_contour(file, tmp_path, counts):
    data = json.loads(file.read_text())
    data['annotations'].append(dict(
        data['annotations'][0], id=9, segmentation=dict(size=[200, 200], counts=counts)))
    (tmp_path / 'a.json').write_text(json.dumps(data))
    assert len(PolarUpperBound(COCO(str(tmp_path / 'a.json'))).anns) == 2


def test_the_tool_prints_a_line_for_each(file):
    done = subprocess.run([sys.executable, TOOL, file, '--rays', '18', '36', '--per-class'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith('2 instances')
    assert [line.split()[:2] for line in lines if line.split()[0] in ('18', '36')] == [
        ['18', 'published'], ['18', 'wrapped'], ['36', 'published'], ['36', 'wrapped']]
    assert sum('ring' in line for line in lines) == 4


@pytest.mark.parametrize('text', [None, '{', '[]', '{"images": [], "annotations": []}',
                                  '{"images": [], "annotations": [], "categories": []}'])
def test_bad_files_are_one_line_errors(tmp_path, text, error_line):
    path = tmp_path / 'bad.json'
    if text is not None:
        path.write_text(text)
    assert str(path) in error_line(main, path)


def test_the_tool_draws_holes(file, capsys):
    main([str(file), '--rays', '72', '--per-class', '--holes'])
    line, = (line for line in capsys.readouterr().out.splitlines() if 'ring' in line)
    assert float(line.split()[2]) >= 0.8


def test_rays_with_holes_are_exact(file, error_line):
    assert '--rule both' in error_line(main, file, '--holes', '--rule', 'both')


def test_a_bad_number_of_rays_is_named(file, error_line):
    assert 'divisor of 360' in error_line(main, file, '--rays', 35)
