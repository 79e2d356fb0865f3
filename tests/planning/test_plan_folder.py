"""The folder of a plan: nobody's files are replaced, and a plan that came to nothing is no plan."""
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmdet_lordre.cli import plan as plan_command
from mmdet_lordre.config.moved import follow_moved, moved_file
from mmdet_lordre.config.own_data import OwnData, Part
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError
from mmdet_lordre.planning import auto, run
from mmdet_lordre.planning.holdout import set_aside
from mmdet_lordre.planning.run import train_auto
from mmdet_lordre.segmenter import Segmenter
from mmdet_lordre.training import minutes

from .data import coco, square, write


@pytest.fixture
def data(tmp_path):
    return write(tmp_path, coco([[(square(2 + i, 3, 20), i % 2)] for i in range(6)], ('a', 'b'),
                                (64, 64)))


@pytest.fixture
def stopped(monkeypatch):
    """Planning stops after what it writes first, as where there is too little time."""
    def auto_config(own, work_dir, *args, **kwargs):
        (Path(work_dir) / 'plan' / 'train.json').write_text('of an attempt')
        raise UserError('0 s are left')
    monkeypatch.setattr(run, 'auto_config', auto_config)


def silent(*args, **kwargs):
    return train_auto(*args, say=lambda line: None, start=pytest.fail, **kwargs)


def test_files_that_no_plan_has_made_stay(data, tmp_path):
    notes = tmp_path / 'work' / 'plan' / 'plan.txt'
    notes.parent.mkdir(parents=True)
    notes.write_text('my own')
    with pytest.raises(UserError, match=re.escape(f'{notes} already exists and was not written')):
        silent(data, work_dir=str(tmp_path / 'work'), minutes=1)
    assert notes.read_text() == 'my own' and len(list(notes.parent.iterdir())) == 1


def test_data_are_not_replaced_by_a_part_of_themselves(data, tmp_path, stopped):
    plan = tmp_path / 'work' / 'plan'
    plan.mkdir(parents=True)
    own = plan / 'train.json'
    own.write_text(Path(data).read_text())
    before = own.read_text()
    where = dict(train_images=str(tmp_path), work_dir=str(tmp_path / 'work'), minutes=1)
    with pytest.raises(UserError, match='was not written by a plan'):
        silent(str(own), **where)
    (plan / 'asked.json').write_text('{}')  # an unfinished plan
    with pytest.raises(UserError, match='is both an input and an output'):
        silent(str(own), **where)
    assert own.read_text() == before


def test_a_plan_that_came_to_nothing_is_made_anew(data, tmp_path, stopped):
    work, plan = tmp_path / 'work', tmp_path / 'work' / 'plan'
    for family in ('lordre', ['solov2'], ('solov2',)):
        with pytest.raises(UserError, match='0 s are left'):
            silent(data, work_dir=work, minutes=0.05, families=family)
        assert json.loads((plan / 'asked.json').read_text())['--family'] == (
            ['lordre'] if family == 'lordre' else ['solov2'])
    with pytest.raises(UserError, match='0 s are left'):  # nothing to go on with
        silent(data, work_dir=work, minutes=1, resume=True)
    (plan / 'judged.json').write_text('')
    with pytest.raises(UserError, match='0 s are left'):
        silent(data, work_dir=work, minutes=1)
    assert not (plan / 'judged.json').exists()


def test_what_came_to_nothing_takes_no_name(data, tmp_path, monkeypatch, stopped):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match='no such'):
            silent('typo.json', minutes=1)
        assert not (tmp_path / 'work_dirs' / 'auto').exists()
    for _ in range(2):
        with pytest.raises(UserError, match='0 s are left'):
            silent(data, minutes=1)
    assert [p.name for p in (tmp_path / 'work_dirs').iterdir()] == ['auto']
    (tmp_path / 'work_dirs' / 'auto' / 'mine.txt').write_text('')
    with pytest.raises(UserError, match='0 s are left'):
        silent(data, minutes=1)
    assert len(list((tmp_path / 'work_dirs').iterdir())) == 2


def test_a_folder_of_data_is_no_folder_of_a_plan(data, tmp_path, stopped):
    plan = tmp_path / 'work' / 'plan'
    plan.mkdir(parents=True)
    for name, text in (('train.json', Path(data).read_text()), ('asked.json', '{}')):
        (plan / name).write_text(text)
    with pytest.raises(UserError, match='is both an input and the output of this run'):
        silent(data=str(plan), work_dir=tmp_path / 'work', minutes=1)
    assert (plan / 'train.json').read_text()


def test_too_little_time_is_said_before_anything_is_written(tmp_path, data, monkeypatch):
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: 60.))
    said = []
    with pytest.raises(UserError, match='0 s are left after reading the data: allow more minutes'):
        train_auto(data, work_dir=str(tmp_path / 'work'), minutes=1, families='lordre',
                   size='nano', began=0., say=said.append, start=pytest.fail)
    assert not any('would take too long' in line for line in said)
    assert {p.name for p in (tmp_path / 'work' / 'plan').iterdir()} == {
        'asked.json', 'train.json', 'val.json'}


def test_a_plan_that_came_too_late_is_kept(data, tmp_path, monkeypatch):
    def demand_time(*args, after='planning'):
        if after == 'planning':
            raise UserError('no time is left')
    monkeypatch.setattr(auto, 'demand_time', demand_time)
    monkeypatch.setattr(auto, 'make_plan', partial(auto.make_plan, measured=False))
    work = tmp_path / 'work'
    kept = [work / name / 'planned.py' for name in ('plan-late', 'plan-late-2')]
    for path in kept:
        with pytest.raises(UserError, match=re.escape(
                f'no time is left; what was planned is kept, and trained by lordre train {path}')):
            silent(data, work_dir=str(work), minutes=1, families='lordre', size='nano')
        cfg = load_config(str(path))
        for name in ('train', 'val'):
            assert cfg[f'{name}_dataloader'].dataset.ann_file == str(path.with_name(f'{name}.json'))
            assert path.with_name(f'{name}.json').read_text() == (
                work / 'plan' / f'{name}.json').read_text()
        assert 'Lordre' in path.with_name('plan.txt').read_text()
        assert not (work / 'plan' / 'planned.py').exists()
        assert run.free_folder(str(work)) == str(work)  # it takes no name
    # data of others stay where they are
    with pytest.raises(UserError, match=re.escape('plan-late-3/planned.py')):
        silent(data, data, work_dir=str(work), minutes=1, families='lordre', size='nano')
    cfg = load_config(str(work / 'plan-late-3' / 'planned.py'))
    assert cfg.val_evaluator.ann_file == cfg.train_dataloader.dataset.ann_file == data


@pytest.mark.parametrize('asked, given, said', [
    ({}, dict(pretrained='a.pth'), '--pretrained .*without it'),
    ({'--pretrained': '/there/a.pth'}, dict(pretrained='none'), 'for /there/a.pth; leave'),
    ({}, dict(keep_empty_classes=True), '--keep-empty-classes True.*without it'),
    (None, dict(families='solov2'), '--family .*without it'),
])
def test_it_goes_on_with_what_was_planned(data, tmp_path, asked, given, said):
    plan = tmp_path / 'work' / 'plan'
    plan.mkdir(parents=True)
    (plan / 'planned.py').write_text('')
    if asked is not None:
        (plan / 'asked.json').write_text(json.dumps(asked))
    with pytest.raises(UserError, match=said):
        silent(work_dir=tmp_path / 'work', minutes=1, resume=True, **given)


def test_the_time_for_judging_is_kept_with_the_plan(tmp_path):
    assert auto.clock_of_plan(str(tmp_path)) == {}
    (tmp_path / 'plan.json').write_text('{"seconds_to_judge": 12.5, "seconds_a_step": 0.25, '
                                        '"minutes": 5}')
    assert auto.clock_of_plan(str(tmp_path)) == dict(validation=12.5, step=0.25, minutes=5)
    for text, known in (('{"seconds_to_train": 200.5}', dict(seconds=200.5)),
                        ('{"family": "lordre", "minutes": 5}', dict(minutes=5)),  # an earlier one
                        ('{"minutes": NaN, "seconds_a_step": 1}', dict(step=1)),
                        ('{"minutes": -5}', {}), ('{"minutes": "x"}', {}), ('[]', {}),
                        ('{', {})):
        (tmp_path / 'plan.json').write_text(text)
        assert auto.clock_of_plan(str(tmp_path)) == known


@pytest.mark.parametrize('options, said', [
    (dict(minutes='5'), "minutes must be a number above 0, not '5'"),
    (dict(minutes=True, seed=2**32),
     'seed must be an integer from 0 to 4294967295, not 4294967296'),
    (dict(minutes=0), 'minutes must be a number above 0, not 0'),
    (dict(seed=-1), 'seed must be an integer from 0 to 4294967295, not -1'),
    (dict(size='tiny'), "there is no size 'tiny'; there are nano, small"),
    (dict(families=['lordre', 'yolo']), "there is no family 'yolo'; there are lordre"),
    (dict(families=5), 'families must be a name or a list of names, not 5'),
    (dict(families=[['lordre']]), "there is no family ['lordre']; there are lordre"),
    (dict(train_images=5), 'train_images'), (dict(pretrained=5), 'pretrained'),
    (dict(device='cuda:77'), 'device cuda:77: this machine'),
])
def test_wrong_values_are_said_before_anything_is_read(data, tmp_path, options, said):
    with pytest.raises(UserError, match=re.escape(said)):
        Segmenter.train(data, work_dir=tmp_path / 'work', **options)
    assert not (tmp_path / 'work' / 'plan').exists()


def test_images_of_nothing(data, tmp_path):
    with pytest.raises(UserError, match='--val-images needs --val-ann'):
        silent(data, work_dir=tmp_path / 'work', val_images='x')


def test_images_that_are_elsewhere(data, tmp_path, monkeypatch):
    (tmp_path / 'elsewhere').mkdir()
    for image in tmp_path.glob('*.png'):
        image.rename(tmp_path / 'elsewhere' / image.name)
    seen = []

    def end(own, *args, **kwargs):
        seen.append(own.train.images)
        raise UserError('planned')
    monkeypatch.setattr(run, 'auto_config', end)
    with pytest.raises(UserError, match='planned'):
        Segmenter.train(data, train_images=tmp_path / 'elsewhere', minutes=1,
                        work_dir=tmp_path / 'work')
    assert seen == [str(tmp_path / 'elsewhere')]


@pytest.mark.parametrize('options, said', [
    (['--val-images', 'x'], '--val-images needs --val'),
    (['--no-cost', '--memory', '2'], 'leave out --no-cost'),
    (['--minutes', '-1', '--out', 'OUT'], '--minutes must be more than 0'),
    (['--out', '/proc/x.py'], '/proc/x.py cannot be written'),
])
def test_what_a_plan_cannot_do_is_said_first(data, tmp_path, monkeypatch, options, said):
    monkeypatch.setattr(plan_command, '_own_data', pytest.fail)
    out = str(tmp_path / 'new' / 'my.py')
    with pytest.raises(UserError, match=re.escape(said)):
        plan_command.main([data, *(out if o == 'OUT' else o for o in options)])
    assert not Path(out).parent.exists()


def test_a_part_to_test_on_is_what_is_tested_on(tmp_path):
    images = [[(square(2 + i, 3, 20), 0)] for i in range(6)]
    own = {part: write(tmp_path / 'data' / part, coco(images, size=(64, 64)),
                       '_annotations.coco.json') for part in ('train', 'val', 'test')}
    out = tmp_path / 'my.py'
    plan_command.main([str(tmp_path / 'data'), '--no-cost', '--family', 'lordre', '--out',
                       str(out)])
    cfg = load_config(str(out))
    for part in own:
        assert cfg[f'{part}_dataloader'].dataset.ann_file == own[part]
        assert part == 'train' or cfg[f'{part}_evaluator'].ann_file == own[part]
    assert cfg.test_dataloader.dataset.test_mode
    # and where validation images are set aside
    train, test = Part(own['train'], str(tmp_path / 'data' / 'train')), Part(own['test'], '')
    aside, _ = set_aside(OwnData(train, None, test, ('thing',)), str(tmp_path))
    assert aside.other_test == test
    assert set_aside(OwnData(train, None, None, ('thing',)), str(tmp_path))[0].other_test is None


def test_a_folder_that_was_moved(tmp_path):
    new = tmp_path / 'new'
    (new / 'plan').mkdir(parents=True)
    (new / 'plan' / 'val.json').write_text('')
    there = tmp_path / 'a.json'
    there.write_text('')
    cases = {'/old/work/plan/val.json': str(new / 'plan' / 'val.json'),
             '/old/plan/work/plan/val.json': str(new / 'plan' / 'val.json'),
             '/old/work/plan/none.json': '/old/work/plan/none.json',
             '/old/work/val.json': '/old/work/val.json',
             'plan/val.json': 'plan/val.json', str(there): str(there)}
    for before, after in cases.items():
        said = []
        assert moved_file(before, new, say=said.append) == after
        assert len(said) == (before != after)
    # a copy reads its own, whether the other is still there or another run has its name
    original = tmp_path / 'run' / 'plan' / 'val.json'
    original.parent.mkdir(parents=True)
    original.write_text('of another run')
    assert moved_file(str(original), new, 'run', lambda line: None) == str(
        new / 'plan' / 'val.json')
    assert moved_file(str(original), original.parents[1], 'run', pytest.fail) == str(original)
    # of another folder than the run's
    assert moved_file(str(original), new, 'mine') == str(original)
    assert moved_file('/old/work/plan/val.json', new, 'run') == '/old/work/plan/val.json'
    cfg = run.Config(dict(
        work_dir='somewhere/work',
        a=dict(dataset=dict(dataset=dict(ann_file='/old/work/plan/val.json'))),
        b=[dict(ann_file='/old/work/plan/val.json'), dict(ann_file=None)]))
    follow_moved(cfg, new)
    assert cfg.a.dataset.dataset.ann_file == cfg.b[0].ann_file == str(new / 'plan' / 'val.json')
