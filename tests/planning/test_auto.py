"""``lordre train --auto``: from annotations to a folder that is a model."""
import functools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper

from mmdet_lordre.cli import train as command
from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.config.formatted import FormattedOnce
from mmdet_lordre.config.own_data import OwnData, Part
from mmdet_lordre.errors import UserError
from mmdet_lordre.models import build_model
from mmdet_lordre.planning import run
from mmdet_lordre.planning.holdout import set_aside
from mmdet_lordre.segmenter import Segmenter
from mmdet_lordre.training import minutes
from mmdet_lordre.training.bfloat16 import BFloat16OptimWrapper

from ..coco_ap import mask_ap
from ..datasets.pictures import texture
from .data import coco, square, write


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return [[(square(*rng.integers(2, 40, 2).tolist(), int(rng.integers(10, 22))), i % 2)]
            for i in range(count)]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp('auto'), coco(pictures(12), ('a', 'b'), (64, 64)))


@pytest.fixture
def quick(monkeypatch):
    """However long planning takes here, six seconds are left to train."""
    monkeypatch.setattr(command, 'beginning', lambda: 0.)
    monkeypatch.setattr(run, 'time', SimpleNamespace(monotonic=lambda: 0.))
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: 3.))
    return '0.2'


def test_a_model_from_annotations_alone(data, quick, tmp_path, capsys, monkeypatch):
    work = tmp_path / 'work'
    runner = command.main(['--auto', '--train-ann', data, '--minutes', quick, '--size', 'nano',
                           '--family', 'solov2', '--work-dir', str(work), '--seed', '3'])
    said = capsys.readouterr().out
    # what was measured as the faster one is what has trained
    planned = (work / 'plan' / 'planned.py').read_text()
    assert isinstance(runner.optim_wrapper, (BFloat16OptimWrapper, AmpOptimWrapper)) == (
        '# bfloat16 was faster here' in planned)
    assert runner.model.backbone.layer1[0].conv1.weight.is_contiguous(
        memory_format=torch.channels_last) == ("'ChannelsLastHook'" in planned)
    assert 'images are set aside for validation' in said and 'recommended' in said
    assert said.count(' can be learned: ') == 1
    # the plan, with its comments, and the files that it divided
    plan = work / 'plan'
    assert 'fitted by' in (plan / 'planned.py').read_text()
    assert json.loads((plan / 'plan.json').read_text())['family'] == 'solov2'
    parts = [json.loads((plan / f'{name}.json').read_text())['images'] for name in ('train', 'val')]
    assert sorted(i['id'] for part in parts for i in part) == list(range(1, 13))
    # trained, judged, and a model by its folder alone
    assert list(work.glob('best_*.pth')) or list(work.glob('iter_*.pth'))
    log, = work.glob('*/*.log')
    assert 'Best mask AP on the validation images' in log.read_text()
    model = build_model(work, device='cpu')
    assert model.dataset_meta['classes'] == ('a', 'b')
    moved = work.rename(tmp_path / 'moved')
    figures = Segmenter(moved, device='cpu').evaluate(json_out=str(tmp_path / 'r'))
    assert figures['coco/segm_mAP'] == pytest.approx(
        mask_ap(moved / 'plan' / 'val.json', tmp_path / 'r.segm.json'), abs=1e-6)
    moved.rename(work)
    assert isinstance(runner.cfg, FormattedOnce)
    with pytest.raises(SystemExit):
        one_line_errors(command.main)(['--auto', '--train-ann', data, '--work-dir', str(work)])
    assert 'already has a plan' in capsys.readouterr().err
    # what it goes on with is what it was planned for
    for options, said in ((['--train-ann', str(plan / 'val.json')], f'made for {data}; leave'),
                          (['--size', 'small'], '--size small: '),
                          (['--train-ann', data, '--val-ann', data], 'made without it')):
        with pytest.raises(UserError, match=re.escape(said)):
            run.train_auto(work_dir=str(work), resume=True, start=pytest.fail,
                           **{option[2:].replace('-', '_'): value for option, value in
                              zip(options[::2], options[1::2])})
    begun, lines = [], []
    found = json.loads((plan / 'plan.json').read_text())
    assert found['seconds_to_train'] == 6
    (plan / 'plan.json').write_text(json.dumps(found | dict(seconds_to_train=5)))
    with pytest.raises(AttributeError):  # a runner that is none
        run.train_auto(data, work_dir=str(work), resume=True, start=begun.append, minutes=1,
                       say=lines.append)
    with pytest.raises(AttributeError):
        run.train_auto(work_dir=str(work), resume=True, start=begun.append, say=lines.append)
    monkeypatch.setattr(run, 'checkpoints_of', lambda folder: [])  # nothing to go on from
    with pytest.raises(AttributeError):
        run.train_auto(work_dir=str(work), resume=True, start=begun.append)
    assert [hook.seconds for cfg in begun for hook in cfg.custom_hooks
            if hook.type == 'TimedSchedule'] == [54, 5, 6]  # of those that it was planned for
    assert [cfg.resume for cfg in begun] == [True, True, False]
    hook, = (hook for hook in begun[0].custom_hooks if hook.type == 'TimedSchedule')
    assert hook.validation_seconds >= 2 and hook.step_seconds > 0
    # the data may have changed since
    assert sum(' can be learned: ' in line for line in lines) == 2


def test_segmenter_trains_what_it_is_told_to(data, tmp_path, monkeypatch):
    seen = {}

    @functools.wraps(run.train_auto)  # with its options
    def train_auto(train, val, **options):
        seen.update(options, train=train, val=val)
        return SimpleNamespace(work_dir=str(tmp_path), release=lambda: None)

    monkeypatch.setattr(run, 'train_auto', train_auto)
    monkeypatch.setattr(Segmenter, '__init__', lambda self, folder, device: seen.update(
        folder=folder, device=device))
    Segmenter.train(data, minutes=3, device='cpu', families=['lordre'])
    assert callable(seen.pop('say'))
    assert seen == dict(train=data, val=None, data=None, minutes=3, work_dir=None,
                        families=['lordre'], folder=str(tmp_path), device='cpu')


def test_from_python_a_training_ends_with_its_report_too(tmp_path, monkeypatch):
    done = []
    runner = SimpleNamespace(register_hook=lambda hook: done.append(type(hook).__name__),
                             train=lambda: done.append('train'))
    monkeypatch.setattr(run.ToolRunner, 'from_cfg', lambda cfg: runner)
    monkeypatch.setattr(run, 'report_on_training',
                        lambda *given: done.append(('report', given)))
    cfg = Config(dict(work_dir=str(tmp_path)))
    assert run._start(cfg) is runner
    assert done == ['LastResultsHook', 'train', ('report', (runner, cfg))]


class TestSetAside:
    def own(self, data):
        return OwnData(Part(data, data.rsplit('/', 1)[0]), None, None, ('a', 'b'))

    def test_both_classes_are_on_both_sides_and_the_seed_decides(self, data, tmp_path):
        found = []
        for number, seed in enumerate((0, 0, 1)):
            own, line = set_aside(self.own(data), str(tmp_path / str(number)), seed)
            val = json.loads(Path(own.val.ann_file).read_text())
            assert {a['category_id'] for a in val['annotations']} == {1, 2}
            found.append([image['id'] for image in val['images']])
            assert f'seed {seed}' in line and '2 of 12 images' in line
        assert found[0] == found[1] != found[2]

    def test_pictures_that_are_the_same_stay_together(self, tmp_path):
        twins = [picture for picture in pictures(3, 1) for _ in range(2)]
        own, _ = set_aside(self.own(write(tmp_path, coco(twins, ('a', 'b'), (64, 64)))),
                           str(tmp_path / 'out'))
        ids = {image['id'] for image in json.loads(Path(own.val.ann_file).read_text())['images']}
        assert ids in ({1, 2}, {3, 4}, {5, 6})

    def test_frames_that_follow_each_other_stay_together(self, tmp_path):
        path = write(tmp_path, coco(pictures(40), ('a', 'b'), (64, 64)), draw=False)
        wall = texture(1, (64 + 6 * 41, 64))
        for number in range(1, 41):
            wall.crop((6 * number, 0, 6 * number + 64, 64)).save(tmp_path / f'{number}.png')
        own, line = set_aside(self.own(path), str(tmp_path / 'out'))
        ids = [image['id'] for image in json.loads(Path(own.val.ann_file).read_text())['images']]
        assert len(ids) == 8 and (np.diff(sorted(ids)) > 1).sum() <= 1
        assert '40 that follow each other, as frames of a film do, stay together in runs of up ' \
            'to 4' in line

    def test_of_many_images_a_part_is_compared(self, data, tmp_path):
        own, line = set_aside(self.own(data), str(tmp_path), pixels=5 * 64**2)
        assert '; 5 of them were compared' in line
        assert len(json.loads(Path(own.val.ann_file).read_text())['images']) == 2

    @pytest.mark.parametrize('shown', [pictures(1), [*pictures(1), [], []], pictures(1) * 3],
                             ids=['one image', 'one with objects', 'the same'])
    def test_one_image_cannot_be_divided(self, shown, tmp_path):
        own = self.own(write(tmp_path, coco(shown, ('a', 'b'), (64, 64))))
        same, line = set_aside(own, str(tmp_path / 'out'))
        assert same is own and 'no figure' in line

    def test_both_sides_have_objects(self, tmp_path):
        own, _ = set_aside(self.own(write(tmp_path, coco([*pictures(2), [], [], []], ('a', 'b'),
                                                         (64, 64)))), str(tmp_path / 'out'))
        for part in (own.train, own.val):
            assert json.loads(Path(part.ann_file).read_text())['annotations']


@pytest.mark.parametrize('options, said', [
    ([], 'either a config or --auto'), (['--auto'], '--auto needs data'),
    (['a.py', '--auto', '--train-ann', 'x'], 'leave out a.py'),
    (['a.py', '--minutes', '0'], '--minutes must be'),
    (['--auto', '--train-ann', 'x', '--minutes', 'nan'], '--minutes must be'),
    (['a.py', '--size', 'nano'], 'for --auto'),
    (['--auto', '--train-ann', 'x', '--amp'], 'is measured'),
    (['--auto', '--train-ann', 'x', '--launcher', 'pytorch'], 'one process')])
def test_options_that_do_not_go_together(options, said, capsys):
    with pytest.raises(SystemExit):
        one_line_errors(command.main)(options)
    assert said in capsys.readouterr().err


class TestDataAreCheckedFirst:
    def change(self, tmp_path, change):
        path = write(tmp_path / 'data', coco(pictures(6), ('a', 'b'), (64, 64)))
        data = json.loads(Path(path).read_text())
        change(data['annotations'])
        Path(path).write_text(json.dumps(data))
        return path

    def planned(self, monkeypatch, tmp_path, path, **options):
        """What is to be planned on."""
        seen = []

        def auto_config(own, *args, **kwargs):
            seen.append(own)
            raise UserError('planned')
        monkeypatch.setattr(run, 'auto_config', auto_config)
        with pytest.raises(UserError, match='planned'):
            run.train_auto(path, work_dir=str(tmp_path / 'work'), minutes=1, **options)
        return json.loads(Path(seen[0].train.ann_file).read_text())

    def test_what_training_stops_at(self, tmp_path, monkeypatch):
        path = self.change(tmp_path, lambda found: found[0].update(segmentation=[]))
        monkeypatch.setattr(run, 'auto_config', pytest.fail)
        with pytest.raises(UserError, match=re.escape(f'{path}: annotation 1')):
            run.train_auto(path, work_dir=str(tmp_path / 'work'), minutes=1)
        monkeypatch.undo()
        data = self.planned(monkeypatch, tmp_path, path, skip_bad=True)
        assert [a['id'] for a in data['annotations']] == [2, 3, 4, 5, 6]

    def test_crowds_that_shall_be_objects(self, tmp_path, monkeypatch):
        path = self.change(tmp_path, lambda found: [a.update(iscrowd=1) for a in found])
        data = self.planned(monkeypatch, tmp_path, path, crowd_as_instances=True)
        assert not any(a['iscrowd'] for a in data['annotations'])


def test_what_checking_takes_is_taken_off(data, tmp_path, monkeypatch):
    """From a config of one's own, too: a second passes whenever the clock is looked at."""
    clock = iter(range(1000))
    monkeypatch.setattr(command, 'beginning', lambda: float(next(clock)))
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr(command, '_train', lambda cfg, args: cfg)
    cfg = command.main(['mmdet_lordre::lordre/lordre_r18_giam_small-data.py', '--train-ann', data,
                        '--minutes', '2', '--work-dir', str(tmp_path / 'work'),
                        '--cfg-options', 'train_cfg._delete_=True',
                        'train_cfg.type=IterBasedTrainLoop', 'train_cfg.max_iters=9'])
    hook, = (hook for hook in cfg.custom_hooks if hook.type == 'TimedSchedule')
    assert hook.seconds == 120 - (next(clock) - 1) - 3


def test_minutes_need_iterations(monkeypatch):
    """Whichever way a config says that it counts them."""
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: 0.))
    for counting in (dict(by_epoch=False), dict(type='mmengine.IterBasedTrainLoop')):
        cfg = Config(dict(train_cfg=dict(counting, max_iters=9)))
        minutes.by_the_clock(cfg, 2, 0.)
        assert [hook.type for hook in cfg.custom_hooks] == ['TimedSchedule']
    for counting in (dict(by_epoch=True), dict(type='EpochBasedTrainLoop')):
        with pytest.raises(UserError, match='needs a config that counts iterations'):
            minutes.by_the_clock(Config(dict(train_cfg=dict(counting, max_epochs=9))), 2, 0.)


def test_minutes_that_planning_alone_takes(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, 'beginning', lambda: 0.)
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: 60.))
    with pytest.raises(SystemExit):
        one_line_errors(command.main)(['--auto', '--train-ann', data, '--minutes', '1', '--family',
                                       'solov2', '--size', 'nano', '--work-dir',
                                       str(tmp_path / 'work')])
    assert 'allow more minutes' in capsys.readouterr().err
