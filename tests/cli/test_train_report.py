"""What a training leaves behind for those who look: the report, and files for other programs."""
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from mmdet_lordre.cli import train as module
from mmdet_lordre.cli.report import main as report
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError

from ..on_device import DEVICE
from .tiny import write_config


def options(data, tmp_path, name):
    return [write_config(tmp_path / f'{name}.py'), '--train-ann', f'{data}/train.json',
            '--val-ann', f'{data}/val.json', '--work-dir', f'{tmp_path}/{name}', '--seed', '1']


@pytest.fixture(scope='module')
def reported(data, tmp_path_factory):
    """(work folder, figures of the last validation) of an epoch, and another after a resume."""
    folder = tmp_path_factory.mktemp('reported')
    train([*options(data, folder, 'run'), '--no-report'])
    runner = train([*options(data, folder, 'run'), '--resume', '--cfg-options',
                    'train_cfg.max_epochs=2'])
    scalars = runner.message_hub.log_scalars
    return folder / 'run', {key: value.current() for key, value in scalars.items()
                            if 'segm_mAP' in key}


def test_the_report_of_a_training(reported, data):
    work, figures = reported
    assert {p.name for p in (work / 'report').iterdir()} == {
        'report.html', 'report.json', 'thresholds.json', 'results.segm.json', 'origin.json'}
    numbers = json.loads((work / 'report' / 'report.json').read_text())
    model = numbers['models'][0]
    assert {f'val/coco/segm_{key}': value for key, value in model['figures'].items()
            if key.startswith('mAP')} == figures  # to the last digit
    # nothing is lost and nothing twice, though the validation of the first epoch was made again
    assert len(numbers['run']['starts']) == 2
    assert numbers['run']['training']['loss']['step'] == [1, 2, 3, 4, 5, 6]
    assert numbers['run']['validation']['segm_mAP']['step'] == [3, 6]
    page = (work / 'report' / 'report.html').read_text()
    assert 'epoch_2.pth' in page and 'data:image/jpeg' in page
    hardware = 'cpu (' if DEVICE == 'cpu' else torch.cuda.get_device_name()
    for fact in ('<th>resumed</th>', 'Lordre (0.1 M parameters)', hardware, 'torch 2', 'train.json',
                 'num_queries=6'):
        assert fact in page, fact


def test_who_trains_with_the_config_that_is_kept_begins_anew(reported):
    """Also after a resume, which is not what that file says."""
    cfg = load_config(str(reported[0] / 'run.py'))
    assert cfg.train_cfg.max_epochs == 2 and not cfg.resume and cfg.load_from is None


def test_a_refused_resume_changes_nothing(reported, data, tmp_path):
    """The classes of the checkpoint are not those of the config."""
    work = tmp_path / 'run'
    shutil.copytree(reported[0], work)
    before = {path: path.read_bytes() for path in work.glob('*.py')}
    other = json.loads((data / 'train.json').read_text())
    other['categories'].append(dict(id=77, name='another'))
    other['annotations'][0]['category_id'] = 77
    for part in ('train', 'val'):
        (tmp_path / f'{part}.json').write_text(json.dumps(other))
    with pytest.raises(UserError, match='labels would change their meaning'):
        train([write_config(tmp_path / 'run.py'), '--work-dir', str(work), '--resume',
               '--train-ann', f'{tmp_path}/train.json', '--val-ann', f'{tmp_path}/val.json',
               '--train-images', f'{data}/train', '--val-images', f'{data}/train'])
    assert before == {path: path.read_bytes() for path in work.glob('*.py')}


def test_results_are_not_judged_by_other_images(reported, data, tmp_path):
    """That have the same numbers."""
    other = json.loads((data / 'val.json').read_text())
    for image in other['images']:
        image['file_name'] = f'other_{image["file_name"]}'
    (tmp_path / 'other.json').write_text(json.dumps(other))
    with pytest.raises(UserError, match=r'other_.* is another image than that of its number in .*'
                                        'val.json, which the results of'):
        report([str(reported[0]), '--ann', f'{tmp_path}/other.json', '--out', f'{tmp_path}/out'])


def test_the_same_again_by_hand_and_against_itself(reported):
    work, _ = reported
    before = json.loads((work / 'report' / 'report.json').read_text())
    report([str(work), '--against', str(work / 'report' / 'results.segm.json')])
    after = json.loads((work / 'report' / 'report.json').read_text())
    assert after['models'][0] == dict(before['models'][0], name=after['models'][0]['name'])
    assert len(after['models']) == 2 and not after['comparisons'][0]['rows'][0]['real']


def test_two_trainings_in_a_process_have_scalars_of_their_own(reported, data, tmp_path):
    train([*options(data, tmp_path, 'second'), '--no-report'])
    assert not (tmp_path / 'second' / 'report').exists()
    for work, runs in ((reported[0], 2), (tmp_path / 'second', 1)):
        files = list(work.glob('*/vis_data/scalars.json'))
        assert len(files) == runs
        for scalars in files:
            assert sum('"loss"' in line for line in scalars.read_text().splitlines()) == 3


def test_a_report_that_fails_is_a_line(data, tmp_path, capsys, monkeypatch):
    def fail(*args):
        raise RuntimeError('something\nbroke')
    monkeypatch.setattr('mmdet_lordre.reporting.after_training.write_report', fail)
    runner = train(options(data, tmp_path, 'run'))
    assert runner.epoch == 1
    out = capsys.readouterr().out
    assert 'warning: the report could not be written: something broke' in out and 'Done.' in out


@pytest.mark.parametrize('option, package', [
    ('--tensorboard', 'tensorboard'), ('--mlflow', 'mlflow'), ('--wandb=offline', 'wandb')])
def test_a_missing_package_is_said_before_anything_begins(option, package, data, tmp_path,
                                                          monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name, *a: None if name == package else find(name, *a))
    monkeypatch.setattr(module, '_train', lambda *a: pytest.fail('training began'))
    with pytest.raises(UserError, match=f'needs the package {package}: pip install {package}'):
        train([*options(data, tmp_path, 'run'), option])


def test_tensorboard(data, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    train([*options(data, tmp_path, 'run'), '--tensorboard', '--no-report'])
    event, = Path(tmp_path / 'run').rglob('events.out.tfevents.*')
    events = EventAccumulator(str(event)).Reload()
    assert [e.step for e in events.Scalars('loss')] == [1, 2, 3]
    assert 'coco/segm_mAP' in events.Tags()['scalars']


@pytest.mark.long
def test_mlflow(data, tmp_path):
    pytest.importorskip('mlflow')
    train([*options(data, tmp_path, 'run'), '--mlflow', '--no-report'])
    metrics, = {p.parent for p in (tmp_path / 'run' / 'mlruns').rglob('metrics/loss')}
    assert len((metrics / 'loss').read_text().splitlines()) == 3
    assert (metrics / 'coco' / 'segm_mAP').is_file()


@pytest.mark.long
def test_wandb_offline(data, tmp_path):
    pytest.importorskip('wandb')
    train([*options(data, tmp_path, 'run'), '--wandb', 'offline', '--no-report'])
    run, = (tmp_path / 'run').rglob('run-*.wandb')
    assert run.stat().st_size > 500


def test_a_terminal_gets_one_line(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    train([*options(data, tmp_path, 'run'), '--no-report'])
    out = capsys.readouterr().out
    lines = out.split('\n')
    assert 'Epoch(train)' not in out and '3/3' in out and '\r' in out
    assert any('segm_mAP' in line for line in lines)  # validations stay
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert log.count('Epoch(train)') == 3 and 'Exp name' not in log
