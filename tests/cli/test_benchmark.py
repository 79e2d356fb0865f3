"""tools/benchmark.py: what is measured, on what."""
import functools
import json
import logging
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmdet_lordre.analysis.speed import PARTS
from mmdet_lordre.cli.benchmark import main as benchmark
from mmdet_lordre.cli.get_flops import main as flops

from .tiny import write_config

FEW = ['--device', 'cpu', '--repeat', '3', '--warmup', '1']


@pytest.fixture
def threads():
    """Whatever the tool sets is set back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_script_on_noise(run_script, tmp_path):
    config = write_config(tmp_path / 'tiny.py')
    done = run_script('benchmark.py', config, '--shape', 64, 96, '--fuse', '--channels-last',
                      '--bf16', *FEW)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) < 20, done.stdout
    assert 'random noise, 64 x 96' in done.stdout and 'random weights' in done.stdout
    assert 'precision  bfloat16, channels last, batch norm fused' in done.stdout
    rows = re.findall(r'^([\w-]+) +([\d.]+) +([\d.]+) +([\d.]+)$', done.stdout, re.MULTILINE)
    assert [name for name, *_ in rows] == [*PARTS, 'total']
    for _, median, low, high in rows:
        assert 0 <= float(low) <= float(median) <= float(high)
    assert re.search(r'^FPS +[\d.]+$', done.stdout, re.MULTILINE)
    assert re.search(r'^peak memory +[1-9]\d* MiB', done.stdout, re.MULTILINE)


def test_winograd_needs_float32(tmp_path, error_line, capsys):
    config = write_config(tmp_path / 'tiny.py')
    line = error_line(benchmark, config, '--shape', 64, 96, '--winograd', '--bf16', *FEW)
    assert 'error: --winograd needs float32' in line
    benchmark([config, '--shape', '64', '96', '--winograd', *FEW])
    assert 'precision  float32, Winograd' in capsys.readouterr().out


def test_real_images_and_two_models(trained, data, capsys, threads):
    options = [f'test_dataloader.dataset.data_root={data}/',
               'test_dataloader.dataset.data_prefix.img=val/']
    ours, other = benchmark([*trained, '--vs', trained[0], '--threads', '1', *FEW,
                             '--cfg-options', *options])
    text = capsys.readouterr().out
    assert f'5 of {data}/val, 64 x 64' in text and 'second / first' in text
    assert trained[1] in text and '1 thread,' in text
    for timing in (ours, other):
        assert len(timing.parts) == len(timing.total) == 3
        assert timing.total == pytest.approx([sum(parts) for parts in timing.parts])
    # of one weight each image has six instances
    assert ours.detections == [6, 6, 6]
    _, resized = benchmark([*trained, '--vs', trained[0], '--shape', '32', '64', *FEW,
                            '--cfg-options', *options])
    assert len(resized.total) == 3 and '32 x 64' in capsys.readouterr().out


def test_images_in_folders_of_the_annotations(trained, data, tmp_path, capsys):
    """As where the root of the data is the folder of the images."""
    annotations = json.loads((data / 'val.json').read_text())
    for image in annotations['images']:
        image['file_name'] = f'val/{image["file_name"]}'
    (tmp_path / 'val.json').write_text(json.dumps(annotations))
    benchmark([*trained, *FEW, '--cfg-options', f'test_dataloader.dataset.data_root={data}/',
               'test_dataloader.dataset.data_prefix.img=',
               f'test_dataloader.dataset.ann_file={tmp_path}/val.json'])
    assert 'random noise' not in capsys.readouterr().out


def test_a_work_folder(trained, capsys):
    """With its weights, like everywhere else."""
    folder = str(Path(trained[1]).parent)
    benchmark([folder, '--shape', '64', '64', *FEW])
    text = capsys.readouterr().out
    assert trained[1] in text and 'random weights' not in text
    assert flops([folder, '--shape', '64', '64']).size == (64, 64)


def test_a_checkpoint_alone(trained, tmp_path, capsys, error_line):
    """With the config that it carries."""
    checkpoint = shutil.copy(trained[1], tmp_path / 'alone.pth')
    benchmark([str(checkpoint), '--vs', str(checkpoint), '--shape', '64', '64', *FEW])
    text = capsys.readouterr().out
    assert text.count(f'{checkpoint} ({checkpoint}; ') == 2 and 'random weights' not in text
    counted = [flops([path, '--shape', '64', '64']) for path in (str(checkpoint), trained[0])]
    # of the classes that it was trained on, not of those that the config names
    assert counted[0].params < counted[1].params and counted[0].size == (64, 64)
    assert 'no such checkpoint' in error_line(flops, tmp_path / 'gone.pth')
    capsys.readouterr()
    line = error_line(benchmark, tmp_path, checkpoint, *FEW)
    assert f'{tmp_path} is a folder: leave it out, as {checkpoint} is read with' in line


def test_compiled(trained, monkeypatch, capsys):
    calls = []

    def compile_(part, **kwargs):
        calls.append(kwargs)
        return original(part, **kwargs)

    original = functools.partial(torch.compile, backend='eager')
    monkeypatch.setattr(torch, 'compile', compile_)
    benchmark([trained[0], '--shape', '64', '64', '--compile', *FEW])
    assert calls == [dict(fullgraph=True, dynamic=False)] * 3
    assert 'compiled' in capsys.readouterr().out


def test_compiled_for_one_size(trained, tmp_path, error_line):
    for name, width in (('a', 64), ('b', 128)):
        cv2.imwrite(f'{tmp_path}/{name}.png', np.zeros((64, width, 3), np.uint8))
    line = error_line(benchmark, trained[0], '--compile', *FEW, '--cfg-options',
                      f'test_dataloader.dataset.data_root={tmp_path}/',
                      'test_dataloader.dataset.data_prefix.img=')
    assert '2 of ' in line and '64 x 64, 64 x 128' in line and 'add --shape H W' in line


def test_no_size(tmp_path, error_line):
    line = error_line(benchmark, write_config(tmp_path / 'tiny.py'), '--device', 'cpu')
    assert 'give the size with --shape H W' in line
    line = error_line(flops, tmp_path / 'tiny.py')
    assert line.endswith('give the size with --shape HEIGHT WIDTH')


def test_a_checkpoint_of_no_second_model(trained, error_line):
    line = error_line(benchmark, *trained, '--vs-checkpoint', trained[1], *FEW)
    assert f'--vs-checkpoint {trained[1]} is for --vs, which is not given' in line


@pytest.mark.parametrize('shape', [['--shape', '64', '64'], []])
def test_a_file_that_is_no_picture(trained, tmp_path, error_line, shape):
    (tmp_path / 'a.png').write_bytes(b'broken')
    line = error_line(benchmark, trained[0], *shape, *FEW, '--cfg-options',
                      f'test_dataloader.dataset.data_root={tmp_path}/',
                      'test_dataloader.dataset.data_prefix.img=')
    assert f'{tmp_path}/a.png cannot be decoded: take it out' in line


def test_what_is_logged_stays_so(tmp_path):
    before = logging.root.manager.disable
    logging.disable(logging.DEBUG)
    try:
        benchmark([write_config(tmp_path / 'tiny.py'), '--shape', '64', '64', *FEW])
        assert logging.root.manager.disable == logging.DEBUG
    finally:
        logging.disable(before)
