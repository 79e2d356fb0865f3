"""Threads of a CPU beside a GPU."""
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import torch

from mmdet_lordre.cli.test import main as judge
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.devices import few_threads
from mmdet_lordre.training import runner

from .cli.tiny import ROOT, write_config


@pytest.fixture
def six_threads(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(('device', 'inside'), [('cuda:0', 4), ('cpu', 6)])
def test_at_most_four_beside_a_gpu(six_threads, device, inside):
    with few_threads(device):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 6
    torch.set_num_threads(3)
    with few_threads(device):
        assert torch.get_num_threads() == 3


def test_a_number_that_was_asked_for_stays(six_threads, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '6')
    with few_threads('cuda'):
        assert torch.get_num_threads() == 6


def test_training_and_testing_ask_for_few(data, tmp_path, monkeypatch):
    asked = []

    @contextmanager
    def watched(device):
        asked.append(device)
        yield
    monkeypatch.setattr(runner, 'few_threads', watched)
    train([write_config(tmp_path / 'few_threads.py'), '--train-ann', f'{data}/train.json',
           '--val-ann', f'{data}/val.json', '--work-dir', f'{tmp_path}/work'])
    assert asked == [runner.get_device()]
    judge([f'{tmp_path}/work', '--ann', f'{data}/val.json'])
    assert asked == [runner.get_device()] * 2


@pytest.mark.parametrize(('gpu', 'threads'), [(True, '4'), (False, '8')])
def test_processes_of_a_machine_with_gpus(tmp_path, gpu, threads):
    (tmp_path / 'tools').mkdir()
    for name in ('launch.sh', 'interpreter.sh'):
        shutil.copy(ROOT / 'tools' / name, tmp_path / 'tools' / name)
    programs = dict(python='echo "$OMP_NUM_THREADS"', getconf='echo 16',
                    **{'nvidia-smi': f'exit {int(not gpu)}'})
    for name, line in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{line}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [str(tmp_path / 'tools' / 'launch.sh'), '2', 'train.py'], text=True, capture_output=True,
        env=dict(PATH=f'{tmp_path}:/usr/bin:/bin', PYTHON=str(tmp_path / 'python')))
    assert done.stdout.strip() == threads, done.stderr
