"""benchmarks/gpu.py with tiny models on the CPU: what it writes, and that it compares."""
import json
import runpy
import sys

import pytest
import torch

from .cli.tiny import ROOT

FOLDER = ROOT / 'benchmarks'
TINY = ['--tiny', '--device', 'cpu', '--repeat', '2', '--batch', '2', '--instances', '3', '9']


@pytest.fixture(scope='module')
def gpu():
    """The names of the script."""
    path = list(sys.path)
    names = runpy.run_path(str(FOLDER / 'gpu.py'))
    yield names
    sys.path[:] = path


@pytest.fixture(scope='module')
def measured(gpu, tmp_path_factory):
    out = tmp_path_factory.mktemp('gpu') / 'figures'
    found = gpu['main'](['inference', 'training', 'operations', *TINY, '--models', 'lordre',
                         'solov2', '--out', str(out)])
    return found, out


def test_every_table_has_its_rows(measured):
    found, out = measured
    assert json.loads(out.with_suffix('.json').read_text()) == found
    assert not found['left_out']
    rows = found['rows']
    assert [(row['model'], row['form']) for row in rows['inference']] == [
        (model, form) for model in ('lordre', 'solov2')
        for form in ('float32', 'float16', 'bfloat16')]
    assert all(row['found'] > 0 and row['ms'] > 0 and 0 < row['backbone'] < 1
               for row in rows['inference'])
    # float32 repeats itself; half precision finds nearly the same
    assert all(row['as in float32'] > 0.8 for row in rows['inference'])
    assert {row['as in float32'] for row in rows['inference'] if row['form'] == 'float32'} == {1}
    assert [(row['model'], row['whose'], row['instances']) for row in rows['training']] == [
        *(('solov2', whose, count) for count in (3, 9)
          for whose in ('ours', 'mmdet', 'ours, masks from workers')),
        ('lordre', 'ours', 3), ('lordre', 'ours', 9)]
    assert all(0 < row['targets and losses'] < 1 for row in rows['training'])
    assert len(rows['heads']) == 1 and rows['heads'][0]['found'] > 20
    assert len(rows['targets']) == 2 and len(rows['nms']) == 2


def test_the_page_shows_what_is_in_the_file(measured):
    found, out = measured
    page = out.with_suffix('.md').read_text()
    assert 'the figures mean nothing' in page.splitlines()[0]
    assert page.count('\n| ') == 5 + sum(map(len, found['rows'].values()))
    assert '| lordre | float32 |' in page and '44.6 (RTX 2080 Ti, short side 608)' in page


def test_nothing_is_begun_when_time_is_over(gpu, tmp_path):
    found = gpu['main'](['training', 'operations', *TINY, '--minutes', '0', '--models',
                         'solov2', '--out', str(tmp_path / 'x')])
    assert not found['rows'] and found['left_out'][0] == 'training solov2 with 3 instances'
    assert 'Left out, for time: training solov2' in (tmp_path / 'x.md').read_text()


def test_other_results_than_the_reference_are_an_error(gpu, monkeypatch):
    parts = sys.modules['gpu_training']
    nms = parts.matrix_nms

    def wrong(*args, **kwargs):
        scores, labels, kept = nms(*args, **kwargs)
        return scores, labels, kept.flip(0)

    monkeypatch.setattr(parts, 'matrix_nms', wrong)
    with pytest.raises(AssertionError, match='kept masks'):
        gpu['main'](['operations', *TINY])
    heads = parts.build_heads

    def other_losses(*args, **kwargs):
        ours, theirs = heads(*args, **kwargs)
        torch.nn.init.constant_(ours.conv_cls.bias, 1.0)
        return ours, theirs

    monkeypatch.setattr(parts, 'build_heads', other_losses)
    with pytest.raises(AssertionError, match='loss_'):
        gpu['main'](['training', *TINY, '--models', 'solov2'])


def test_without_a_gpu_it_ends_in_a_line(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit, match=r'^error: torch .* finds no GPU.*nothing else$'):
        gpu['main']([])
