"""What a message calls an option of a command, where a method was called."""
import argparse
import importlib
import inspect
import re

import pytest

from mmdet_lordre import Segmenter
from mmdet_lordre.errors import UserError
from mmdet_lordre.segmenter import argument_names
from tests.cli.tiny import make_coco

#: The command of each method, and its options that the method has no argument for.
COMMANDS = {
    'train': ('train', {
        '--amp', '--auto', '--auto-scale-lr', '--launcher', '--load-from', '--local-rank',
        '--local_rank', '--mlflow', '--no-report', '--overwrite', '--skip-nonfinite',
        '--tensorboard', '--wandb'}),
    'evaluate': ('test', {'--local-rank', '--local_rank'}),
    'export': ('export-onnx', set()),
    'predict': ('predict', {
        '--config', '--count-line', '--count-zone', '--launcher', '--local-rank', '--local_rank',
        '--mm-per-pixel', '--model', '--out', '--overwrite', '--resume', '--save', '--shard',
        '--simplify', '--track-appearance', '--track-confirm', '--track-lost', '--track-low',
        '--device', '--checkpoint'})}


def options_of(command, monkeypatch):
    found = []

    def spy(parser, *args, **kwargs):
        found.extend(parser._option_string_actions)
        raise InterruptedError
    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', spy)
    module = importlib.import_module(f'mmdet_lordre.cli.{command.replace("-", "_")}')
    with pytest.raises(InterruptedError):
        module.parse_args([])
    return {option for option in found if option.startswith('--')} - {'--help'}


@pytest.mark.parametrize('method', COMMANDS)
def test_every_option_has_an_argument_or_is_known_to_have_none(method, monkeypatch):
    command, without = COMMANDS[method]
    options, names = options_of(command, monkeypatch), argument_names(method)
    assert options - set(names) == without & options
    assert not without - options - {'--device', '--checkpoint', '--overwrite'}


@pytest.mark.parametrize('method', ['__init__', *COMMANDS])
def test_every_argument_is_one(method):
    """Of the method, of what takes its other arguments, or of what makes a Segmenter."""
    from mmdet_lordre.deployment.exporting import write_onnx
    from mmdet_lordre.planning.run import train_auto
    from mmdet_lordre.prediction.settings import Settings
    from mmdet_lordre.training.testing import Testing
    others = dict(train=train_auto, evaluate=Testing, export=write_onnx, predict=Settings)
    known = {'options', *inspect.signature(getattr(Segmenter, method)).parameters}
    if method in others:
        known |= set(inspect.signature(others[method]).parameters)
    for text in argument_names(method).values():
        assert set(re.findall(r"\w+(?==)|(?<![='\w])\w+(?![\w'=])", text)) <= known, text


@pytest.fixture
def data(tmp_path):
    make_coco(tmp_path, 'images', 'a.json', count=3, seed=1)
    (tmp_path / 'images').rename(tmp_path / 'other')
    return tmp_path / 'a.json'


def test_training(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'; say where with train_images / val_images$'):
        Segmenter.train(data)
    (tmp_path / 'other').rename(tmp_path / 'images')
    with pytest.raises(UserError, match=r'^val_images needs val: without it'):
        Segmenter.train(data, val_images='b')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'iter_3.pth').write_bytes(b'')
    with pytest.raises(UserError, match=r'training \(iter_3.pth\): choose another work_dir$'):
        Segmenter.train(data, work_dir=tmp_path / 'run')


def test_the_others(work_folder, data, tmp_path):
    with pytest.raises(UserError, match=r'^options modell.x: '):
        Segmenter(work_folder, device='cpu', options={'modell.x': 1})
    segmenter = Segmenter(work_folder, device='cpu')
    with pytest.raises(UserError, match=r'; say where with images$'):
        segmenter.predict(data)
    with pytest.raises(UserError, match=r'; say where with images$'):
        next(segmenter.predict(iter([data])))
    with pytest.raises(UserError, match=r'; say where with images$'):
        segmenter.evaluate(data)
    with pytest.raises(UserError, match=r"^metrics: unknown metric 'x'"):
        segmenter.evaluate(data, metrics='x')
    with pytest.raises(UserError, match=r'^out: the file must end in \.pkl'):
        segmenter.evaluate(data, out='--val-ann')


def test_commands_and_names_of_files_stay():
    from mmdet_lordre.segmenter import _in_python
    for said, stays in (
            ('use --skip-bad, or lordre check --skip-bad writes it; --resume',
             'use skip_bad=True, or lordre check --skip-bad writes it; resume=True'),
            ('/a/--val-ann/b--val-ann.json: no --val-ann', '/a/--val-ann/b--val-ann.json: no val'),
            ('--load-from, --val-annotations', '--load-from, --val-annotations')):
        assert _in_python('train', said) == stays
