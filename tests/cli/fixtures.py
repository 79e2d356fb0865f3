"""Fixtures of every test: a tiny data set, a training on it, tools as they are run."""
import os
import subprocess
import sys

import pytest

from .tiny import ROOT, make_coco, write_config


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """A folder with train.json, val.json and their images in train/ and val/."""
    folder = tmp_path_factory.mktemp('tiny')
    make_coco(folder, 'train', 'train.json', count=12, seed=0)
    make_coco(folder, 'val', 'val.json', count=5, seed=1)
    return folder


@pytest.fixture(scope='session')
def trained(data, tmp_path_factory):
    """(config, checkpoint) of one epoch of training on ``data``, in this process."""
    from mmdet_lordre.cli.train import main as train
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder / 'tiny.py')
    train([config, '--train-ann', f'{data}/train.json', '--val-ann', f'{data}/val.json',
           '--work-dir', str(folder / 'work'), '--seed', '1'])
    return config, str(folder / 'work' / 'epoch_1.pth')


@pytest.fixture
def run_script():
    """Run tools/NAME in a process of its own, as a user does."""
    def run(name, *args, **env):
        command = [str(ROOT / 'tools' / name)]
        if name.endswith('.py'):
            command = [sys.executable, *command]
        return subprocess.run(
            [*command, *map(str, args)], capture_output=True, text=True, timeout=300,
            cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable, **env))
    return run


@pytest.fixture
def error_line(capsys):
    """The one line that a tool's function ends with; fails if it does not end with one."""
    from mmdet_lordre.cli.main import one_line_errors

    def run(function, *args):
        with pytest.raises(SystemExit) as ended:
            one_line_errors(function)([str(a) for a in args])
        assert ended.value.code == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith('error: '), lines
        return lines[0]
    return run
