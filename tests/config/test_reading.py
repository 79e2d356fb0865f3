"""Reading configs, with one-line errors."""
import json

import pytest
from mmengine.config import Config

from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.config.reading import dataset_files, load_config, model_class_counts
from mmdet_lordre.errors import UserError


def test_a_name_that_is_nearly_right(tmp_path):
    (tmp_path / 'model_a.py').write_text('model = dict(type="X")')
    with pytest.raises(UserError, match=r'no such config: .*did you mean .*model_a\.py'):
        load_config(str(tmp_path / 'model_b.py'))


@pytest.mark.parametrize('text, said', [
    ('model = dict(', r'not Python: .*\(line 1\)'),
    ('_base_ = "gone.py"', 'does not exist'),
    ('model = undefined', 'cannot be read: NameError'),
    ('_base_ = "c.py"', 'inherits from itself'),
    ('model = dict()\0', r'not Python: [^(]*$'),
    ('import os\nos.getcwd()\nmodel = dict()', 'cannot be read: RuntimeError'),
    ('data = 1', 'has no "model"')])
def test_files_that_are_no_configs(tmp_path, text, said):
    path = tmp_path / 'c.py'
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        load_config(str(path))
    assert str(path) in str(error.value)


def test_options(tmp_path):
    path = tmp_path / 'c.json'
    path.write_text(json.dumps(dict(model=dict(type='elsewhere.Lordre', a=1, parts=[1, 2]))))
    assert load_config(str(path), {'model.a': 5, 'model.b': 6}).model == dict(
        type='elsewhere.Lordre', a=5, b=6, parts=[1, 2])
    with pytest.raises(UserError, match='--cfg-options'):
        load_config(str(path), {'model.parts.7': 1})


def test_configs_of_mmdet():
    cfg = load_config('mmdet::solov2/solov2_r50_fpn_1x_coco.py')
    assert model_class_counts(cfg) == {'model.mask_head': 80}
    with pytest.raises(UserError, match='no such config'):
        load_config('mmdet::solov2/solov3.py')
    with pytest.raises(UserError, match='is not installed'):
        load_config('nothing_like_it::solov2/solov3.py')


@pytest.mark.parametrize('dataset, files', [
    (dict(data_root='d/', ann_file='a.json', data_prefix=dict(img='i/')), ('d/a.json', 'd/i/')),
    (dict(data_root='d/', ann_file='/x/a.json', data_prefix=dict(img='')), ('/x/a.json', 'd/')),
    (dict(ann_file='a.json', data_prefix=dict(img_path='i')), ('a.json', 'i'))])
def test_where_files_are(dataset, files):
    assert dataset_files(Config(dataset)._cfg_dict) == files


def test_unknown_errors_keep_their_traceback(monkeypatch, capsys):
    def wrong():
        raise ZeroDivisionError

    def refused():
        raise UserError('two\nlines')
    with pytest.raises(ZeroDivisionError):
        one_line_errors(wrong)()
    with pytest.raises(SystemExit):
        one_line_errors(refused)()
    assert capsys.readouterr().err == 'error: two lines\n'
    monkeypatch.setenv('MMDET_LORDRE_TRACEBACK', '1')
    with pytest.raises(UserError):
        one_line_errors(refused)()


def test_an_interrupt_is_no_error(capsys):
    def stopped():
        raise KeyboardInterrupt
    with pytest.raises(SystemExit) as ended:
        one_line_errors(stopped)()
    assert ended.value.code == 130 and 'interrupted' in capsys.readouterr().err
