"""Asking for what a machine does not have ends in a line, before anything is made."""
import os
import re
import subprocess
import sys

import pytest

from .cli.tiny import ROOT

#: No GPU, whatever the machine has.
HIDDEN = dict(os.environ, CUDA_VISIBLE_DEVICES='', DEVICE='cuda')


@pytest.mark.parametrize('wrong, said', [
    (dict(DEVICE='cuda'), 'DEVICE=cuda, but torch .* finds no GPU'),
    (dict(DEVICE='gpu'), 'DEVICE must be cpu or cuda, not gpu'),
    (dict(DEVICE='cpu', TORCH='newest'), 'TORCH must be pinned or installed, not newest')])
def test_setup(wrong, said, tmp_path):
    done = subprocess.run(
        ['bash', str(ROOT / 'tools' / 'setup.sh')], capture_output=True, text=True,
        env=HIDDEN | dict(PYTHON=sys.executable, VENV=str(tmp_path / 'venv')) | wrong)
    assert done.returncode == 1 and not done.stdout
    line, = done.stderr.splitlines()
    assert line.startswith('setup: ') and re.search(said, line)
    assert not (tmp_path / 'venv').exists()


def test_tests_for_a_gpu_that_is_not_there():
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', 'tests/test_text.py', '-p', 'no:cacheprovider'],
        capture_output=True, text=True, cwd=ROOT, env=HIDDEN)
    line, = (done.stdout + done.stderr).split('\n\n')[0].strip().splitlines()
    assert done.returncode and line.startswith('ERROR: DEVICE=cuda, but torch ')


def test_wheelhouse_says_how_it_is_called():
    done = subprocess.run(['bash', str(ROOT / 'tools' / 'wheelhouse.sh')], capture_output=True,
                          text=True)
    assert done.returncode == 2
    assert done.stderr == 'usage: tools/wheelhouse.sh FOLDER PYTHON_VERSION\n'
