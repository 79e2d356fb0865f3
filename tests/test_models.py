"""Models from a folder, a checkpoint, or a config and a checkpoint."""
import shutil

import pytest
import torch

from mmdet_lordre.checkpoints import safe_load
from mmdet_lordre.checkpoints.work_folder import checkpoint_of_folder
from mmdet_lordre.errors import UserError
from mmdet_lordre.models import build_model, open_model
from tests.cli.tiny import NAMES, write_config


@pytest.fixture
def copy(work_folder, tmp_path):
    return shutil.copytree(work_folder, tmp_path / 'copy')


def rewrite(path, **meta):
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta'].update(meta)
    torch.save(checkpoint, path)


def test_the_same_model_every_way(copy, monkeypatch):
    read = []
    load = safe_load.torch.load
    monkeypatch.setattr(safe_load.torch, 'load',
                        lambda *args, **kwargs: read.append(args) or load(*args, **kwargs))
    models = [build_model(*one, device='cpu') for one in (
        [copy], [copy / 'iter_3.pth'], [copy / 'tiny.py', copy / 'iter_3.pth'],
        [str(copy / 'tiny.py'), str(copy)])]
    assert len(read) == 4  # once each
    weights = [model.state_dict() for model in models]
    for model, state in zip(models, weights):
        assert model.dataset_meta['classes'] == NAMES and not model.training
        assert model.checkpoint.endswith('iter_3.pth')
        assert all(torch.equal(state[name], value) for name, value in weights[0].items())


def test_the_config_of_a_checkpoint_without_one(copy):
    rewrite(copy / 'iter_3.pth', cfg='')
    assert open_model(copy).config == str(copy / 'tiny.py')
    write_config(copy / 'another.py')
    with pytest.raises(UserError, match=r'another\.py, tiny\.py.*give the config'):
        open_model(copy / 'iter_3.pth')


def test_options_change_a_stored_config(copy):
    opened = open_model(copy, options={'model.mask_head.num_queries': 9})
    assert opened.cfg.model.mask_head.num_queries == 9
    with pytest.raises(UserError, match='num_querys'):
        open_model(copy, options={'model.mask_head.num_querys': 9})


@pytest.mark.parametrize('text, said', [
    ('import os', 'plain values'), ('model = open("x", "w")', 'plain values'),
    ('model = dict(**x)', 'plain values'), ('model = [x for x in y]', 'plain values'),
    ("model = dict(type='os.system', command='true')", 'os.system'),
    ("model = dict(type='subprocess.Popen')", 'registered nowhere'),
    ("model = dict(type='mmcv.imwrite')", 'registered nowhere'),
    # mmengine would import a module of that name from the folder one is in
    ("model = dict(type='setup.ResNet')", 'registered nowhere'),
    ("model = dict(type='Lordre')\ncustom_imports = dict(imports=['this'])", "'this'"),
    ('model = (', 'not Python'), ('x = 1', 'no "model"')])
def test_a_stored_config_runs_nothing(copy, text, said):
    rewrite(copy / 'iter_3.pth', cfg=text)
    with pytest.raises(UserError, match=said):
        open_model(copy / 'iter_3.pth')


def test_which_checkpoint_stands_for_a_folder(tmp_path):
    with pytest.raises(UserError, match='holds no checkpoint'):
        checkpoint_of_folder(tmp_path)
    for name, best in (('epoch_9.pth', 'epoch_9'), ('epoch_10.pth', 'epoch_10'),
                       ('best_coco_bbox_mAP_epoch_3.pth', 'best_coco_bbox'),
                       ('best_coco_segm_mAP_epoch_2.pth', 'best_coco_segm')):
        (tmp_path / name).write_bytes(b'')
        assert checkpoint_of_folder(tmp_path).name.startswith(best)
    for path in tmp_path.glob('best*'):
        path.unlink()
    (tmp_path / 'last_checkpoint').write_text('somewhere/epoch_9.pth')
    assert checkpoint_of_folder(tmp_path).name == 'epoch_9.pth'
    (tmp_path / 'last_checkpoint').write_text('somewhere/epoch_11.pth')
    assert checkpoint_of_folder(tmp_path).name == 'epoch_10.pth'  # deleted, it seems
    (tmp_path / 'mine.pth').write_bytes(b'')
    with pytest.raises(UserError, match=r'names epoch_11\.pth, which is not .*mine\.pth'):
        checkpoint_of_folder(tmp_path)
    (tmp_path / 'mine.pth').rename(tmp_path / 'best.pth')
    assert checkpoint_of_folder(tmp_path).name == 'best.pth'


@pytest.mark.parametrize('device', ['tpu', 'cuda:1000', torch.device('cuda', 1000)])
def test_a_device_that_is_not_there(copy, device):
    with pytest.raises(UserError, match=f'device .*{device}'):
        build_model(copy, device=device)


def test_what_is_missing_is_said(copy):
    with pytest.raises(UserError, match='give a checkpoint with it'):
        build_model(copy / 'tiny.py')
    with pytest.raises(UserError, match='no such checkpoint: nowhere'):
        build_model('nowhere.pth')
    with pytest.raises(UserError, match=r'is a folder: leave it out, as .*iter_3\.pth is read'):
        build_model(copy, copy / 'iter_3.pth')
    with pytest.raises(UserError, match='is a folder: give the config first, then the folder'):
        build_model(copy, copy / 'tiny.py')
    (copy / 'm.onnx').write_bytes(b'x')
    with pytest.raises(UserError, match='is an ONNX file'):
        build_model(copy / 'm.onnx')


def test_what_may_be_a_mistake_in_a_checkpoint(copy, capsys):
    checkpoint = torch.load(copy / 'iter_3.pth', weights_only=True)
    checkpoint['state_dict']['mask_head.another'] = torch.zeros(3)
    checkpoint['meta']['dataset_meta']['classes'] = ['cell'] * len(NAMES)
    torch.save(checkpoint, copy / 'iter_3.pth')
    build_model(copy / 'iter_3.pth', device='cpu')
    extra, twice = capsys.readouterr().err.splitlines()[-2:]
    assert 'iter_3.pth: the model has no place for 1 tensor of it (mask_head.another)' in extra
    assert f"{len(NAMES)} of its classes are called 'cell'" in twice


def test_nothing_is_said_of_a_good_checkpoint(copy, capsys):
    build_model(copy / 'iter_3.pth', device='cpu')
    assert 'warning' not in capsys.readouterr().err
