"""Training, testing and checking on data that are no COCO file."""
import json
import re
from pathlib import Path

import pytest

from mmdet_lordre.cli.check_dataset import main as check
from mmdet_lordre.cli.report import main as report
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.checks import check_data
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.datasets.coco_file import read_annotations
from mmdet_lordre.errors import UserError
from mmdet_lordre.planning.objects import read_objects

from ..datasets.formats import exports
from ..datasets.formats.quirks import EVERY
from .tiny import write_config


@pytest.fixture
def run(tmp_path, capsys):
    """Train on an export; returns (runner, what was said)."""
    def start(write, *options, change=None):
        source, _ = write(tmp_path / 'set')
        if change is not None:
            change(source)
        runner = train([write_config(tmp_path / 'tiny.py'), '--work-dir', f'{tmp_path}/work',
                        *[option.replace('SET', str(source)) for option in options]])
        return runner, capsys.readouterr().out
    return start


def test_all_parts_at_once(run, tmp_path):
    runner, said = run(exports.supervisely, '--data', 'SET')
    assert runner.iter == 1
    assert 'read as Supervisely (3 images, 4 objects)' in said
    files = sorted(path.name for path in (tmp_path / 'work' / 'converted').iterdir())
    assert len(files) == 2 and all(name.startswith('set-') for name in files)
    dataset = runner.cfg.val_dataloader.dataset
    assert Path(dataset.ann_file).parent == tmp_path / 'work' / 'converted'
    assert list(dataset.metainfo.classes) == ['dog', 'cat']
    figures = run_test([f'{tmp_path}/tiny.py', f'{tmp_path}/work/epoch_1.pth', '--data',
                        f'{tmp_path}/set', '--work-dir', f'{tmp_path}/test', '--eval', 'segm',
                        '--json-out', f'{tmp_path}/r'])
    report([f'{tmp_path}/r.segm.json', '--ann', f'{tmp_path}/set', '--resamples', '2'])
    numbers = json.loads((tmp_path / 'r.segm_report' / 'report.json').read_text())
    assert numbers['models'][0]['figures']['mAP'] == figures['coco/segm_mAP']
    report([f'{tmp_path}/r.segm.json', '--ann', dataset.ann_file, '--resamples', '2', '--out',
            f'{tmp_path}/of the copy'])
    numbers = json.loads((tmp_path / 'of the copy' / 'report.json').read_text())
    assert numbers['data']['ann'] == f'{tmp_path}/set'
    assert not list((tmp_path / 'set').rglob('*.json.tmp'))


def test_two_sources_of_different_formats(run, tmp_path):
    exports.labelme(tmp_path / 'val')
    runner, said = run(exports.cvat_xml, '--train-ann', 'SET/annotations.xml', '--val-ann',
                       f'{tmp_path}/val')
    assert runner.iter == 1 and 'read as CVAT XML' in said and 'read as LabelMe' in said


def test_messages_name_what_was_given(tmp_path):
    """Not the COCO file made of it, which an evaluation or a plan removes again."""
    source, _ = exports.cvat_xml(tmp_path / 'set')
    given = f'{source}/annotations.xml'
    cfg = load_config(write_config(tmp_path / 'tiny.py'))
    use_own_data(cfg, given, folder=f'{tmp_path}/converted', say=str)
    min(source.rglob('*.jpg')).unlink()
    said = []
    check_data(cfg, ('train',), skip_bad=True, clean_to=f'{tmp_path}/clean', warn=said.append)
    assert said[0] == f'left out: image missing on disk: {source}/images/a.jpg, named in {given}'
    assert said[-1].startswith(f'{given}: ') and not any('converted' in line for line in said)
    with pytest.raises(UserError, match=re.escape(f', named in {given}; fix or replace it')):
        check_data(cfg, ('train',))
    file = cfg.train_dataloader.dataset.dataset.ann_file
    empty = dict(read_annotations(file), annotations=[])
    with pytest.raises(UserError, match=f'^{re.escape(given)}: '):
        read_objects(empty, file, str(source))


def test_a_byte_order_mark(run):
    """COCO's own reader stops at it."""
    runner, said = run(exports.mmdet, '--data', 'SET', change=EVERY['byte-order mark'])
    assert runner.iter == 1 and 'a byte-order mark before its JSON' in said


def test_classes_without_objects(run, tmp_path):
    runner, said = run(exports.roboflow, '--data', 'SET')
    assert 'classes without any object are left out of the model: pets' in said
    assert runner.model.mask_head.num_classes == 2
    runner, said = run(exports.roboflow, '--data', 'SET', '--keep-empty-classes',
                       '--overwrite')
    assert runner.model.mask_head.num_classes == 3 and 'left out of the model' not in said


def test_options_that_exclude_each_other(run):
    with pytest.raises(UserError, match='--data holds all parts'):
        run(exports.yolo, '--data', 'SET', '--train-ann', 'SET')


def test_check(tmp_path, capsys):
    source, _ = exports.mmdet(tmp_path / 'set')
    path = source / 'annotations' / 'instances_val2017.json'
    data = json.loads(path.read_text())
    data['annotations'][0]['bbox'] = [1]
    path.write_text(json.dumps(data))
    with pytest.raises(SystemExit):
        check([str(source)])
    out = capsys.readouterr().out
    assert 'train: ' in out and 'val: ' in out and 'bad box' in out
