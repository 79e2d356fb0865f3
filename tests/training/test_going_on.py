"""What a run may go on from, and what it keeps of its beginning."""
import errno
import os
import shutil
import subprocess
import sys
import types
from functools import partial

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper, PolyLR
from mmengine.registry import init_default_scope

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.classes import differing_classes
from mmdet_lordre.errors import UserError
from mmdet_lordre.training import MuonWithAdamW, ToolRunner, space
from mmdet_lordre.training.settings import check_made_alike

from ..cli.tiny import IDS, NAMES, ROOT, make_coco, write_config


@pytest.fixture
def copy(trained, tmp_path):
    """A function that gives a copy of the trained checkpoint with changes."""
    def make(**meta):
        checkpoint = read_checkpoint(trained[1])
        checkpoint['meta'].update(meta)
        torch.save(checkpoint, tmp_path / 'copy.pth')
        return str(tmp_path / 'copy.pth')
    return make


def arguments(folder, data, *more):
    # a name of its own: loggers are known by the name and the second
    config = write_config(folder / f'{folder.parent.name}_{folder.name}.py')
    return [config, '--train-ann', f'{data}/train.json', '--work-dir', f'{folder}/work', *more,
            '--cfg-options', 'train_cfg.max_epochs=2']


@pytest.mark.parametrize('names, said', [
    (NAMES[::-1], "in another order: label 0 was 'dot' and is now 'bar'"),
    (('dot', 'box', 'rod'), 'no longer: bar; new: rod')])
def test_other_labels_of_the_same_number(trained, tmp_path, error_line, names, said):
    ann = make_coco(tmp_path, count=4, names=names, ids=IDS)
    config = write_config(tmp_path / 'labels.py')
    common = [config, '--train-ann', ann, '--work-dir', f'{tmp_path}/work',
              '--keep-empty-classes']
    line = error_line(train, *common, '--resume', trained[1])
    assert f'{trained[1]} cannot be resumed, because labels' in line and said in line
    assert 'dot, box, bar' in line and '--load-from' in line


def test_two_runs_in_one_second(data, tmp_path, monkeypatch):
    """Of configs of one name, in one process: each has a log and figures of its own."""
    monkeypatch.setattr('time.localtime', lambda *args: __import__('datetime').datetime(
        2026, 1, 1).timetuple())
    for name in 'ab':
        (tmp_path / name).mkdir()
        config = write_config(tmp_path / name / 'same.py')
        runner = train([config, '--train-ann', f'{data}/train.json', '--work-dir',
                        f'{tmp_path}/{name}/work'])
        assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3
        log, = (tmp_path / name / 'work').glob('*/*.log')
        assert f'{tmp_path}/{name}/work' in log.read_text()


def test_how_classes_differ():
    assert differing_classes(('a', 'b'), ['a', 'b']) == ''
    assert differing_classes(('a', 'b'), ('b', 'c', 'd')) == \
        '2 classes before, 3 now; no longer: a; new: c, d'
    assert differing_classes(('a', 'b'), ('b', 'a')).startswith(
        "the same 2 classes in another order: label 0 was 'a' and is now 'b'")


def test_settings_that_are_kept_are_said(trained, data, tmp_path, capsys):
    """The optimizer's and the schedulers' come with the checkpoint."""
    runner = train([*arguments(tmp_path, data, '--resume', trained[1], '--seed', '77'),
                    'optim_wrapper.optimizer.lr=0.5', 'param_scheduler.0.end=6'])
    out = capsys.readouterr().out
    assert 'optimizer lr 0.001 (the config has 0.5)' in out
    assert 'LinearLR 0 end 4 (the config has 6)' in out and '--load-from' in out
    assert 'the run started with seed 1: it continues with that one' in out
    assert runner.optim_wrapper.optimizer.param_groups[0]['initial_lr'] == 0.001
    # nothing is said where nothing differs
    shutil.rmtree(tmp_path / 'work')
    train(arguments(tmp_path, data, '--resume', trained[1]))
    assert 'keeps the settings' not in capsys.readouterr().out


def test_nothing_left_to_train(trained, data, tmp_path, capsys):
    config = write_config(tmp_path / 'over.py')
    train([config, '--train-ann', f'{data}/train.json', '--work-dir', f'{tmp_path}/work',
           '--resume', trained[1]])
    assert 'nothing is left to train: the checkpoint is at iteration 3 of 3' in \
        capsys.readouterr().out


def test_the_config_in_a_checkpoint_is_not_run(copy, data, tmp_path):
    """mmengine executes it as Python when it goes on, to look for a number of GPUs."""
    path = copy(config=f'open({str(tmp_path / "run")!r}, "w").close()\nmodel = dict()\n')
    runner = train(arguments(tmp_path, data, '--resume', path))
    assert runner.epoch == 2 and not (tmp_path / 'run').exists()


@pytest.mark.parametrize('options, said', [
    (['optim_wrapper.optimizer.type=MuonWithAdamW'],
     'with the optimizer AdamW, and the config has MuonWithAdamW. Use'),
    (['optim_wrapper.optimizer.weight_decay=0.1', 'optim_wrapper.paramwise_cfg.norm_decay_mult=0'],
     'whose optimizer or schedulers differ: ')])
def test_another_optimizer(trained, data, tmp_path, error_line, options, said):
    line = error_line(train, *arguments(tmp_path, data, '--resume', trained[1]), *options)
    assert said in line and '--load-from' in line


def test_state_of_another_kind(tmp_path):
    """Each named, and refused, before anything of it is taken over."""
    def check(optimizer, *schedulers):
        wrapper = OptimWrapper(optimizer([torch.nn.Parameter(torch.ones(1))], lr=1.))
        built = [kind(wrapper, by_epoch=False, end=9) for kind in schedulers]
        check_made_alike(checkpoint, 'some.pth', wrapper, built)
        return wrapper, built

    checkpoint = dict(meta=dict(optimizer='MuonWithAdamW'))
    with pytest.raises(UserError, match='optimizer MuonWithAdamW, and the config has AdamW'):
        check(torch.optim.AdamW)
    _, built = check(MuonWithAdamW, LinearLR, PolyLR)
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in built]
    check(MuonWithAdamW, LinearLR, PolyLR)
    with pytest.raises(UserError, match='with 2 schedulers, and the config has 1'):
        check(MuonWithAdamW, LinearLR)
    with pytest.raises(UserError, match='param_scheduler 1, CosineAnnealingLR, was different'):
        check(MuonWithAdamW, LinearLR, partial(CosineAnnealingLR, T_max=9))
    del checkpoint['meta']['optimizer']  # of an earlier version
    check(torch.optim.AdamW, LinearLR, PolyLR)


@pytest.fixture
def going_on():
    """A runner with hooks and without anything else, and a function that looks at a checkpoint."""
    init_default_scope('mmdet')
    runner = ToolRunner.__new__(ToolRunner)
    runner._hooks, runner.param_schedulers, runner.optim_wrapper = [], [], None
    runner.logger = types.SimpleNamespace(said=[])
    runner.logger.warning = runner.logger.said.append

    def look(**checkpoint):
        runner._demand_made_alike('some.pth', dict(
            dict(meta={}, message_hub={}, param_schedulers=[]), **checkpoint))
        return runner.logger.said
    return runner, look


def test_a_run_by_the_clock_goes_on_by_the_clock(going_on):
    runner, look = going_on
    timed = dict(message_hub=dict(runtime_info=dict(timed_schedule=[1., 0., 0])))
    with pytest.raises(UserError, match='resume it with --minutes as well'):
        look(**timed)
    runner.register_hook(dict(type='TimedSchedule', seconds=9))
    assert look(**timed) == []
    said, = look(param_schedulers=[{}])
    assert 'schedulers of its own' in said and '--minutes' in said


def test_averaged_weights_are_not_taken_for_those_in_training(going_on):
    runner, look = going_on
    with pytest.raises(UserError, match='no EMAHook'):
        look(ema_state_dict={})
    runner.register_hook(dict(type='EMAHook'))
    assert look(ema_state_dict={}) == []


def test_the_state_of_another_optimizer(trained, data, tmp_path, error_line):
    """Such as Muon's, which has a momentum in place of what AdamW counts with."""
    checkpoint = read_checkpoint(trained[1])
    for state in checkpoint['optimizer']['state'].values():
        state.pop('step')
    torch.save(checkpoint, tmp_path / 'other.pth')
    line = error_line(train, *arguments(tmp_path, data, '--resume', f'{tmp_path}/other.pth'))
    assert "schedulers differ: there is no 'step' in its state; start a new run" in line


def test_a_full_disk_while_a_checkpoint_is_written(data, tmp_path, error_line,
                                                   monkeypatch):
    put = torch.save

    def full(obj, file, *args, **kwargs):
        if 'state_dict' in obj:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return put(obj, file, *args, **kwargs)
    monkeypatch.setattr(torch, 'save', full)
    line = error_line(train, *arguments(tmp_path, data))
    assert f'the checkpoint {tmp_path}/work/epoch_1.pth cannot be written: No space left' in line
    assert '--resume' in line
    assert not list((tmp_path / 'work').glob('*.tmp'))


LIMITED = '''
import resource, signal, sys
from mmdet_lordre.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
run('train', sys.argv[1:])
'''


def test_files_that_may_not_grow(data, tmp_path):
    """A real error of the system, from a process whose files end at 100 kB."""
    pytest.importorskip('resource', reason='Linux and macOS limit the size of files')
    done = subprocess.run(
        [sys.executable, '-c', LIMITED, *arguments(tmp_path, data)], capture_output=True,
        text=True, cwd=ROOT, env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith(
        f'error: the checkpoint {tmp_path}/work/epoch_1.pth cannot be written: File too large')
    assert not list((tmp_path / 'work').glob('*.pth*'))


def test_free_space_is_compared_at_the_start(data, tmp_path, error_line,
                                             monkeypatch, capsys):
    seen = {}
    size = space.checkpoint_size

    def watched(runner):
        seen['size'] = size(runner)
        return seen['size']
    monkeypatch.setattr(space, 'checkpoint_size', watched)
    train(arguments(tmp_path, data))
    written = (tmp_path / 'work' / 'epoch_1.pth').stat().st_size
    assert 0.5 * written < seen['size'] < written  # the rest is the config's text and the log
    capsys.readouterr()

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=seen['size'] - 1))
    line = error_line(train, *arguments(tmp_path / 'work', data))
    assert 'MiB free, but a checkpoint of this model needs about' in line and '--work-dir' in line
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda path: usage._replace(free=int(seen['size'] * 1.5)))
    (tmp_path / 'second').mkdir()
    train(arguments(tmp_path / 'second', data))
    assert '2 checkpoints of about' in capsys.readouterr().out


def test_a_log_that_cannot_be_written_says_so_once(tmp_path, capsys):
    import logging

    from mmdet_lordre.training.console import readable
    logger = logging.Logger('full')
    handler = logging.FileHandler(tmp_path / 'log')
    logger.addHandler(handler)
    readable(logger)
    handler.stream.close()
    handler.stream = open('/dev/full', 'w') if os.path.exists('/dev/full') else None  # noqa: SIM115
    if handler.stream is None:
        pytest.skip('needs /dev/full')
    logger.info('one')
    logger.info('two')
    err = capsys.readouterr().err
    handler.stream = None
    assert err.count('cannot be written') == 1 and 'Traceback' not in err


def test_a_training_beside_another(data, tmp_path, error_line):
    """In the same work folder: refused before anything is built, and nothing is touched."""
    code = ('import sys\nfrom mmdet_lordre.training.lock import work_folder\n'
            'with work_folder(sys.argv[1]):\n    print("there", flush=True)\n    sys.stdin.read()')
    other = subprocess.Popen([sys.executable, '-c', code, f'{tmp_path}/work'], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env=dict(os.environ, PYTHONPATH=str(ROOT)))
    try:
        assert other.stdout.readline() == 'there\n'
        line = error_line(train, *arguments(tmp_path, data))
        assert f'another training writes to {tmp_path}/work: process {other.pid} on' in line
        assert os.listdir(tmp_path / 'work') == ['training.lock']
    finally:
        other.communicate()
    train(arguments(tmp_path, data))
    assert 'training.lock' not in os.listdir(tmp_path / 'work')


def test_a_file_where_the_work_folder_should_be(data, tmp_path, error_line):
    (tmp_path / 'work').write_text('')
    line = error_line(train, *arguments(tmp_path, data))
    assert f'the work folder {tmp_path}/work cannot be used' in line


def test_a_bug_in_training_keeps_its_traceback(data, tmp_path, monkeypatch):
    """Only what fails while the config is built is taken for the config's doing."""
    def broken(self, *args, **kwargs):
        raise TypeError('a bug')
    monkeypatch.setattr(ToolRunner, 'call_hook', lambda self, name, **kwargs: broken(self)
                        if name == 'before_train_iter' else None)
    with pytest.raises(TypeError, match='a bug'):
        one_line_errors(train)(arguments(tmp_path, data))
