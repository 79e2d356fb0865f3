"""tools/dist_*.sh with two processes on the CPU, and the Slurm scripts' command lines."""
import os
import shutil
import stat
import subprocess

import numpy as np
import pytest

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.predict import main as predict
from mmdet_lordre.cli.test import main as run_test

from ..on_device import several_processes
from .tiny import ROOT, free_port, read_json, write_config


@several_processes
def test_two_processes_train_and_test(run_script, data, tmp_path):
    config = write_config(tmp_path / 'two.py')
    done = run_script('dist_train.sh', config, 2, '--train-ann', data / 'train.json',
                      '--val-ann', data / 'val.json', '--work-dir', tmp_path / 'w', '--seed', 2,
                      '--cfg-options', 'train_dataloader.batch_size=2', PORT=free_port())
    assert done.returncode == 0, done.stderr
    assert '2 processes' in done.stdout
    # twelve images, two at a time in each of two processes; only one process speaks
    assert done.stdout.count('Epoch(train)') == 3
    checkpoint = tmp_path / 'w' / 'epoch_1.pth'
    assert read_checkpoint(checkpoint)['meta']['iter'] == 3

    # five images do not split evenly: still each one once, and the figures of one process
    done = run_script('dist_test.sh', config, checkpoint, 2, '--ann', data / 'val.json',
                      '--eval', 'segm', '--json-out', tmp_path / 'two', '--work-dir',
                      tmp_path / 'w2', '--cfg-options', 'test_dataloader.batch_size=1',
                      PORT=free_port())
    assert done.returncode == 0, done.stderr
    alone = run_test([config, str(checkpoint), '--ann', f'{data}/val.json', '--eval', 'segm',
                      '--json-out', f'{tmp_path}/one', '--work-dir', f'{tmp_path}/w1',
                      '--cfg-options', 'test_dataloader.batch_size=1'])
    found = [sorted((e['image_id'], e['score'], e['category_id'], *e['bbox'])
                    for e in read_json(tmp_path / f'{name}.segm.json')) for name in ('one', 'two')]
    assert len({e[0] for e in found[0]}) == 5
    np.testing.assert_allclose(*found, atol=1e-5)
    assert f'coco/segm_mAP: {alone["coco/segm_mAP"]:.4f}' in done.stdout


@pytest.mark.long
@several_processes
def test_two_processes_share_a_folder(run_script, pictures, work_folder,
                                      tmp_path):
    """Each does a share, and the files are those of one process."""
    options = ['--score-thr', '0', '--save', 'coco', 'png']
    done = run_script('dist_predict.sh', pictures / 'val', work_folder, 2, '--out',
                      tmp_path / 'two', *options, PORT=free_port())
    assert done.returncode == 0, done.stderr
    predict([f'{pictures}/val', '--model', str(work_folder), '--out', f'{tmp_path}/one', *options])
    for name in ('results.json', 'png/03.png', 'png/04.png'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()
    assert (tmp_path / 'two' / 'progress' / '2-of-2.done').exists()


@pytest.mark.parametrize('script, first', [
    ('slurm_train.sh', ['part', 'job', 'config.py', 'work']),
    ('slurm_test.sh', ['part', 'job', 'config.py', 'model.pth'])])
def test_slurm_command_line(run_script, tmp_path, script, first):
    """Against an srun that prints its arguments."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n')
    srun.chmod(srun.stat().st_mode | stat.S_IEXEC)
    done = run_script(script, *first, '--seed', '1', GPUS='16', SRUN_ARGS='--time=1 --quiet',
                      PATH=f'{tmp_path}:{os.environ["PATH"]}')
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert words[:3] == ['-p', 'part', '--job-name=job']
    assert {'--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8', '--time=1',
            '--quiet'} <= set(words)
    tool = script.removeprefix('slurm_').replace('.sh', '.py')
    assert any(os.path.realpath(w) == f'{ROOT}/tools/{tool}' for w in words if '/' in w)
    assert words[words.index('config.py') + 1] in ('--work-dir', 'model.pth')
    assert words[-4:] == ['--seed', '1', '--launcher', 'slurm']


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'dist_predict.sh',
                                    'slurm_train.sh', 'slurm_test.sh', 'slurm_predict.sh'])
def test_usage(run_script, script):
    done = run_script(script, 'config.py')
    assert done.returncode == 2 and done.stderr.startswith('usage: ')


def launched_by(folder, **env):
    """(interpreter that launch.sh starts, its stderr): the scripts are alone in their folder."""
    (folder / 'tools').mkdir(exist_ok=True)
    for name in ('launch.sh', 'interpreter.sh'):
        shutil.copy(ROOT / 'tools' / name, folder / 'tools' / name)
    done = subprocess.run([str(folder / 'tools' / 'launch.sh'), '1', 'train.py'], text=True,
                          capture_output=True, env=dict(PATH=f'{folder}/path:/usr/bin:/bin', **env))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_the_interpreter_of_the_environment(tmp_path):
    """Active, beside the scripts, on PATH: in this order, and it is said."""
    for place in ('path', 'active/bin', '.venv/bin'):
        (tmp_path / place).mkdir(parents=True)
        program = tmp_path / place / 'python'
        program.write_text('#!/bin/sh\necho "$0"\n')
        program.chmod(0o755)
    found, said = launched_by(tmp_path, VIRTUAL_ENV=f'{tmp_path}/active')
    assert found == f'{tmp_path}/active/bin/python' and f'interpreter: {found}' in said
    found, said = launched_by(tmp_path)
    assert os.path.realpath(found) == f'{tmp_path}/.venv/bin/python' and 'interpreter: ' in said
    shutil.rmtree(tmp_path / '.venv')
    assert launched_by(tmp_path)[0] == f'{tmp_path}/path/python'
    # one that is named is taken, and there is nothing to say
    assert launched_by(tmp_path, VIRTUAL_ENV=f'{tmp_path}/active',
                       PYTHON=f'{tmp_path}/path/python') == (f'{tmp_path}/path/python', '')


def test_several_machines_need_an_address(run_script):
    done = run_script('dist_train.sh', 'config.py', 2, NNODES='2')
    assert done.returncode == 2 and 'NNODES=2 needs MASTER_ADDR' in done.stderr
    done = run_script('dist_train.sh', 'config.py', 'two')
    assert done.returncode == 2 and "not 'two'" in done.stderr
