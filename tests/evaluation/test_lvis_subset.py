"""The LVIS-cocofied file, made by the real script from files of both versions."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmdet_lordre.cli.prepare_cocofied_lvis import main
from mmdet_lordre.evaluation.lvis_cocofied_subset import COCO_CATEGORIES, cocofied, write_cocofied

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'prepare_cocofied_lvis.py'
VAL, TRAIN = ('http://images.cocodataset.org/val2017/', 'http://images.cocodataset.org/train2017/')


def lvis(version=0.5):
    """Five categories, three of which COCO has; four images."""
    categories = [(7, 'aerosol_can', 'aerosol.n.02', 'c'), (12, 'cow', 'beef.n.01', 'f'),
                  (30, 'hair_dryer', 'hand_blower.n.01', 'c'), (805, 'person', 'person.n.01', 'f'),
                  (1100, 'suitcase', 'bag.n.06', 'r')]
    # categories that the image has not, and those not annotated exhaustively
    images = [(1, VAL, [7, 1100], [805]), (2, VAL, [], [7]), (3, VAL, [805], []),
              (4, TRAIN, [30], [])]
    annotations = [(40, 1, 12), (41, 1, 7), (42, 2, 805), (50, 4, 30)]
    data = dict(
        info=dict(version=version), licenses=[],
        categories=[dict(id=i, name=name, synset=synset, frequency=frequency, image_count=3)
                    for i, name, synset, frequency in categories],
        images=[dict(id=i, height=60, width=80, coco_url=f'{folder}{i:012}.jpg',
                     neg_category_ids=negative, not_exhaustive_category_ids=open_)
                for i, folder, negative, open_ in images],
        annotations=[dict(id=i, image_id=image, category_id=category, area=12.0,
                          bbox=[1, 1, 4, 3], segmentation=[[1, 1, 5, 1, 5, 4, 1, 4]])
                     for i, image, category in annotations])
    if version == 0.5:
        # v0.5 validates on val2017 alone, and does not say where an image is
        data['images'] = data['images'][:3]
        data['annotations'] = data['annotations'][:3]
        for image in data['images']:
            del image['coco_url']
            image['file_name'] = f'COCO_val2014_{image["id"]:012}.jpg'
    return data


@pytest.mark.parametrize('version', [0.5, 1])
def test_the_script(tmp_path, version, capsys):
    source, out = tmp_path / 'lvis.json', tmp_path / 'sub' / 'out.json'
    source.write_text(json.dumps(lvis(version)))
    if version == 1:
        done = subprocess.run([sys.executable, str(SCRIPT), source, out], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    else:
        main([str(source), str(out)])
        said = capsys.readouterr().out
    assert '3 images, 2 annotations, 3 of 80 categories' in said
    data = json.loads(out.read_text())
    # the cow is 21 in COCO, the person 1, the suitcase (mentioned alone) 33
    assert [(c['id'], c['name'], c['lvis_name'], c['frequency']) for c in data['categories']] == [
        (1, 'person', 'person', 'f'), (21, 'cow', 'cow', 'f'), (33, 'suitcase', 'suitcase', 'r')]
    assert [(a['id'], a['image_id'], a['category_id']) for a in data['annotations']] == [
        (1, 1, 21), (2, 2, 1)]
    assert data['annotations'][0]['segmentation'] == [[1, 1, 5, 1, 5, 4, 1, 4]]
    assert data['annotations'][0]['area'] == 12.0
    assert [i['neg_category_ids'] for i in data['images']] == [[33], [], [1]]
    assert [i['not_exhaustive_category_ids'] for i in data['images']] == [[1], [], []]
    assert not list(out.parent.glob('*.part'))


def test_all_splits():
    data = cocofied(lvis(1), None)
    assert [c['id'] for c in data['categories']] == [1, 21, 33, 89]
    assert len(data['images']) == 4


@pytest.mark.parametrize('change, message', [
    (lambda data: data.pop('annotations'), "no 'annotations'"),
    (lambda data: [c.pop('synset') for c in data['categories']], "no 'synset'"),
    (lambda data: [i.pop('neg_category_ids') for i in data['images']], "'neg_category_ids'"),
    (lambda data: [i.update(coco_url=TRAIN) for i in data['images']], 'no image of the file'),
    (lambda data: data.update(categories=data['categories'][:1]), 'no COCO category'),
])
def test_other_files_are_refused(tmp_path, change, message):
    data = lvis(1)
    change(data)
    source, out = tmp_path / 'lvis.json', tmp_path / 'out.json'
    source.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as error:
        write_cocofied(source, out)
    assert str(error.value).startswith(str(source))
    assert not out.exists()


def test_missing_broken_and_overwriting(tmp_path, error_line):
    source = tmp_path / 'lvis.json'
    with pytest.raises(FileNotFoundError, match='no such file'):
        write_cocofied(source, tmp_path / 'out.json')
    source.write_text('{"images": [')
    assert error_line(main, source, tmp_path / 'out.json').startswith(f'error: {source}')
    source.write_text(json.dumps(lvis()))
    with pytest.raises(ValueError, match='another file'):
        write_cocofied(source, source)
    assert json.loads(source.read_text()) == lvis()


def test_the_source_is_not_changed():
    data = lvis(1)
    cocofied(data)
    assert data == lvis(1)


def test_the_table_is_of_coco():
    assert len(COCO_CATEGORIES) == 80
    names = dict(COCO_CATEGORIES)
    assert (names[1], names[13], names[62], names[90]) == ('person', 'stop sign', 'chair',
                                                          'toothbrush')
